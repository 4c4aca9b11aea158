/* SIGSYS blocked through every path there is; meanwhile syscalls work, the mask stays, and a pending SIGSYS stays what it is. */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

static volatile sig_atomic_t seen, last_code, last_pid, last_value, inside;
static sigset_t only_sys, none;

static int is_blocked(void)
{
	sigset_t now;

	CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
	return sigismember(&now, SIGSYS);
}

static int is_pending(void)
{
	sigset_t pending;

	CHECK(sigpending(&pending) == 0);
	return sigismember(&pending, SIGSYS);
}

static void some_syscalls(int blocked)
{
	for (int i = 0; i < 5; i++) {
		CHECK(getppid() > 0);
		CHECK(close(9200) == -1 && errno == EBADF);
		CHECK(syscall(SYS_getppid) > 0);
		CHECK(is_blocked() == blocked);
	}
}

static void on_sys(int signal, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	CHECK(signal == SIGSYS && is_blocked());
	some_syscalls(1);
	last_code = info->si_code;
	last_pid = info->si_pid;
	last_value = info->si_value.sival_int;
	seen++;
	errno = saved;
}

/* Runs with SIGSYS blocked by something else. */
static void on_user(int signal)
{
	int saved = errno, before = seen;

	(void)signal;
	some_syscalls(1);
	CHECK(raise(SIGSYS) == 0);
	some_syscalls(1);
	CHECK(seen == before && is_pending());
	inside++;
	errno = saved;
}

static void on_user_free(int signal)
{
	int saved = errno;

	(void)signal;
	some_syscalls(0);
	inside++;
	errno = saved;
}

