/* pingpong N: two threads hand a ball to each other N times, each waiting in futex(2) for its turn: 4 N calls at most, N wake-ups
 * of a sleeping thread at least; the time is that of waking. */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic unsigned turn;
static long count;

static void futex(int operation, unsigned value)
{
	syscall(SYS_futex, &turn, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void *play(void *argument)
{
	unsigned me = (unsigned)(size_t)argument;

	for (long i = 0; i < count; i++) {
		while (atomic_load(&turn) != me)
			futex(FUTEX_WAIT, !me);
		atomic_store(&turn, !me);
		futex(FUTEX_WAKE, 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t other;

	if (argc != 2) {
		fprintf(stderr, "usage: pingpong N\n");
		return 2;
	}
	count = atol(argv[1]);
	if (pthread_create(&other, NULL, play, (void *)1))
		return 1;
	play((void *)0);
	pthread_join(other, NULL);
	return 0;
}
