/* A daemon: forked twice, in a session of its own, without terminal and descriptors, its parents gone; it still execs. And a
 * process that may not be dumped, before and after its exec. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static int reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The daemon's life; it reports over `to`. */
static void daemon_main(int to, const char *program)
{
	char number[16];

	CHECK(chdir("/") == 0);
	umask(0);
	CHECK(dup2(to, 3) == 3 && syscall(SYS_close_range, 4, ~0u, 0) == 0);
	for (int fd = 0; fd < 3; fd++)
		CHECK(close(fd) == 0);
	CHECK(open("/dev/null", O_RDWR) == 0 && dup(0) == 1 && dup(0) == 2);
	CHECK(getsid(0) != getpid());
	snprintf(number, sizeof(number), "%d", getpid());
	execl(program, program, "daemon", number, (char *)NULL);
	_exit(99);
}

static void daemonize(const char *program)
{
	int ends[2], go[2];
	char text[16] = "", byte;
	pid_t child;

	CHECK(pipe(ends) == 0 && pipe(go) == 0);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		CHECK(setsid() == getpid());
		child = fork();
		CHECK(child >= 0);
		if (child)
			_exit(0);
		close(go[1]);
		CHECK(read(go[0], &byte, 1) == 0); /* its parent has been reaped */
		daemon_main(ends[1], program);
	}
	CHECK(reap(child) == 0);
	close(ends[1]);
	close(go[0]);
	close(go[1]);
	CHECK(read(ends[0], text, sizeof(text) - 1) == 7 && !strcmp(text, "started"));
	CHECK(read(ends[0], text, 1) == 0);
	close(ends[0]);
}

static void undumpable(const char *program)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		CHECK(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0);
		for (int i = 0; i < 10; i++)
			CHECK(close(9910) == -1 && errno == EBADF);
		CHECK(prctl(PR_GET_DUMPABLE) == 0);
		pid_t grandchild = fork();

		CHECK(grandchild >= 0);
		if (!grandchild) {
			CHECK(prctl(PR_GET_DUMPABLE) == 0);
			execl(program, program, "dumpable", (char *)NULL);
			_exit(99);
		}
		_exit(reap(grandchild));
	}
	CHECK(reap(child) == 14);
}

int main(int argc, char **argv)
{
	char self[4096] = "";

	if (argc == 3) {
		CHECK(getpid() == atoi(argv[2]));
		return write(3, "started", 7) == 7 ? 0 : 1;
	}
	if (argc == 2)
		return prctl(PR_GET_DUMPABLE) == 1 ? 14 : 15;
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	for (int i = 0; i < 5; i++) {
		daemonize(self);
		undumpable(self);
	}
	puts("daemon: ok");
	return 0;
}
