/* When the next round comes: a ring holds what a thread does in a tenth of a millisecond, and one that is full stops its thread. */
#ifndef VTRACE_FRONT_PACE_H
#define VTRACE_FRONT_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t round_ns; /* when the last round ended */
	uint64_t quick_ns; /* until when a thread is expected to go on as quickly as it did */
	long wait_ns;      /* of PACE_SLEEP */
};

enum pace_way { PACE_WATCH /* the rings, without sleeping */, PACE_SLEEP /* for wait_ns, or until a message comes */ };

/* A round ended at `now_ns`, which read so many bytes of rings. */
enum pace_way pace_after_round(struct pace *pace, uint64_t now_ns, uint64_t bytes);

#endif
