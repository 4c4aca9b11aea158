/* Three timers of about 1 kHz and dying children: handlers that make syscalls themselves, one in ten of which jumps out, across a
 * loop of reads and writes that must lose and double nothing. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static sigjmp_buf loop;
static volatile sig_atomic_t alarms, profs, users, children, jumps, armed;
static int side[2];

/* In through one end, out through the other: a lost or repeated call would show. */
static void echo(char mark)
{
	int saved = errno;
	char back = 0;

	CHECK(write(side[1], &mark, 1) == 1);
	CHECK(read(side[0], &back, 1) == 1 && back == mark);
	CHECK(close(9002) == -1 && errno == EBADF);
	errno = saved;
}

/* Each time anew, 1 ms after the handler's end: however slow the machine is, the loop gets on. */
static void alarm_again(void)
{
	struct itimerval once = { { 0, 0 }, { 0, 1000 } };

	CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static timer_t timer;

static void user_again(void)
{
	struct itimerspec once = { { 0, 0 }, { 0, 1000000 } };

	CHECK(timer_settime(timer, 0, &once, NULL) == 0);
}

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
	echo('a');
	alarm_again();
	if (armed && alarms % 10 == 0) {
		jumps++;
		siglongjmp(loop, 1);
	}
}

static void on_prof(int signal)
{
	(void)signal;
	profs++;
	echo('p');
}

static void on_user(int signal)
{
	(void)signal;
	users++;
	echo('u');
	user_again();
}

static void on_child(int signal)
{
	int saved = errno;

	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		children++;
	errno = saved;
}

static void handle(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigfillset(&action.sa_mask); /* the side pipe has one user at a time */
	CHECK(sigaction(signal, &action, NULL) == 0);
}

static void drain(const int *ends)
{
	uint64_t rest;

	while (read(ends[0], &rest, sizeof(rest)) == sizeof(rest))
		;
	CHECK(errno == EAGAIN);
}

int main(void)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, none = { { 0, 0 }, { 0, 0 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	volatile int rounds = 0, forks = 0;
	int ends[2];

	CHECK(pipe2(ends, O_NONBLOCK) == 0 && pipe(side) == 0);
	handle(SIGALRM, on_alarm);
	handle(SIGPROF, on_prof);
	handle(SIGUSR1, on_user);
	handle(SIGCHLD, on_child);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
	alarm_again();
	user_again();

	if (sigsetjmp(loop, 1))
		drain(ends);
	armed = 1;
	while (rounds < 2000 || jumps < 20) {
		uint64_t mark = (uint64_t)rounds * 0x9e3779b97f4a7c15u, back = 0;

		rounds++;
		CHECK(write(ends[1], &mark, sizeof(mark)) == sizeof(mark));
		CHECK(read(ends[0], &back, sizeof(back)) == sizeof(back) && back == mark);
	}
	armed = 0;
	while (forks < 20) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		CHECK(child > 0);
		forks++;
	}
	while (children < 20)
		CHECK(getppid() > 0);
	CHECK(signal(SIGALRM, SIG_IGN) != SIG_ERR && setitimer(ITIMER_PROF, &none, NULL) == 0);
	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR && timer_delete(timer) == 0);
	CHECK(alarms > 0 && users > 0 && jumps >= 20 && children == 20);
	puts("sigstorm: ok");
	return 0;
}
