/* The TSC may not be read (PR_SET_TSC): syscalls work, whatever SIGSEGV is set to, and only the program's own reads fault. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

static volatile int faults;

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	faults++;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; /* past the rdtsc */
}

static void read_tsc(void)
{
	__asm__ volatile("rdtsc" : : : "rax", "rdx");
}

static void calls(void)
{
	for (int i = 0; i < 20; i++)
		CHECK(close(9993) == -1 && errno == EBADF && syscall(SYS_gettid) > 0);
}

static void with_a_child(void)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		calls();
		read_tsc();
		_exit(faults);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == faults + 1);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	sigset_t segv, now;
	int before;

	CHECK(prctl(PR_GET_TSC, &before) == 0 && before == PR_TSC_ENABLE);
	if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV) != 0)
		SKIP("this kernel has no PR_SET_TSC");
	calls();
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	calls();
	CHECK(faults == 0);
	read_tsc();
	if (faults == 0)
		SKIP("this processor does not forbid rdtsc");
	CHECK(faults == 1);
	with_a_child();
	sigemptyset(&segv);
	sigaddset(&segv, SIGSEGV);
	CHECK(sigprocmask(SIG_BLOCK, &segv, NULL) == 0);
	calls();
	CHECK(sigprocmask(SIG_UNBLOCK, &segv, &now) == 0 && sigismember(&now, SIGSEGV));
	CHECK(faults == 1);
	CHECK(signal(SIGSEGV, SIG_IGN) == (void (*)(int))(void *)handler);
	calls();
	CHECK(signal(SIGSEGV, SIG_DFL) == SIG_IGN);
	CHECK(prctl(PR_SET_TSC, PR_TSC_ENABLE) == 0);
	read_tsc();
	calls();
	CHECK(faults == 1);
	puts("no_tsc: ok");
	return 0;
}