static void handle_user(void (*handler)(int), const sigset_t *mask)
{
	struct sigaction action = { .sa_handler = handler, .sa_mask = *mask };

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void expect_one_more(int before)
{
	CHECK(seen == before + 1 && last_code == SI_TKILL && last_pid == getpid());
	some_syscalls(0);
}

static void by_sa_mask(void)
{
	int before = seen;

	handle_user(on_user, &only_sys);
	CHECK(raise(SIGUSR1) == 0);
	expect_one_more(before);
}

/* Calls with a mask of their own: while SIGUSR1's handler runs that mask is in force. */
enum waiter { SIGSUSPEND, PPOLL, PSELECT, EPOLL_PWAIT, EPOLL_PWAIT2, WAITERS };

static void wait_with(enum waiter how, const sigset_t *mask)
{
	struct epoll_event event;
	int epoll = epoll_create1(0);

	CHECK(epoll >= 0);
	switch (how) {
	case SIGSUSPEND:
		CHECK(sigsuspend(mask) == -1 && errno == EINTR);
		break;
	case PPOLL:
		CHECK(ppoll(NULL, 0, NULL, mask) == -1 && errno == EINTR);
		break;
	case PSELECT:
		CHECK(pselect(0, NULL, NULL, NULL, NULL, mask) == -1 && errno == EINTR);
		break;
	case EPOLL_PWAIT:
		CHECK(epoll_pwait(epoll, &event, 1, -1, mask) == -1 && errno == EINTR);
		break;
	case EPOLL_PWAIT2:
		CHECK(syscall(SYS_epoll_pwait2, epoll, &event, 1, NULL, mask, 8) == -1 && errno == EINTR);
		break;
	case WAITERS:
		break;
	}
	CHECK(close(epoll) == 0);
}

static void by_waiting_calls(void)
{
	sigset_t user;

	sigemptyset(&user);
	sigaddset(&user, SIGUSR1);
	for (int how = 0; how < WAITERS; how++) {
		int before = seen, ran = inside;

		/* free outside, blocked inside */
		handle_user(on_user, &none);
		CHECK(sigprocmask(SIG_BLOCK, &user, NULL) == 0 && raise(SIGUSR1) == 0);
		wait_with((enum waiter)how, &only_sys);
		CHECK(inside == ran + 1);
		expect_one_more(before);

		/* blocked outside, free inside: a SIGSYS that waits is delivered there, by itself */
		CHECK(sigprocmask(SIG_BLOCK, &only_sys, NULL) == 0);
		CHECK(raise(SIGSYS) == 0);
		some_syscalls(1);
		CHECK(seen == before + 1 && is_pending());
		wait_with((enum waiter)how, &user);
		CHECK(seen == before + 2 && last_code == SI_TKILL && last_pid == getpid());
		some_syscalls(1);

		/* the same with another signal's handler */
		handle_user(on_user_free, &none);
		CHECK(raise(SIGUSR1) == 0);
		wait_with((enum waiter)how, &none);
		CHECK(inside == ran + 2);
		some_syscalls(1);
		CHECK(sigprocmask(SIG_UNBLOCK, &only_sys, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &user, NULL) == 0);
		CHECK(seen == before + 2);
	}
}

static void awaited(void)
{
	struct signalfd_siginfo got;
	siginfo_t info;
	int before = seen, number = 0, fd = signalfd(-1, &only_sys, SFD_CLOEXEC);
	struct timespec hour = { 3600, 0 };

	CHECK(fd >= 0 && sigprocmask(SIG_BLOCK, &only_sys, NULL) == 0);
	CHECK(raise(SIGSYS) == 0);
	some_syscalls(1);
	CHECK(read(fd, &got, sizeof(got)) == sizeof(got) && got.ssi_signo == SIGSYS);
	CHECK(got.ssi_code == SI_TKILL && got.ssi_pid == (uint32_t)getpid());
	CHECK(close(fd) == 0);

	CHECK(sigqueue(getpid(), SIGSYS, (union sigval){ .sival_int = 4711 }) == 0);
	some_syscalls(1);
	CHECK(sigtimedwait(&only_sys, &info, &hour) == SIGSYS);
	CHECK(info.si_code == SI_QUEUE && info.si_value.sival_int == 4711 && info.si_pid == getpid());
	CHECK(kill(getpid(), SIGSYS) == 0);
	CHECK(sigwait(&only_sys, &number) == 0 && number == SIGSYS);
	CHECK(!is_pending());

	/* sent while it waits */
	pid_t parent = getpid(), child = fork();

	CHECK(child >= 0);
	if (!child) {
		CHECK(kill(parent, SIGSYS) == 0);
		_exit(0);
	}
	CHECK(sigwaitinfo(&only_sys, &info) == SIGSYS && info.si_code == SI_USER && info.si_pid == child);
	CHECK(waitpid(child, NULL, 0) == child);
	some_syscalls(1);

	/* many at once are one */
	for (int i = 0; i < 3; i++)
		CHECK(raise(SIGSYS) == 0);
	CHECK(sigprocmask(SIG_UNBLOCK, &only_sys, NULL) == 0);
	expect_one_more(before);

	/* queued with a value, delivered to the handler after other syscalls */
	CHECK(sigprocmask(SIG_BLOCK, &only_sys, NULL) == 0);
	CHECK(sigqueue(getpid(), SIGSYS, (union sigval){ .sival_int = 815 }) == 0);
	some_syscalls(1);
	CHECK(sigprocmask(SIG_UNBLOCK, &only_sys, NULL) == 0);
	CHECK(seen == before + 2 && last_code == SI_QUEUE && last_value == 815);
}

static void block_in_frame(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGSYS);
}

static void by_sigreturn(void)
{
	struct sigaction action = { .sa_sigaction = block_in_frame, .sa_flags = SA_SIGINFO };
	int before = seen;

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0);
	some_syscalls(1);
	CHECK(raise(SIGSYS) == 0);
	some_syscalls(1);
	CHECK(seen == before);
	CHECK(sigprocmask(SIG_UNBLOCK, &only_sys, NULL) == 0);
	expect_one_more(before);
}

static void *in_thread(void *arg)
{
	some_syscalls(arg != NULL);
	if (arg)
		CHECK(pthread_sigmask(SIG_UNBLOCK, &only_sys, NULL) == 0);
	else
		CHECK(pthread_sigmask(SIG_BLOCK, &only_sys, NULL) == 0);
	some_syscalls(arg == NULL);
	return NULL;
}

