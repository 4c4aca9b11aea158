/* exec by a thread that is not the leader, while 50 others make syscalls, block, or make threads; again and again. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define BUSY 50
#define GENERATIONS 2

static atomic_int up;

static void *busy(void *arg)
{
	long index = (long)arg;
	int ends[2];
	char byte;

	CHECK(pipe(ends) == 0);
	atomic_fetch_add(&up, 1);
	for (;;) {
		if (index % 3 == 0)
			(void)!read(ends[0], &byte, 1);
		else
			CHECK(close(90000) == -1 && getppid() > 0);
	}
	return NULL;
}

struct next { char *program, generation[16], pid[16]; };

static void *run(void *arg)
{
	struct next *next = arg;
	char *argv[] = { next->program, next->generation, next->pid, NULL };

	while (atomic_load(&up) < BUSY)
		;
	CHECK(syscall(SYS_gettid) != getpid());
	CHECK(execv("/there/is/no/such/program", argv) == -1 && errno == ENOENT); /* and all goes on */
	CHECK(getppid() > 0);
	execv(next->program, argv);
	CHECK(!"execv came back");
	return NULL;
}

int main(int argc, char **argv)
{
	static struct next next;
	int generation = argc > 1 ? atoi(argv[1]) : 0;
	pthread_t thread;

	if (argc > 2)
		CHECK(getpid() == atoi(argv[2]) && syscall(SYS_gettid) == getpid());
	for (int fd = 3; fd < 1000; fd++)
		close(fd); /* the pipes of the generation before */
	if (generation == GENERATIONS) {
		puts("exec_busy: ok");
		return 9;
	}
	next.program = argv[0];
	snprintf(next.generation, sizeof(next.generation), "%d", generation + 1);
	snprintf(next.pid, sizeof(next.pid), "%d", getpid());
	for (long i = 0; i < BUSY; i++)
		CHECK(pthread_create(&thread, NULL, busy, (void *)i) == 0);
	CHECK(pthread_create(&thread, NULL, run, &next) == 0);
	if (generation & 1)
		pthread_exit(NULL); /* the leader is dead already when the other execs */
	for (;;)
		pause();
}
