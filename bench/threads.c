/* threads THREADS N: each of THREADS threads makes N pairs of pread(2) and getppid(2); nothing is shared but the process. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int zero;
static long count;

static void *work(void *unused)
{
	char text[16];

	for (long i = 0; i < count; i++) {
		if (pread(zero, text, sizeof(text), 0) != sizeof(text))
			exit(1);
		syscall(SYS_getppid);
	}
	return unused;
}

int main(int argc, char **argv)
{
	long threads = argc == 3 ? atol(argv[1]) : 0;
	pthread_t ids[64];

	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (threads < 1 || threads > 64 || zero < 0) {
		fprintf(stderr, "usage: threads THREADS N    (at most 64 threads)\n");
		return 2;
	}
	count = atol(argv[2]);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, NULL))
			return 1;
	for (long i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return 0;
}
