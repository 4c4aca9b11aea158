/* Arena: the shared memory file of one image (and its fork children until they exec), ARENA_SLOTS rings.
 * One writer (a thread, through the agent), one reader (the front). No locks. Freestanding.
 *
 * Positions grow without bound; the place in `data` is position % RING_BYTES. A record never wraps: where it
 * would, a RECORD_PAD fills the end (a remainder under 8 bytes cannot occur: everything is a multiple of 8; a
 * pad may be as short as 8 bytes, so only its size and entry_size words are there, entry_size 0 marking a pad).
 * Complete records lie in [tail, head). The record being written, if open_at == head + 1, starts at head: its
 * first entry_size bytes are stable (the call is in the kernel), the rest is not. */
#ifndef VTRACE_WIRE_RING_H
#define VTRACE_WIRE_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include "record.h"

#define RING_BYTES 65536u
#define ARENA_SLOTS 16u

enum ring_state { RING_FREE = 0, RING_USED = 1, RING_CLOSED = 2 /* writer gone: front drains, then sets FREE */ };

#define RING_DISPATCH 1u /* SYSCALL_DISPATCH_FILTER_BLOCK */

struct ring_head {
	_Atomic uint64_t head;     /* written by the agent (and by the keeper while the thread is stopped) */
	_Atomic uint64_t open_at;
	_Atomic uint32_t state;    /* enum ring_state */
	int32_t tid;
	uint64_t lost;             /* records dropped because the front is gone */
	_Atomic uint32_t selector; /* user dispatch's: RING_DISPATCH, or 0 when nobody is there to take the SIGSYS stops */
	uint32_t own_samples;      /* agent: calls whose cost was measured */
	uint64_t own_ticks;        /* agent: TSC ticks spent in those beside the calls themselves */
	uint64_t free_until;       /* agent: the position up to which there was room when it looked at `tail` */
	uint64_t pad0;
	_Atomic uint64_t tail;     /* written by the front */
	_Atomic uint32_t abandoned; /* set by the keeper when the front has died: write nothing more */
	uint32_t limit;            /* bytes that may be in use, at least RECORD_MAX; 0: RING_BYTES */
	uint64_t pad3[6];
};
_Static_assert(sizeof(struct ring_head) == 128, "struct ring_head is part of the wire format");

#define RING_STRIDE (RING_BYTES + 4096u)   /* header page, then data */
#define ARENA_BYTES ((uint64_t)ARENA_SLOTS * RING_STRIDE)

static inline struct ring_head *arena_ring(void *arena, uint32_t slot)
{
	return (struct ring_head *)((char *)arena + (uint64_t)slot * RING_STRIDE);
}

/* Without a reader nobody waits for room, and nothing need be dispatched any more: the seccomp net still answers. */
static inline void ring_set_reader(struct ring_head *ring, int there)
{
	atomic_store_explicit(&ring->abandoned, !there, memory_order_relaxed);
	atomic_store_explicit(&ring->selector, there ? RING_DISPATCH : 0, memory_order_relaxed);
}

static inline char *ring_data(struct ring_head *ring)
{
	return (char *)ring + 4096;
}

#endif
