/* fork, vfork and posix_spawn by one thread while others make syscalls all the time. The child's one thread works on, makes
 * threads of its own, and execs. */
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define BUSY 4
#define ROUNDS 8

extern char **environ;
static atomic_int stop;
static atomic_long calls;

static void *busy(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		CHECK(close(9500) == -1 && errno == EBADF);
		CHECK(getppid() > 0);
		atomic_fetch_add(&calls, 1);
	}
	return NULL;
}

static void *once(void *arg)
{
	CHECK(close(9501) == -1 && errno == EBADF);
	return arg;
}

static int child_work(void)
{
	pthread_t thread;
	void *result;

	for (int i = 0; i < 20; i++)
		CHECK(close(9502) == -1 && errno == EBADF);
	CHECK(pthread_create(&thread, NULL, once, &stop) == 0);
	CHECK(pthread_join(thread, &result) == 0 && result == &stop);
	return 11;
}

static int reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	pthread_t threads[BUSY];
	char *again[] = { argv[0], (char *)"again", NULL };
	pid_t child;

	if (argc > 1)
		return 12;
	for (int i = 0; i < BUSY; i++)
		CHECK(pthread_create(&threads[i], NULL, busy, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		child = fork();
		if (!child)
			_exit(child_work());
		CHECK(reap(child) == 11);
		child = fork();
		if (!child) {
			execv(argv[0], again);
			_exit(99);
		}
		CHECK(reap(child) == 12);
		child = vfork();
		if (!child)
			_exit(13);
		CHECK(reap(child) == 13);
		CHECK(posix_spawn(&child, argv[0], NULL, NULL, again, environ) == 0);
		CHECK(reap(child) == 12);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < BUSY; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(atomic_load(&calls) > 0);
	puts("fork_busy: ok");
	return 0;
}
