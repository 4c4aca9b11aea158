/* From the control socket and the rings to moments. Knows which thread writes where and which call each is in. */
#ifndef VTRACE_FRONT_DRAIN_H
#define VTRACE_FRONT_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "merge.h"
#include "source.h"
#include "table.h"

/* A thread as the drain sees it. */
struct flow {
	int32_t pid, tid;
	struct source *source;      /* NULL: by ptrace */
	struct call *open;          /* the call it is in, once its ENTER was added; a reference */
	uint64_t open_since;        /* of a record seen open, its ENTER not yet added; else 0 */
	uint64_t read_until;        /* end of the last call read: what is still in the ring began later */
	bool unread;                /* there is something in the ring */
	uint64_t closed_since;      /* start of the last call an exec or an end closed */
};

struct drain {
	int socket;
	const struct control_shared *shared;
	struct merge *merge;        /* borrowed */
	struct table flows, arenas; /* struct flow by tid, struct front_arena by id */
	struct source **sources;
	size_t source_count, source_capacity;
	uint64_t next_id;
	uint64_t now;               /* when the clock was read last: no record is later */
	uint64_t round_before;      /* when it began: all that was in the rings then has been read */
	int32_t program;            /* pid of the program, 0 until it is there */
	uint64_t bytes;             /* read from rings in the last round */
	bool damaged;               /* a ring was spoilt: the trace lacks calls */
	bool ended;                 /* MSG_FINISHED, MSG_FAILED, or the keeper is gone */
	bool finished, failed;      /* which */
	struct control last;        /* that message */
	char what[256];             /* and MSG_FAILED's payload */
	uint64_t agent_ticks, agent_calls; /* of rings that were left */
	int net;                    /* the seccomp net's listener, -1: none */
	char *buffer;               /* CONTROL_MAX + 1 */
	struct record *record;      /* RECORD_MAX */
};

/* `shared`: with the keeper, borrowed. */
void drain_open(struct drain *drain, int socket, const struct control_shared *shared, struct merge *merge);
void drain_close(struct drain *drain);
/* One round over all rings and the socket. Moments up to the returned time are all there. */
uint64_t drain_round(struct drain *drain);
/* Whether a ring holds more than a little by now. */
bool drain_worthwhile(const struct drain *drain);
/* After the last round: calls still open are told as such. */
void drain_finish(struct drain *drain);

#endif
