/* Moments of all threads, put into the order in which they happened. */
#ifndef VTRACE_FRONT_MERGE_H
#define VTRACE_FRONT_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "control.h"
#include "format.h"

/* One syscall, from its ENTER to its EXIT; each of the two moments and the drain hold a reference. */
struct call {
	unsigned references;
	struct call_pool *pool;    /* where it goes back to; NULL: it is freed */
	struct call *next_free;
	uint32_t room;             /* bytes `record` has room for */
	uint64_t id;
	int32_t pid, tid;
	int32_t exit_tid;          /* the leader's after an exec by another thread; else the same */
	struct record *record;     /* validated copy; the complete one once there is one */
	enum call_state state;
	/* Filled when ENTER is reported. */
	bool entered, shown, delayed;
	bool renewed;              /* the record is not the one of its ENTER */
	bool hidden;               /* replay: never shown */
	uint64_t start_ns;
	struct place site, caller;
	enum raw_state raw;
	const char *comm, *via;
};

/* A control datagram, payload behind the head and followed by a NUL. */
struct message { struct control head; char payload[]; };

/* CALL: from its beginning to its end. It comes out as one only when nothing came between the two. */
enum moment_kind { MOMENT_ENTER, MOMENT_EXIT, MOMENT_CALL, MOMENT_MESSAGE };
struct moment {
	uint64_t tsc, sequence;
	uint64_t end_tsc;          /* CALL: of its end; not before tsc */
	enum moment_kind kind;
	struct call *call;         /* ENTER, EXIT, CALL: a reference */
	struct message *message;   /* MESSAGE: owned */
};

/* Calls that are done, to be used again: most records are small, and no call needs memory of its own then. */
struct call_pool { struct call *free; uint32_t count; };

/* items[first..end) are in order. */
struct run { struct moment *items; size_t first, end, capacity; };

#define MERGE_RUNS 4u
struct merge {
	struct call_pool pool;
	struct run runs[MERGE_RUNS];
	unsigned last_run;         /* that something was added to */
	struct moment *heap;
	size_t heaped, capacity;   /* in the heap */
	size_t count;              /* in all */
	uint64_t sequence;
};

/* `pool`: may be NULL. It outlives the call. */
struct call *call_create(struct call_pool *pool, const struct record *record, uint64_t bytes);
void call_release(struct call *call);
/* Another record of the same call: the complete one. Copied. */
void call_renew(struct call *call, const struct record *record);
/* Takes the moment. Equal times keep the order of their adding. */
void merge_add(struct merge *merge, struct moment moment);
/* The earliest moment not later than `limit`, which becomes the caller's. */
bool merge_take(struct merge *merge, uint64_t limit, struct moment *moment);
void moment_release(struct moment *moment);
void merge_close(struct merge *merge);

#endif
