/* Handlers with and without SA_RESTART, an interrupted sleep, a jump out of a handler, sigwait, sigsuspend. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static volatile sig_atomic_t seen;
static sigjmp_buf out;

static void count(int signal)
{
	(void)signal;
	int saved = errno;

	CHECK(getppid() > 0); /* a syscall from a handler */
	errno = saved;
	seen++;
}

static void jump(int signal)
{
	(void)signal;
	siglongjmp(out, 1);
}

static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	CHECK(sigaction(signal, &action, NULL) == 0);
}

/* Fires every 20 ms, so an alarm that comes before the blocking call is not the last one. */
static void alarm_start(void)
{
	struct itimerval every = { { 0, 20000 }, { 0, 20000 } };

	seen = 0;
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static void alarm_stop(void)
{
	struct itimerval none = { { 0, 0 }, { 0, 0 } };

	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
}

static void read_is_interrupted(const int *ends)
{
	char byte;

	handle(SIGALRM, count, 0);
	alarm_start();
	CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR);
	alarm_stop();
	CHECK(seen > 0);
}

static int restart_fd;

static void count_then_feed(int signal)
{
	(void)signal;
	if (++seen == 3)
		CHECK(write(restart_fd, "r", 1) == 1);
}

static void read_is_restarted(const int *ends)
{
	char byte = 0;

	handle(SIGALRM, count_then_feed, SA_RESTART);
	restart_fd = ends[1];
	alarm_start();
	CHECK(read(ends[0], &byte, 1) == 1 && byte == 'r');
	alarm_stop();
	CHECK(seen >= 3);
}

static void sleep_is_interrupted_with_rest(void)
{
	struct timespec wanted = { 3600, 0 }, rest = { 0, 0 };

	handle(SIGALRM, count, SA_RESTART); /* nanosleep is never restarted after a handler */
	alarm_start();
	CHECK(nanosleep(&wanted, &rest) == -1 && errno == EINTR);
	alarm_stop();
	CHECK(rest.tv_sec > 0 && rest.tv_sec < 3600);
}

static void handler_jumps_out_of_a_read(const int *ends)
{
	char byte;

	handle(SIGALRM, jump, 0);
	for (int i = 0; i < 5; i++) {
		if (sigsetjmp(out, 1) == 0) {
			alarm_start();
			for (;;)
				(void)!read(ends[0], &byte, 1);
		}
		alarm_stop();
	}
}

static void signal_can_be_awaited(void)
{
	sigset_t set, old, empty;
	int signal = 0;

	sigemptyset(&empty);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	handle(SIGUSR1, count, 0);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	seen = 0;
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(seen == 0);
	CHECK(sigwait(&set, &signal) == 0 && signal == SIGUSR1 && seen == 0);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(sigsuspend(&empty) == -1 && errno == EINTR && seen == 1);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
}

static void handler_runs_on_its_own_stack(void)
{
	static char memory[65536];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };

	CHECK(sigaltstack(&stack, NULL) == 0);
	handle(SIGUSR2, count, SA_ONSTACK);
	seen = 0;
	for (int i = 0; i < 1000; i++)
		CHECK(raise(SIGUSR2) == 0);
	CHECK(seen == 1000);
}

int main(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	read_is_interrupted(ends);
	read_is_restarted(ends);
	sleep_is_interrupted_with_rest();
	handler_jumps_out_of_a_read(ends);
	signal_can_be_awaited();
	handler_runs_on_its_own_stack();
	puts("signals: ok");
	return 0;
}
