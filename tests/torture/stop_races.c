/* Stopped and continued at any moment: a newborn child, one in the middle of syscalls, handlers, forks, execs. A SIGCONT that comes
 * right behind its SIGSTOP leaves nobody stopped; a process that is stopped does not run. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define ROUNDS 12
#define SPINS 8

static const char *self;
static volatile long *counted; /* shared with the children */

static void handler(int sig)
{
	(void)sig;
	close(9990);
}

static void many_calls(void)
{
	for (int i = 0; i < 60; i++) {
		getppid();
		++*counted;
		(void)!access("/there/is/no/such/file", F_OK);
	}
}

static void signals_to_itself(void)
{
	CHECK(signal(SIGUSR1, handler) != SIG_ERR);
	for (int i = 0; i < 30; i++) {
		raise(SIGUSR1);
		++*counted;
	}
}

static void forks(void)
{
	for (int i = 0; i < 3; i++) {
		int status;
		pid_t child = fork();

		if (!child)
			_exit(5);
		CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
		++*counted;
	}
}

static void execs(void)
{
	execl(self, self, "nothing", (char *)NULL);
	_exit(99);
}

static void *caller(void *argument)
{
	many_calls();
	return argument;
}

static void threads(void)
{
	pthread_t thread[3];

	for (int i = 0; i < 3; i++)
		CHECK(!pthread_create(&thread[i], NULL, caller, NULL));
	many_calls();
	for (int i = 0; i < 3; i++)
		CHECK(!pthread_join(thread[i], NULL));
}

static void spin(long rounds)
{
	for (volatile long i = 0; i < rounds; i++)
		;
}

static pid_t begin(void (*work)(void))
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		work();
		_exit(0);
	}
	return child;
}

static void ends_well(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* At once, and many times. */
static void continued_at_once(void (*work)(void), int stop, long wait)
{
	pid_t child = begin(work);

	for (int i = 0; i < 6; i++) {
		spin(wait);
		CHECK(!kill(child, stop));
		spin(wait / 2);
		CHECK(!kill(child, SIGCONT));
	}
	ends_well(child);
}

static void continued_when_stopped(void (*work)(void), int stop, long wait)
{
	pid_t child = begin(work);
	int status;

	spin(wait);
	CHECK(!kill(child, stop));
	CHECK(waitpid(child, &status, WUNTRACED) == child);
	if (WIFSTOPPED(status)) { /* else it had ended before */
		long before = *counted;

		CHECK(WSTOPSIG(status) == stop);
		spin(20000);
		CHECK(*counted == before);
		CHECK(!kill(child, SIGCONT));
		ends_well(child);
	} else {
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

int main(int argc, char **argv)
{
	static void (*const works[])(void) = { many_calls, signals_to_itself, forks, execs, threads };

	if (argc > 1)
		return 0;
	self = argv[0];
	counted = mmap(NULL, sizeof(*counted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(counted != MAP_FAILED);
	for (int round = 0; round < ROUNDS; round++)
		for (unsigned int i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
			/* SIGTSTP does nothing in an orphaned group, and which it is does not matter here */
			continued_at_once(works[i], round & 1 ? SIGSTOP : SIGTSTP, 1L << (round % SPINS + 8));
			continued_when_stopped(works[i], SIGSTOP, 1L << (round % SPINS + 8));
		}
	puts("stop_races: ok");
	return 0;
}
