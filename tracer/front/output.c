#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>
#include "die.h"
#include "output.h"

#define ZSTD_WAIT_NS 200000000u

int fd_above_stdio(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), err = errno;

	close(fd);
	errno = err;
	return high;
}

static void failed(struct output *output, int err)
{
	output->error = err;
	warn_line("cannot write %s: %s; the program goes on, the trace is cut here", output->name, strerror(err));
}

static void write_all(struct output *output, const char *text, size_t bytes)
{
	size_t done = 0;

	while (done < bytes && !output->error) {
		ssize_t wrote = write(output->fd, text + done, bytes - done);

		if (wrote >= 0)
			done += (size_t)wrote;
		else if (errno != EINTR)
			failed(output, errno);
	}
}

/* ---- compression ---- */

struct zstd_output {
	ZSTD_CCtx *context;
	size_t waiting;     /* bytes that went in since the last flush */
	uint64_t since_ns;  /* when the first of them did */
	char out[1 << 17];  /* ZSTD_CStreamOutSize() */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool zstd_open(struct output *output)
{
	output->zstd = calloc(1, sizeof(*output->zstd));
	if (!output->zstd)
		return false;
	output->zstd->context = ZSTD_createCCtx();
	if (!output->zstd->context)
		return false;
	ZSTD_CCtx_setParameter(output->zstd->context, ZSTD_c_compressionLevel, 1); /* must keep up with the program */
	ZSTD_CCtx_setParameter(output->zstd->context, ZSTD_c_checksumFlag, 1);
	return true;
}

static void compress(struct output *output, const char *text, size_t bytes, ZSTD_EndDirective how)
{
	struct zstd_output *zstd = output->zstd;
	ZSTD_inBuffer in = { text, bytes, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { zstd->out, sizeof(zstd->out), 0 };

		left = ZSTD_compressStream2(zstd->context, &out, &in, how);
		if (ZSTD_isError(left)) {
			if (!output->error)
				failed(output, ENOMEM);
			return;
		}
		write_all(output, zstd->out, out.pos);
	} while (in.pos < in.size || (how != ZSTD_e_continue && left));
	if (!zstd->waiting)
		zstd->since_ns = now_ns();
	zstd->waiting = how == ZSTD_e_continue ? zstd->waiting + bytes : 0;
}

static void zstd_close(struct output *output)
{
	compress(output, "", 0, ZSTD_e_end);
	ZSTD_freeCCtx(output->zstd->context);
	free(output->zstd);
}

static ssize_t write_cookie(void *cookie, const char *text, size_t bytes)
{
	struct output *output = cookie;

	if (output->zstd)
		compress(output, text, bytes, ZSTD_e_continue);
	else
		write_all(output, text, bytes);
	return (ssize_t)bytes;
}

void output_flush(struct output *output, bool idle)
{
	struct zstd_output *zstd = output->zstd;

	fflush(output->file);
	if (zstd && zstd->waiting && (idle || now_ns() - zstd->since_ns > ZSTD_WAIT_NS))
		compress(output, "", 0, ZSTD_e_flush);
}

/* ---- where to ---- */

static int open_standard(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static int open_file(const char *name, bool append)
{
	return fd_above_stdio(open(name, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666));
}

static _Noreturn void run_command(const char *command, int input)
{
	signal(SIGPIPE, SIG_DFL);
	if (dup2(input, STDIN_FILENO) >= 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int open_command(struct output *output, const char *command)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	ends[0] = fd_above_stdio(ends[0]);
	ends[1] = fd_above_stdio(ends[1]);
	output->command = fork();
	if (!output->command)
		run_command(command, ends[0]);
	close(ends[0]);
	if (output->command > 0)
		return ends[1];
	close(ends[1]);
	return -1;
}

static int open_target(struct output *output, const char *name, unsigned flags)
{
	if (!name)
		return open_standard(flags & OUTPUT_STDOUT ? STDOUT_FILENO : STDERR_FILENO);
	if (*name == '|' || *name == '!')
		return open_command(output, name + 1);
	return open_file(name, flags & OUTPUT_APPEND);
}

int output_open(struct output *output, const char *name, unsigned flags)
{
	static const cookie_io_functions_t functions = { .write = write_cookie };

	*output = (struct output){ .name = name ? name : flags & OUTPUT_STDOUT ? "to stdout" : "to stderr" };
	output->fd = open_target(output, name, flags);
	if (output->fd < 0 && name)
		return errno;
	if (output->fd < 0)
		output->error = EBADF; /* stderr is closed: nothing to write to, nobody to tell */
	output->file = fopencookie(output, "w", functions);
	if (!output->file || (flags & OUTPUT_ZSTD && !zstd_open(output)))
		return ENOMEM;
	setvbuf(output->file, NULL, _IONBF, 0); /* formatters and recordings hand over large pieces: no need to copy them */
	return 0;
}

bool output_close(struct output *output)
{
	if (fclose(output->file) != 0 && !output->error)
		failed(output, errno);
	if (output->zstd)
		zstd_close(output);
	if (output->fd >= 0 && close(output->fd) < 0 && !output->error)
		failed(output, errno);
	while (output->command > 0 && waitpid(output->command, NULL, 0) < 0 && errno == EINTR)
		;
	return !output->error || output->fd < 0;
}
