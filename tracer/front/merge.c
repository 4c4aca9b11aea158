/* Moments mostly come in the order of their time, thread by thread: what continues a run is put behind it, and only what fits
 * behind none goes into a binary heap. The earliest moment is the first of a run or the heap's. */
#include <string.h>
#include "memory.h"
#include "merge.h"

#define POOLED_BYTES 512u /* records up to here use a pooled call's room */
#define POOLED_CALLS 1024u

static struct call *pool_take(struct call_pool *pool)
{
	struct call *call = pool ? pool->free : NULL;

	if (call) {
		pool->free = call->next_free;
		pool->count--;
		*call = (struct call){ .record = call->record, .room = call->room };
		return call;
	}
	call = allocate(sizeof(*call));
	call->room = POOLED_BYTES;
	call->record = allocate_unset(call->room);
	return call;
}

static void make_room(struct call *call, uint64_t bytes)
{
	if (bytes <= call->room)
		return;
	free(call->record);
	call->room = (uint32_t)bytes;
	call->record = allocate_unset(call->room);
}

struct call *call_create(struct call_pool *pool, const struct record *record, uint64_t bytes)
{
	struct call *call = pool_take(pool);

	call->references = 1;
	call->pool = pool;
	make_room(call, bytes);
	memcpy(call->record, record, bytes);
	return call;
}

void call_renew(struct call *call, const struct record *record)
{
	make_room(call, record->size);
	memcpy(call->record, record, record->size);
	call->renewed = true;
}

void call_release(struct call *call)
{
	if (!call || --call->references)
		return;
	if (call->pool && call->pool->count < POOLED_CALLS && call->room == POOLED_BYTES) {
		call->next_free = call->pool->free;
		call->pool->free = call;
		call->pool->count++;
		return;
	}
	free(call->record);
	free(call);
}

static void pool_close(struct call_pool *pool)
{
	for (struct call *next, *call = pool->free; call; call = next) {
		next = call->next_free;
		free(call->record);
		free(call);
	}
}

static bool earlier(const struct moment *a, const struct moment *b)
{
	return a->tsc != b->tsc ? a->tsc < b->tsc : a->sequence < b->sequence;
}

static void reserve(struct moment **items, size_t *capacity, size_t count)
{
	if (count <= *capacity)
		return;
	*capacity = *capacity ? *capacity * 2 : 256;
	*items = reallocate(*items, *capacity * sizeof(**items));
}

static void heap_add(struct merge *merge, const struct moment *moment)
{
	reserve(&merge->heap, &merge->capacity, merge->heaped + 1);
	size_t at = merge->heaped++;

	while (at && earlier(moment, &merge->heap[(at - 1) / 2])) {
		merge->heap[at] = merge->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	merge->heap[at] = *moment;
}

/* Behind what is taken there is room again: half of the run at least, so that moving it costs each moment little. */
static void run_add(struct run *run, const struct moment *moment)
{
	if (run->end == run->capacity && run->first > run->capacity / 2) {
		memmove(run->items, run->items + run->first, (run->end - run->first) * sizeof(*run->items));
		run->end -= run->first;
		run->first = 0;
	}
	reserve(&run->items, &run->capacity, run->end + 1);
	run->items[run->end++] = *moment;
}

static bool continues(const struct run *run, const struct moment *moment)
{
	return run->first == run->end || run->items[run->end - 1].tsc <= moment->tsc;
}

void merge_add(struct merge *merge, struct moment moment)
{
	moment.sequence = merge->sequence;
	merge->sequence += moment.kind == MOMENT_CALL ? 2 : 1; /* its end has the second */
	merge->count++;
	for (unsigned i = 0; i < MERGE_RUNS; i++) {
		struct run *run = &merge->runs[(merge->last_run + i) % MERGE_RUNS];

		if (!continues(run, &moment))
			continue;
		merge->last_run = (merge->last_run + i) % MERGE_RUNS;
		run_add(run, &moment);
		return;
	}
	heap_add(merge, &moment);
}

static void sink(struct merge *merge, struct moment moment)
{
	size_t at = 0, child;

	while ((child = at * 2 + 1) < merge->heaped) {
		if (child + 1 < merge->heaped && earlier(&merge->heap[child + 1], &merge->heap[child]))
			child++;
		if (!earlier(&merge->heap[child], &moment))
			break;
		merge->heap[at] = merge->heap[child];
		at = child;
	}
	merge->heap[at] = moment;
}

static const struct moment *earliest(const struct merge *merge, struct run **of)
{
	const struct moment *first = merge->heaped ? merge->heap : NULL;

	*of = NULL;
	for (unsigned i = 0; i < MERGE_RUNS; i++) {
		const struct run *run = &merge->runs[i];

		if (run->first == run->end || (first && !earlier(&run->items[run->first], first)))
			continue;
		first = &run->items[run->first];
		*of = (struct run *)run;
	}
	return first;
}

static void remove_earliest(struct merge *merge, struct run *run)
{
	merge->count--;
	if (!run) {
		merge->heaped--;
		if (merge->heaped)
			sink(merge, merge->heap[merge->heaped]);
		return;
	}
	if (++run->first == run->end)
		run->first = run->end = 0;
}

/* Whether nothing came between the call's beginning and its end. Otherwise the end becomes a moment of its own. */
static void begin_or_whole(struct merge *merge, uint64_t limit, struct moment *moment)
{
	struct moment end = { .tsc = moment->end_tsc, .sequence = moment->sequence + 1, .kind = MOMENT_EXIT, .call = moment->call };
	struct run *run;
	const struct moment *next = earliest(merge, &run);

	if (end.tsc <= limit && (!next || earlier(&end, next)))
		return;
	moment->kind = MOMENT_ENTER;
	end.call->references++;
	merge->count++;
	heap_add(merge, &end);
}

bool merge_take(struct merge *merge, uint64_t limit, struct moment *moment)
{
	struct run *run;
	const struct moment *first = earliest(merge, &run);

	if (!first || first->tsc > limit)
		return false;
	*moment = *first;
	remove_earliest(merge, run);
	if (moment->kind == MOMENT_CALL)
		begin_or_whole(merge, limit, moment);
	return true;
}

void moment_release(struct moment *moment)
{
	call_release(moment->call);
	free(moment->message);
}

void merge_close(struct merge *merge)
{
	for (size_t i = 0; i < merge->heaped; i++)
		moment_release(&merge->heap[i]);
	for (unsigned i = 0; i < MERGE_RUNS; i++) {
		struct run *run = &merge->runs[i];

		for (size_t at = run->first; at < run->end; at++)
			moment_release(&run->items[at]);
		free(run->items);
	}
	free(merge->heap);
	pool_close(&merge->pool);
	*merge = (struct merge){ 0 };
}
