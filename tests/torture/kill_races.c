/* SIGKILL where somebody has just become somebody else's business: of a process that is on its way into a handler while other
 * threads run; of one that is making a child, whose child must not be left standing. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define ROUNDS 25

extern char **environ;

static void handler(int sig)
{
	(void)sig;
	close(9991);
}

static void *caller(void *argument)
{
	for (;;)
		getppid();
	return argument;
}

static void spin(long rounds)
{
	for (volatile long i = 0; i < rounds; i++)
		;
}

static void is_killed(pid_t child)
{
	int status;

	CHECK(!kill(child, SIGKILL));
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void *nothing(void *argument)
{
	return argument;
}

static void *maker(void *argument)
{
	for (;;) {
		pthread_t thread;

		if (!pthread_create(&thread, NULL, nothing, NULL))
			pthread_join(thread, NULL);
	}
	return argument;
}

/* The first thread is led out of whatever it does when the kill comes; its death is told last of all. */
static void handling_beside(void *(*work)(void *), int ready)
{
	pthread_t thread;

	CHECK(signal(SIGTERM, handler) != SIG_ERR);
	for (int i = 0; i < 3; i++)
		CHECK(!pthread_create(&thread, NULL, work, NULL));
	CHECK(write(ready, "", 1) == 1);
	for (;;)
		close(9991);
}

static void handling_with_threads(int ready)
{
	handling_beside(caller, ready);
}

/* There are threads then whose birth nobody has told. */
static void handling_with_newborns(int ready)
{
	handling_beside(maker, ready);
}

static void forking(int ready)
{
	CHECK(write(ready, "", 1) == 1);
	for (;;) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

static void vforking(int ready)
{
	CHECK(write(ready, "", 1) == 1);
	for (;;) {
		pid_t child = vfork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

static void *forker(void *argument)
{
	forking(*(int *)argument);
	return NULL;
}

static void forking_threads(int ready)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, forker, &ready));
	forking(ready);
}

static void spawning(int ready)
{
	char *argv[] = { (char *)"true", NULL };
	pid_t child;

	CHECK(write(ready, "", 1) == 1);
	for (;;)
		if (!posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ))
			waitpid(child, NULL, 0);
}

/* Whoever was made has the pipe's end open until it ends itself: the end of file says that all have. */
static void killed_while(void (*work)(int), int first, long wait)
{
	char bytes[16];
	int ends[2];

	CHECK(!pipe(ends));
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		close(ends[0]);
		work(ends[1]);
	}
	close(ends[1]);
	CHECK(read(ends[0], bytes, 1) == 1);
	spin(wait);
	if (first)
		CHECK(!kill(child, first));
	is_killed(child);
	while (read(ends[0], bytes, sizeof(bytes)) > 0)
		;
	close(ends[0]);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		CHECK(!prctl(PR_SET_CHILD_SUBREAPER, round & 1)); /* whoever is left gets a parent that is traced */
		long wait = 1000 + 3777L * round;

		killed_while(handling_with_threads, SIGTERM, wait);
		killed_while(handling_with_threads, SIGSTOP, wait);
		killed_while(handling_with_newborns, SIGTERM, wait);
		killed_while(forking, 0, wait);
		killed_while(vforking, 0, wait);
		killed_while(forking_threads, 0, wait);
		killed_while(spawning, SIGCHLD, wait);
	}
	puts("kill_races: ok");
	return 0;
}
