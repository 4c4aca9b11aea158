#include "pace.h"
#include "ring.h"

#define SLEEP_MIN_NS 50000    /* the shortest that is worth its two switches */
#define SLEEP_BUSY_NS 1000000
#define SLEEP_IDLE_NS 20000000
#define QUICK_NS 300000       /* longer than a thread sleeps that finds its ring full */

static long longer(long wait_ns)
{
	long next = wait_ns * 2 < SLEEP_MIN_NS ? SLEEP_MIN_NS : wait_ns * 2;

	return next > SLEEP_IDLE_NS ? SLEEP_IDLE_NS : next;
}

/* As if all that was read were one thread's: then half a ring is filled in so long. */
static uint64_t half_full_ns(uint64_t elapsed_ns, uint64_t bytes)
{
	return elapsed_ns * (RING_BYTES / 2) / bytes;
}

enum pace_way pace_after_round(struct pace *pace, uint64_t now_ns, uint64_t bytes)
{
	uint64_t half_ns = bytes ? half_full_ns(now_ns - pace->round_ns, bytes) : UINT64_MAX;

	pace->round_ns = now_ns;
	if (half_ns < 2 * SLEEP_MIN_NS)
		pace->quick_ns = now_ns + QUICK_NS;
	if (now_ns < pace->quick_ns) {
		pace->wait_ns = 0;
		return PACE_WATCH;
	}
	if (!bytes)
		pace->wait_ns = longer(pace->wait_ns);
	else
		pace->wait_ns = half_ns / 4 < SLEEP_BUSY_NS ? (long)(half_ns / 4) : SLEEP_BUSY_NS;
	return PACE_SLEEP;
}
