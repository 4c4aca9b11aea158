/* getppid BURSTS CALLS: what getppid(2) costs the program that makes it: CALLS of them, timed, BURSTS times. Prints the nanoseconds
 * per call of the median burst and of the best. Between bursts it sleeps, and makes some calls that are not timed: a tracer has
 * then emptied its buffers, and the caches are warm. With one burst there is neither: a loop, whose wall time is of interest. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WARMING = 50, PAUSE_US = 20000 };

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void call(long times)
{
	for (long i = 0; i < times; i++)
		syscall(SYS_getppid);
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv)
{
	long bursts = argc == 3 ? atol(argv[1]) : 0;
	long calls = argc == 3 ? atol(argv[2]) : 0;
	double *cost;

	if (bursts < 1 || calls < 1) {
		fprintf(stderr, "usage: getppid BURSTS CALLS\n");
		return 2;
	}
	cost = calloc((size_t)bursts, sizeof(*cost));
	if (!cost)
		return 1;
	for (long i = 0; i < bursts; i++) {
		double start;

		if (bursts > 1) {
			usleep(PAUSE_US);
			call(WARMING);
		}
		start = now_ns();
		call(calls);
		cost[i] = (now_ns() - start) / (double)calls;
	}
	qsort(cost, (size_t)bursts, sizeof(*cost), compare);
	printf("%.1f %.1f\n", cost[bursts / 2], cost[0]);
	free(cost);
	return 0;
}
