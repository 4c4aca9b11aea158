/* counter SHARED DIRECTORY ITERATIONS THREADS HOW: every thread appends the numbers 0, 1, 2 ... to a file of its own, one
 * write(2) each, and tells through shared memory how far it is, so that a test knows what was done when something is killed.
 * HOW: run     to the end
 *      block   wait in pause(2) then, for ever
 *      calls   no writes, but getppid(2) by libc; then threads and children
 *      raw     the same by a syscall instruction in memory of its own, as compiled at run time
 *      sleep   run, then a second in nanosleep(2); then threads and children
 *      spawn   run, and the first thread starts a child process (a fork and an exec) at every 16th number */
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8

/* faults.py reads this. `started` counts the writes begun, `done` those that returned. */
struct shared {
	_Atomic int64_t pid, blocking, finished;
	_Atomic int64_t started[THREADS], done[THREADS];
};
static struct shared *shared;
static const char *directory;
static long iterations, thread_count;
static int spawns;
extern char **environ;

#define CHILD_DIED_OF_SIGSYS 9

static _Noreturn void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void spawn(long i)
{
	char text[32];
	char *argv[] = { "sh", "-c", "echo child $0", text, NULL };
	pid_t pid;
	int status;

	snprintf(text, sizeof(text), "%ld", i);
	if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) || waitpid(pid, &status, 0) != pid)
		fail("child");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		_exit(CHILD_DIED_OF_SIGSYS);
	if (status)
		fail("child");
}

typedef long call_function(void);
static call_function *make_call;

static long by_libc(void)
{
	return getppid();
}

static call_function *compiled(void)
{
	static const unsigned char code[] = { 0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xc3 }; /* getppid */
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	call_function *function;

	if (at == MAP_FAILED)
		fail("mmap");
	memcpy(at, code, sizeof(code));
	memcpy(&function, &at, sizeof(at));
	return function;
}

static void *count_calls(long me)
{
	for (long i = 0; i < iterations; i++) {
		atomic_store(&shared->started[me], i + 1);
		if (make_call() <= 0)
			fail("getppid");
		atomic_store(&shared->done[me], i + 1);
	}
	return NULL;
}

static void *count(void *argument)
{
	long me = (long)argument;
	char path[4096], text[32];

	if (make_call)
		return count_calls(me);
	snprintf(path, sizeof(path), "%s/%ld", directory, me);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	for (long i = 0; i < iterations; i++) {
		int bytes = snprintf(text, sizeof(text), "%ld\n", i);

		atomic_store(&shared->started[me], i + 1);
		if (write(fd, text, (size_t)bytes) != bytes)
			fail("write");
		atomic_store(&shared->done[me], i + 1);
		if (spawns && !me && i % 16 == 0)
			spawn(i);
	}
	close(fd);
	return NULL;
}

static void *call_often(void *argument)
{
	for (int i = 0; i < 1000; i++)
		if (getppid() <= 0)
			fail("getppid");
	return argument;
}

/* Threads that run together, and children. */
static void multiply(void)
{
	pthread_t two[2];

	for (long round = 0; round < 5; round++) {
		for (int i = 0; i < 2; i++)
			if (pthread_create(&two[i], NULL, call_often, NULL))
				fail("pthread_create");
		for (int i = 0; i < 2; i++)
			pthread_join(two[i], NULL);
		spawn(round);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc != 6)
		return 2;
	int fd = open(argv[1], O_RDWR | O_CLOEXEC);

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		fail(argv[1]);
	directory = argv[2];
	iterations = atol(argv[3]);
	thread_count = atol(argv[4]);
	spawns = !strcmp(argv[5], "spawn");
	make_call = !strcmp(argv[5], "calls") ? by_libc : !strcmp(argv[5], "raw") ? compiled() : NULL;
	atomic_store(&shared->pid, getpid());
	for (long i = 1; i < thread_count; i++)
		if (pthread_create(&threads[i], NULL, count, (void *)i))
			fail("pthread_create");
	count((void *)0);
	for (long i = 1; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	if (!strcmp(argv[5], "block")) {
		atomic_store(&shared->blocking, 1);
		pause();
	}
	if (!strcmp(argv[5], "sleep")) {
		atomic_store(&shared->blocking, 1);
		sleep(1);
	}
	if (make_call || !strcmp(argv[5], "sleep"))
		multiply();
	printf("counted %ld\n", iterations);
	fflush(stdout);
	atomic_store(&shared->finished, 1);
	return 7;
}
