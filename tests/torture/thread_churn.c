/* 5,000 short threads, up to 40 at a time, joined and detached: each makes its syscalls and ends. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>
#include "check.h"

#define THREADS 5000
#define ALIVE 40

static atomic_long sum, done;
static sem_t room;

static void *run(void *arg)
{
	long index = (long)arg;

	CHECK(close(9400) == -1 && errno == EBADF);
	CHECK(getppid() > 0);
	atomic_fetch_add(&sum, index);
	atomic_fetch_add(&done, 1);
	CHECK(sem_post(&room) == 0);
	return NULL;
}

int main(void)
{
	pthread_attr_t detached;

	CHECK(sem_init(&room, 0, ALIVE) == 0);
	CHECK(pthread_attr_init(&detached) == 0 && pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0);
	for (long i = 0; i < THREADS; i++) {
		pthread_t thread;

		CHECK(sem_wait(&room) == 0);
		CHECK(pthread_create(&thread, i % 4 ? &detached : NULL, run, (void *)i) == 0);
		if (i % 4 == 0)
			CHECK(pthread_join(thread, NULL) == 0);
	}
	for (int i = 0; i < ALIVE; i++)
		CHECK(sem_wait(&room) == 0);
	CHECK(atomic_load(&done) == THREADS);
	printf("thread_churn: ok %ld\n", atomic_load(&sum));
	return 0;
}
