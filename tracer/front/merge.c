/* A binary heap, earliest first. */
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
	call->record = allocate(call->room);
	return call;
}

static void make_room(struct call *call, uint64_t bytes)
{
	if (bytes <= call->room)
		return;
	free(call->record);
	call->room = (uint32_t)bytes;
	call->record = allocate(call->room);
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

void merge_add(struct merge *merge, struct moment moment)
{
	if (merge->count == merge->capacity) {
		merge->capacity = merge->capacity ? merge->capacity * 2 : 256;
		merge->heap = reallocate(merge->heap, merge->capacity * sizeof(*merge->heap));
	}
	size_t at = merge->count++;

	moment.sequence = merge->sequence++;
	while (at && earlier(&moment, &merge->heap[(at - 1) / 2])) {
		merge->heap[at] = merge->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	merge->heap[at] = moment;
}

static void sink(struct merge *merge, struct moment moment)
{
	size_t at = 0, child;

	while ((child = at * 2 + 1) < merge->count) {
		if (child + 1 < merge->count && earlier(&merge->heap[child + 1], &merge->heap[child]))
			child++;
		if (!earlier(&merge->heap[child], &moment))
			break;
		merge->heap[at] = merge->heap[child];
		at = child;
	}
	merge->heap[at] = moment;
}

bool merge_take(struct merge *merge, uint64_t limit, struct moment *moment)
{
	if (!merge->count || merge->heap[0].tsc > limit)
		return false;
	*moment = merge->heap[0];
	merge->count--;
	if (merge->count)
		sink(merge, merge->heap[merge->count]);
	return true;
}

void moment_release(struct moment *moment)
{
	call_release(moment->call);
	free(moment->message);
}

void merge_close(struct merge *merge)
{
	for (size_t i = 0; i < merge->count; i++)
		moment_release(&merge->heap[i]);
	free(merge->heap);
	pool_close(&merge->pool);
	*merge = (struct merge){ 0 };
}
