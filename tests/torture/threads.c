/* Eight threads, each with a fixed sequence of syscalls of its own: the pthread program of the comparison with strace. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include <sys/types.h>
#include "check.h"

#define THREADS 8

static int null_fd;

static void *work(void *arg)
{
	long index = (long)arg;

	for (long i = 0; i <= index; i++) {
		CHECK(write(null_fd, "thread", 6) == 6);
		CHECK(close(8000 + (int)(index * 10 + i)) == -1 && errno == EBADF);
		CHECK(getppid() > 0);
	}
	return (void *)(index * index);
}

int main(void)
{
	pthread_t threads[THREADS];
	long sum = 0;

	null_fd = open("/dev/null", O_WRONLY);
	CHECK(null_fd >= 0);
	for (long i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	for (long i = 0; i < THREADS; i++) {
		void *result;

		CHECK(pthread_join(threads[i], &result) == 0);
		sum += (long)result;
	}
	printf("threads: ok %ld\n", sum);
	return 0;
}
