#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "die.h"
#include "output.h"

#define BUFFER_BYTES 65536

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

static ssize_t write_cookie(void *cookie, const char *text, size_t bytes)
{
	struct output *output = cookie;
	size_t done = 0;

	while (done < bytes && !output->error) {
		ssize_t wrote = write(output->fd, text + done, bytes - done);

		if (wrote >= 0)
			done += (size_t)wrote;
		else if (errno != EINTR)
			failed(output, errno);
	}
	return (ssize_t)bytes;
}

static int open_stderr(void)
{
	return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
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

static int open_target(struct output *output, const char *name, bool append)
{
	if (!name)
		return open_stderr();
	if (*name == '|' || *name == '!')
		return open_command(output, name + 1);
	return open_file(name, append);
}

int output_open(struct output *output, const char *name, bool append)
{
	static const cookie_io_functions_t functions = { .write = write_cookie };

	*output = (struct output){ .name = name ? name : "to stderr" };
	output->fd = open_target(output, name, append);
	if (output->fd < 0 && name)
		return errno;
	if (output->fd < 0)
		output->error = EBADF; /* stderr is closed: nothing to write to, nobody to tell */
	output->file = fopencookie(output, "w", functions);
	if (!output->file)
		return ENOMEM;
	setvbuf(output->file, NULL, _IOFBF, BUFFER_BYTES);
	return 0;
}

bool output_close(struct output *output)
{
	if (fclose(output->file) != 0 && !output->error)
		failed(output, errno);
	if (output->fd >= 0 && close(output->fd) < 0 && !output->error)
		failed(output, errno);
	while (output->command > 0 && waitpid(output->command, NULL, 0) < 0 && errno == EINTR)
		;
	return !output->error || output->fd < 0;
}
