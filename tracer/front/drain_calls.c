/* The ENTER and EXIT of each record. A program may write any time into its ring: times are put into the order
 * start, end, now. */
#include <string.h>
#include "clock.h"
#include "drain_calls.h"
#include "memory.h"

#define FIRST_RESTART 512
#define LAST_RESTART 516

static uint64_t end_of(const struct record *record)
{
	return record->end_tsc ? record->end_tsc : record->start_tsc;
}

static void add_moment(struct drain *drain, enum moment_kind kind, struct call *call, uint64_t tsc)
{
	call->references++;
	merge_add(drain->merge, (struct moment){ .tsc = tsc, .kind = kind, .call = call });
}

/* A time that is later than a moment ago is looked at again: reading the clock costs as much as copying a record. */
static uint64_t not_after_now(struct drain *drain, uint64_t tsc)
{
	if (tsc > drain->now)
		drain->now = tsc_now();
	return tsc > drain->now ? drain->now : tsc;
}

static void tame_times(struct drain *drain, struct record *record)
{
	record->start_tsc = not_after_now(drain, record->start_tsc);
	if (!record->end_tsc)
		return;
	record->end_tsc = not_after_now(drain, record->end_tsc);
	if (record->end_tsc < record->start_tsc)
		record->end_tsc = record->start_tsc;
}

static struct call *create(struct drain *drain, const struct flow *flow, struct record *record)
{
	tame_times(drain, record);
	record->pid = flow->pid;
	record->tid = flow->tid;
	struct call *call = call_create(&drain->merge->pool, record, record->size);

	call->id = drain->next_id++;
	call->pid = flow->pid;
	call->tid = call->exit_tid = flow->tid;
	return call;
}

static struct call *begin(struct drain *drain, const struct flow *flow, struct record *record)
{
	struct call *call = create(drain, flow, record);

	add_moment(drain, MOMENT_ENTER, call, record->start_tsc);
	return call;
}

static void end(struct drain *drain, struct call *call, enum call_state state, uint64_t tsc)
{
	call->state = state;
	add_moment(drain, MOMENT_EXIT, call, tsc);
	call_release(call);
}

/* Begins and ends: the reference becomes the moment's. */
static void whole(struct drain *drain, const struct flow *flow, struct record *record, enum call_state state)
{
	struct call *call = create(drain, flow, record);

	call->state = state;
	merge_add(drain->merge, (struct moment){ .tsc = record->start_tsc, .end_tsc = end_of(record), .kind = MOMENT_CALL,
						  .call = call });
}

static enum call_state state_of(const struct record *record)
{
	if (record->reserved == RECORD_NO_RESULT && record->caught == CAUGHT_NET)
		return CALL_UNAVAILABLE;
	return record->ret >= -LAST_RESTART && record->ret <= -FIRST_RESTART ? CALL_INTERRUPTED : CALL_DONE;
}

void flow_open(struct drain *drain, struct flow *flow, struct record *record)
{
	flow->open_since = 0;
	/* The record of a call that an exec or an end closed stays open in its ring. */
	if (flow->closed_since && flow->closed_since == record->start_tsc)
		return;
	flow_close(drain, flow, CALL_NOT_MADE, record->start_tsc);
	flow->open = begin(drain, flow, record);
}

void flow_open_from_ring(struct drain *drain, struct flow *flow)
{
	flow->open_since = 0;
	if (source_copy_open(flow->source, drain->record))
		flow_open(drain, flow, drain->record);
}

/* By a message. */
static bool is_keepers(const struct record *record)
{
	return record->caught == CAUGHT_PTRACE || record->caught == CAUGHT_NET;
}

void flow_complete(struct drain *drain, struct flow *flow, struct record *record)
{
	struct call *call = flow->open;

	tame_times(drain, record);
	if (record->kind == RECORD_VDSO) { /* complete, and no end of an open call */
		whole(drain, flow, record, CALL_DONE);
		return;
	}
	if (flow->closed_since && flow->closed_since == record->start_tsc)
		return;
	flow->open_since = 0;
	if (call && call->record->start_tsc == record->start_tsc) {
		call_renew(call, record);
		flow->open = NULL;
		end(drain, call, state_of(record), end_of(record));
		return;
	}
	/* The end of a call that the keeper tells of (int 0x80) is a message, which may come after what the ring has of later calls. */
	if (call && is_keepers(call->record) && !is_keepers(record)) {
		whole(drain, flow, record, state_of(record));
		return;
	}
	/* What was open, if anything, was taken back: the keeper's abandon_record. */
	flow_close(drain, flow, CALL_NOT_MADE, record->start_tsc);
	whole(drain, flow, record, state_of(record));
}

void flow_close(struct drain *drain, struct flow *flow, enum call_state state, uint64_t tsc)
{
	struct call *call = flow->open;

	if (!call)
		return;
	flow->open = NULL;
	flow->closed_since = call->record->start_tsc;
	call->exit_tid = flow->tid;
	call->record->end_tsc = tsc;
	call->record->ret = 0;
	end(drain, call, state, tsc);
}
