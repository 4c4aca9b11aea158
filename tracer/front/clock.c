#include <time.h>
#include <x86intrin.h>
#include "clock.h"

#define FIRST_BASELINE_NS 2000000
#define GUESSED_SLOPE 0.5
#define REFINE_NS 20000000
#define CATCH_UP_NS 200000000.0

uint64_t tsc_now(void)
{
	return __rdtsc();
}

static uint64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The closest of a few tries: one that was not preempted between the two readings. */
static struct clock_pair read_pair(void)
{
	struct clock_pair best = { 0 };
	uint64_t best_width = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t before = tsc_now(), ns = read_clock(CLOCK_MONOTONIC), after = tsc_now();

		if (after - before >= best_width)
			continue;
		best_width = after - before;
		best = (struct clock_pair){ before + (after - before) / 2, ns };
	}
	return best;
}

void tsc_clock_start(struct tsc_clock *clock)
{
	clock->start = read_pair();
	clock->realtime_ns = read_clock(CLOCK_REALTIME);
	clock->anchor = (struct clock_pair){ clock->start.tsc, 0 };
	clock->slope = GUESSED_SLOPE;
	clock->settled = false;
}

bool tsc_clock_settled(struct tsc_clock *clock)
{
	if (clock->settled)
		return true;
	struct clock_pair now = read_pair();

	if (now.ns - clock->start.ns < FIRST_BASELINE_NS)
		return false;
	clock->slope = (double)(now.ns - clock->start.ns) / (double)(now.tsc - clock->start.tsc);
	clock->settled = true;
	return true;
}

uint64_t tsc_clock_ns(const struct tsc_clock *clock, uint64_t tsc)
{
	double ns = (double)clock->anchor.ns + (double)(int64_t)(tsc - clock->anchor.tsc) * clock->slope;

	return ns > 0 ? (uint64_t)ns : 0;
}

/* The line goes on from where it is now (never back), bent so that it meets the true one a little later. */
void tsc_clock_learn(struct tsc_clock *clock, struct clock_pair now)
{
	uint64_t here = tsc_clock_ns(clock, now.tsc);
	double passed = (double)(now.ns - clock->start.ns);
	double rate = passed / (double)(now.tsc - clock->start.tsc);
	double bend = (passed - (double)here) / CATCH_UP_NS;

	bend = bend > 0.5 ? 0.5 : bend < -0.5 ? -0.5 : bend;
	clock->anchor = (struct clock_pair){ now.tsc, here };
	clock->slope = rate * (1 + bend);
}

void tsc_clock_refine(struct tsc_clock *clock)
{
	double since = (double)(int64_t)(tsc_now() - clock->anchor.tsc) * clock->slope;

	if (since >= REFINE_NS)
		tsc_clock_learn(clock, read_pair());
}
