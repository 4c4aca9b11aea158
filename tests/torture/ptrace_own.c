/* A program that traces its own child, as a debugger does: TRACEME and exec, SEIZE, syscall stops with their numbers, single
 * steps, memory, registers, detach. */
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static int reap(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int wait_stop(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	return WSTOPSIG(status) | (status >> 16) << 8;
}

static volatile long word = 4711;

static void traceme(void)
{
	pid_t child = fork();
	int calls = 0;

	CHECK(child >= 0);
	if (!child) {
		CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
		raise(SIGSTOP);
		for (int i = 0; i < 5; i++)
			syscall(SYS_close, 9960 + i);
		_exit(word == 4711 ? 1 : 6);
	}
	CHECK(wait_stop(child) == SIGSTOP);
	CHECK(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT) == 0);
	CHECK(ptrace(PTRACE_PEEKDATA, child, &word, 0) == 4711);
	CHECK(ptrace(PTRACE_POKEDATA, child, &word, 4712) == 0);
	for (;;) {
		struct user_regs_struct regs;

		CHECK(ptrace(PTRACE_SYSCALL, child, 0, 0) == 0);
		int stop = wait_stop(child);

		if (stop == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			break;
		CHECK(stop == (SIGTRAP | 0x80));
		CHECK(ptrace(PTRACE_GETREGS, child, 0, &regs) == 0);
		if (regs.orig_rax == SYS_close && regs.rdi >= 9960 && regs.rdi < 9965)
			calls++;
	}
	CHECK(calls == 10); /* entry and exit each */
	CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
	CHECK(reap(child) == 6);
}

static void over_exec(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
		execl("/bin/true", "true", (char *)NULL);
		_exit(99);
	}
	CHECK(wait_stop(child) == SIGTRAP); /* the exec */
	for (int i = 0; i < 50; i++) {
		CHECK(ptrace(PTRACE_SINGLESTEP, child, 0, 0) == 0);
		CHECK(wait_stop(child) == SIGTRAP);
	}
	CHECK(ptrace(PTRACE_DETACH, child, 0, 0) == 0);
	CHECK(reap(child) == 0);
}

static void seize(void)
{
	int go[2];
	char byte;
	pid_t child;

	CHECK(pipe(go) == 0);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		close(go[1]);
		(void)!read(go[0], &byte, 1);
		_exit(close(9970) == -1 ? 8 : 9);
	}
	close(go[0]);
	CHECK(ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD) == 0);
	CHECK(ptrace(PTRACE_INTERRUPT, child, 0, 0) == 0);
	CHECK(wait_stop(child) == (SIGTRAP | PTRACE_EVENT_STOP << 8));
	CHECK(ptrace(PTRACE_DETACH, child, 0, 0) == 0);
	close(go[1]);
	CHECK(reap(child) == 8);
}

int main(void)
{
	for (int i = 0; i < 3; i++) {
		traceme();
		over_exec();
		seize();
	}
	puts("ptrace_own: ok");
	return 0;
}
