/* many WHAT N: a lot of one thing; prints what it did.
 *      threads    N threads that live at once; each makes a few calls, waits for all others, and makes a few more.
 *                 While all wait, the memory of this process goes to stderr, in KiB
 *      processes  N short processes, one after another, each with a fork, an exec of this program ("child") and a wait
 *      calls      N getppid(2)
 *      names      N execve(2) that fail, each of another long name */
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static pthread_barrier_t arrived, all;
static _Atomic long calls;

static void few_calls(long me)
{
	for (int i = 0; i < 3; i++)
		calls += syscall(SYS_lseek, -1, me, i) == -1;
}

static void *thread(void *argument)
{
	few_calls((long)argument);
	pthread_barrier_wait(&arrived);
	pthread_barrier_wait(&all);
	few_calls((long)argument);
	return NULL;
}

static void tell_memory(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%*d %ld", &pages) != 1)
		exit(1);
	fclose(file);
	fprintf(stderr, "%ld\n", pages * (sysconf(_SC_PAGESIZE) / 1024));
}

static long threads(long count)
{
	pthread_t *ids = calloc((size_t)count, sizeof(*ids));
	pthread_attr_t small;
	long started = 0;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_barrier_init(&arrived, NULL, (unsigned)count + 1);
	pthread_barrier_init(&all, NULL, (unsigned)count + 1);
	while (started < count && !pthread_create(&ids[started], &small, thread, (void *)started))
		started++;
	if (started < count)
		exit(1);
	pthread_barrier_wait(&arrived);
	tell_memory();
	pthread_barrier_wait(&all);
	for (long i = 0; i < count; i++)
		pthread_join(ids[i], NULL);
	return calls;
}

static long processes(long count, char *self)
{
	char number[24], *argv[] = { self, (char *)"child", number, NULL };
	long good = 0;

	for (long i = 0; i < count; i++) {
		pid_t pid;
		int status;

		snprintf(number, sizeof(number), "%ld", i % 100);
		if (!posix_spawn(&pid, self, NULL, NULL, argv, environ) && waitpid(pid, &status, 0) == pid)
			good += WIFEXITED(status) && WEXITSTATUS(status) == i % 100;
	}
	return good;
}

static long names(long count)
{
	char path[3000], *argv[] = { path, NULL };
	long failed = 0;

	memset(path, 'x', sizeof(path));
	for (long i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "/dev/null/%0200ld", i);
		path[strlen(path)] = '/';
		path[sizeof(path) - 1] = 0;
		failed += execve(path, argv, environ) < 0;
	}
	return failed;
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? atol(argv[2]) : 0, done = 0;

	if (argc != 3)
		return 2;
	switch (argv[1][0] << 8 | argv[1][1]) {
	case 'c' << 8 | 'h': return (int)count;
	case 't' << 8 | 'h': done = threads(count); break;
	case 'p' << 8 | 'r': done = processes(count, argv[0]); break;
	case 'n' << 8 | 'a': done = names(count); break;
	case 'c' << 8 | 'a':
		for (; done < count; done++)
			syscall(SYS_getppid);
		break;
	}
	printf("%s: %ld\n", argv[1], done);
	return 0;
}
