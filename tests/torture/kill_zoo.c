/* Killed at any moment: processes in the middle of syscalls, forks, execs and threads end, all of them, and nothing is left that
 * waits for one of them. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static const char *self;

static void busy_with_calls(void)
{
	for (;;) {
		close(9992);
		getppid();
		(void)!access("/there/is/no/such/file", F_OK);
	}
}

static void busy_with_forks(void)
{
	for (;;) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

static void busy_with_execs(void)
{
	for (;;) {
		pid_t child = vfork();

		if (!child) {
			execl(self, self, "nothing", (char *)NULL);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

static void *once(void *arg)
{
	close(9993);
	return arg;
}

static void busy_with_threads(void)
{
	for (;;) {
		pthread_t threads[3];
		int made = 0;

		while (made < 3 && !pthread_create(&threads[made], NULL, once, NULL))
			made++;
		while (made)
			pthread_join(threads[--made], NULL);
	}
}

static void busy_with_itself(void)
{
	execl(self, self, "again", (char *)NULL);
	_exit(99);
}

/* Each child leads a group, so that its own children go with it. */
static void killed(void (*work)(void), long spin)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		setpgid(0, 0);
		work();
	}
	setpgid(child, child);
	for (volatile long i = 0; i < spin; i++)
		;
	CHECK(kill(-child, SIGKILL) == 0 || kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A modest fork bomb: a tree of processes, every one of which ends. */
static int tree(int depth)
{
	int sum = 1, status;

	for (int i = 0; depth && i < 3; i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (!child)
			_exit(tree(depth - 1));
		CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
		sum += WEXITSTATUS(status);
	}
	return sum;
}

int main(int argc, char **argv)
{
	static void (*const works[])(void) = { busy_with_calls, busy_with_forks, busy_with_execs, busy_with_threads, busy_with_itself };

	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "again"))
		busy_with_itself();
	if (argc > 1)
		return 0;
	srand(4711);
	for (int i = 0; i < 30; i++)
		killed(works[i % 5], rand() % 3000000);
	CHECK(tree(3) == 1 + 3 + 9 + 27);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	puts("kill_zoo: ok");
	return 0;
}
