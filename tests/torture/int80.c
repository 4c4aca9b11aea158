/* A 32-bit syscall of a 64-bit program, by int 0x80, with an argument of its own so that a trace can be searched for it.
 * A kernel without 32-bit calls answers ENOSYS; one without the gate (PVM guests) kills: then there is nothing to test. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static long raw_int80(long nr, long a)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "0"(nr), "b"(a) : "r8", "r9", "r10", "r11", "memory");
	return result;
}

static int gate_missing(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		raw_int80(20 /* i386 getpid */, 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status);
}

int main(void)
{
	if (gate_missing()) {
		puts("int80: skipped: int 0x80 faults on this machine");
		return 77;
	}
	long result = raw_int80(6 /* i386 close */, 7003);

	CHECK(result == -EBADF || result == -ENOSYS);
	puts("int80: ok");
	return 0;
}
