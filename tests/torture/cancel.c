/* pthread_cancel of a thread that blocks in a syscall: it ends, as cancelled, and its cleanup handlers have run. */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static int ends[2];
static atomic_int cleaned;
static sem_t ready;

static void cleanup(void *arg)
{
	CHECK(close(9000) == -1); /* a syscall from a cleanup handler */
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void block_in_read(void)
{
	char byte;

	(void)!read(ends[0], &byte, 1);
}

static void block_in_poll(void)
{
	struct pollfd one = { .fd = ends[0], .events = POLLIN };

	poll(&one, 1, -1);
}

static void block_in_nanosleep(void)
{
	struct timespec hour = { 3600, 0 };

	nanosleep(&hour, NULL);
}

static void *run(void *arg)
{
	void (*block)(void);

	memcpy(&block, arg, sizeof(block));
	pthread_cleanup_push(cleanup, &cleaned);
	pthread_cleanup_push(cleanup, &cleaned);
	sem_post(&ready);
	for (;;)
		block();
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *run_until_asked(void *arg)
{
	(void)arg;
	pthread_cleanup_push(cleanup, &cleaned);
	CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
	sem_post(&ready);
	for (;;)
		syscall(SYS_getppid);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel_one(void *(*start)(void *), void *arg, int cleanups)
{
	pthread_t thread;
	void *result;

	cleaned = 0;
	CHECK(pthread_create(&thread, NULL, start, arg) == 0);
	CHECK(sem_wait(&ready) == 0);
	CHECK(pthread_cancel(thread) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK(cleaned == cleanups);
}

int main(void)
{
	void (*blocks[])(void) = { block_in_read, block_in_poll, block_in_nanosleep };

	CHECK(pipe(ends) == 0 && sem_init(&ready, 0, 0) == 0);
	for (int round = 0; round < 20; round++)
		for (unsigned i = 0; i < 3; i++)
			cancel_one(run, &blocks[i], 2);
	cancel_one(run_until_asked, NULL, 1);
	puts("cancel: ok");
	return 0;
}
