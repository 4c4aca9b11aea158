/* Strict mode: read, write, exit and rt_sigreturn, and death for anything else. (It cannot follow a filter: run without the net.) */
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static int ends[2];

static void strict(int last)
{
	char byte;

	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
	for (int i = 0; i < 100; i++)
		if (write(ends[1], "s", 1) != 1 || read(ends[0], &byte, 1) != 1 || byte != 's')
			syscall(SYS_exit, 1);
	if (last)
		syscall(SYS_getppid);
	syscall(SYS_exit, 7);
}

int main(void)
{
	int status;

	CHECK(pipe(ends) == 0);
	for (int last = 0; last < 2; last++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (!child)
			strict(last);
		CHECK(waitpid(child, &status, 0) == child);
		if (last)
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		else
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	puts("seccomp_strict: ok");
	return 0;
}