static void by_inheritance(char *program)
{
	char *argv[] = { program, (char *)"blocked", NULL };
	posix_spawnattr_t attr;
	pthread_t thread;
	int status;
	pid_t child;

	CHECK(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
	some_syscalls(0);
	CHECK(sigprocmask(SIG_BLOCK, &only_sys, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, in_thread, &only_sys) == 0 && pthread_join(thread, NULL) == 0);
	some_syscalls(1);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		some_syscalls(1);
		execv(program, argv);
		_exit(99);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CHECK(sigprocmask(SIG_UNBLOCK, &only_sys, NULL) == 0);

	CHECK(posix_spawnattr_init(&attr) == 0 && posix_spawnattr_setsigmask(&attr, &only_sys) == 0);
	CHECK(posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK) == 0);
	CHECK(posix_spawn(&child, program, NULL, &attr, argv, environ) == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
	some_syscalls(0);

	argv[1] = (char *)"ignored";
	CHECK(signal(SIGSYS, SIG_IGN) != SIG_ERR);
	CHECK(posix_spawn(&child, program, NULL, NULL, argv, environ) == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void on_other(int signal)
{
	(void)signal;
}

static void set_action(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	CHECK(sigaction(signal, &action, NULL) == 0);
}

static int has_action(void (*handler)(int))
{
	struct sigaction now;

	CHECK(sigaction(SIGSYS, NULL, &now) == 0);
	return now.sa_handler == handler;
}

/* With SIGSYS blocked, dispatch resets its action. */
static void dispatched_calls(void)
{
	CHECK(sigprocmask(SIG_BLOCK, &only_sys, NULL) == 0);
	for (int i = 0; i < 5; i++)
		set_action(SIGUSR2, i & 1 ? on_other : SIG_DFL);
	CHECK(sigprocmask(SIG_UNBLOCK, &only_sys, NULL) == 0);
}

static int other_process(void *arg)
{
	set_action(SIGSYS, arg ? SIG_IGN : on_other);
	dispatched_calls();
	return has_action(arg ? SIG_IGN : on_other) ? 3 : 4;
}

static int ended_with(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Actions are shared with CLONE_SIGHAND only; a process in the same memory may have its own. */
static void by_another_process(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	char *top = stack + sizeof(stack);

	CHECK(ended_with(clone(other_process, top, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL)) == 3);
	CHECK(has_action(on_other));
	dispatched_calls();
	CHECK(has_action(on_other));
	CHECK(ended_with(clone(other_process, top, CLONE_VM | SIGCHLD, (void *)1)) == 3);
	CHECK(has_action(on_other));
	dispatched_calls();
	CHECK(has_action(on_other));
	CHECK(ended_with(clone(other_process, top, CLONE_VM | CLONE_SIGHAND | SIGCHLD, (void *)1)) == 3);
	dispatched_calls();
	CHECK(has_action(SIG_IGN));
}

static int cleared_child(void)
{
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (child < 0 && (errno == ENOSYS || errno == EINVAL))
		return -1; /* not in this kernel */
	if (child)
		return ended_with((pid_t)child);
	dispatched_calls();
	_exit(has_action(SIG_DFL) ? 3 : has_action(SIG_IGN) ? 4 : 5);
}

static void cleared(void)
{
	set_action(SIGSYS, on_other);
	int status = cleared_child();

	CHECK(status == -1 || status == 3);
	CHECK(has_action(on_other));
	set_action(SIGSYS, SIG_IGN);
	status = cleared_child();
	CHECK(status == -1 || status == 4);
	CHECK(has_action(SIG_IGN));
}

/* The new image finds what it inherits, and keeps it. */
static int image(const char *what)
{
	struct sigaction now;

	some_syscalls(!strcmp(what, "blocked"));
	CHECK(sigaction(SIGSYS, NULL, &now) == 0);
	CHECK((now.sa_handler == SIG_IGN) == !strcmp(what, "ignored"));
	CHECK(raise(SIGSYS) == 0);
	some_syscalls(!strcmp(what, "blocked"));
	return 3;
}

static void handler_that_resets_itself(void)
{
	struct sigaction action = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND }, now;
	int before = seen;

	CHECK(sigaction(SIGSYS, &action, NULL) == 0 && raise(SIGSYS) == 0);
	CHECK(seen == before + 1);
	CHECK(sigprocmask(SIG_BLOCK, &only_sys, NULL) == 0);
	some_syscalls(1);
	CHECK(sigprocmask(SIG_UNBLOCK, &only_sys, NULL) == 0);
	CHECK(sigaction(SIGSYS, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	action.sa_flags = SA_SIGINFO;
	CHECK(sigaction(SIGSYS, &action, NULL) == 0);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };

	sigemptyset(&none);
	sigemptyset(&only_sys);
	sigaddset(&only_sys, SIGSYS);
	if (argc > 1)
		return image(argv[1]);
	CHECK(sigaction(SIGSYS, &action, NULL) == 0);
	by_sa_mask();
	by_waiting_calls();
	awaited();
	by_sigreturn();
	handler_that_resets_itself();
	by_inheritance(argv[0]);
	by_another_process();
	cleared();
	puts("sigsys_masks: ok");
	return 0;
}
