/* SIGSYS belongs to the program: its mask, its handler, its disposition and its siginfo are what it made them. */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static volatile sig_atomic_t seen, code;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	CHECK(getppid() > 0);
	code = info->si_code;
	seen++;
}

static int is_blocked(void)
{
	sigset_t now;

	CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
	return sigismember(&now, SIGSYS);
}

static void *disposition(void)
{
	struct sigaction now;

	CHECK(sigaction(SIGSYS, NULL, &now) == 0);
	return now.sa_flags & SA_SIGINFO ? (void *)now.sa_sigaction : (void *)now.sa_handler;
}

static void some_syscalls(void)
{
	for (int i = 0; i < 50; i++) {
		CHECK(getppid() > 0);
		CHECK(close(9100) == -1 && errno == EBADF);
		CHECK(syscall(SYS_getppid) > 0);
	}
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	sigset_t set, old, pending;

	CHECK(disposition() == (void *)SIG_DFL && !is_blocked());

	CHECK(sigaction(SIGSYS, &action, NULL) == 0);
	some_syscalls();
	CHECK(seen == 0);
	CHECK(raise(SIGSYS) == 0);
	CHECK(seen == 1 && code == SI_TKILL);
	CHECK(disposition() == (void *)handler);

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	some_syscalls();
	CHECK(is_blocked() && seen == 1);
	CHECK(raise(SIGSYS) == 0);
	some_syscalls();
	CHECK(seen == 1);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGSYS));
	CHECK(disposition() == (void *)handler);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
	CHECK(seen == 2);

	CHECK(signal(SIGSYS, SIG_IGN) != SIG_ERR);
	some_syscalls();
	CHECK(disposition() == (void *)SIG_IGN);
	CHECK(raise(SIGSYS) == 0 && seen == 2);

	CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		raise(SIGSYS);
		_exit(0);
	}
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	puts("sigsys: ok");
	return 0;
}
