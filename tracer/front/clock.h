/* From the TSC to nanoseconds since the trace began. Monotonic, whatever is learned later about the TSC's rate. */
#ifndef VTRACE_FRONT_CLOCK_H
#define VTRACE_FRONT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock_pair { uint64_t tsc, ns; };
struct tsc_clock {
	struct clock_pair start;  /* ns: CLOCK_MONOTONIC */
	struct clock_pair anchor; /* ns: since start; times from here on use `slope` */
	double slope;             /* ns per TSC tick */
	uint64_t realtime_ns;     /* at start */
	bool settled;             /* the rate has been measured; before, `slope` is a guess */
};

void tsc_clock_start(struct tsc_clock *clock);
/* Measures the rate, once enough time has passed for that: no event may be shown before. */
bool tsc_clock_settled(struct tsc_clock *clock);
/* Takes what time has passed into account. */
void tsc_clock_refine(struct tsc_clock *clock);
/* The same with a pair given: for tests. */
void tsc_clock_learn(struct tsc_clock *clock, struct clock_pair now);
uint64_t tsc_clock_ns(const struct tsc_clock *clock, uint64_t tsc);
uint64_t tsc_now(void);

#endif
