#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include "memory.h"
#include "source.h"

static struct ring_head *ring_of(const struct source *source)
{
	return arena_ring(source->arena->map, source->slot);
}

static uint64_t *position_of(const struct source *source)
{
	return &source->arena->position[source->slot];
}

static uint64_t head_of(const struct source *source)
{
	return atomic_load_explicit(&ring_of(source)->head, memory_order_acquire);
}

static const char *at_position(const struct source *source)
{
	return ring_data(ring_of(source)) + *position_of(source) % RING_BYTES;
}

#define GIVE_BACK_BYTES 4096u /* at once: the writer's line is written seldom, and nobody waits for so little */

void source_give_back(struct source *source)
{
	source->told = *position_of(source);
	atomic_store_explicit(&ring_of(source)->tail, source->told, memory_order_release);
}

static void advance(struct source *source, uint64_t bytes)
{
	*position_of(source) += bytes;
	if (*position_of(source) - source->told >= GIVE_BACK_BYTES)
		source_give_back(source);
}

static uint32_t read_word(const char *at)
{
	return *(const volatile uint32_t *)at;
}

static enum source_result corrupt(struct source *source)
{
	source_abandon(source);
	return SOURCE_CORRUPT;
}

/* Pads fill the ring to its end, so there is at most one before a record. */
static bool skip_pad(struct source *source, uint64_t waiting)
{
	uint64_t left = RING_BYTES - *position_of(source) % RING_BYTES;

	if (read_word(at_position(source) + 4) != 0)
		return true;
	if (read_word(at_position(source)) != left || left > waiting)
		return false;
	advance(source, left);
	return true;
}

/* How much may be read, in bytes. What was seen before may be of a time before this source, or nonsense. */
static uint64_t look(struct source *source)
{
	if ((int64_t)(source->head - *position_of(source)) <= 0)
		source->head = head_of(source);
	return source->head - *position_of(source);
}

static enum source_result nothing(struct source *source)
{
	if (source->told != *position_of(source))
		source_give_back(source);
	return SOURCE_NONE;
}

enum source_result source_next(struct source *source, struct record *copy)
{
	if (source->corrupt)
		return SOURCE_NONE;
	uint64_t waiting = look(source);

	if (!waiting)
		return nothing(source);
	if (waiting > RING_BYTES || waiting % 8 || !skip_pad(source, waiting))
		return corrupt(source);
	waiting = look(source);
	if (!waiting)
		return nothing(source);
	uint64_t bytes = read_word(at_position(source)), left = RING_BYTES - *position_of(source) % RING_BYTES;

	if (bytes < sizeof(*copy) || bytes > RECORD_MAX || bytes > waiting || bytes > left)
		return corrupt(source);
	memcpy(copy, at_position(source), bytes);
	if (!record_valid(copy, bytes))
		return corrupt(source);
	advance(source, bytes);
	return SOURCE_RECORD;
}

static bool is_open(const struct source *source)
{
	const struct ring_head *ring = ring_of(source);
	uint64_t left = RING_BYTES - *position_of(source) % RING_BYTES;

	return !source->corrupt && left >= sizeof(struct record) && head_of(source) == *position_of(source) &&
	       atomic_load_explicit(&ring->open_at, memory_order_acquire) == *position_of(source) + 1;
}

uint64_t source_open_since(const struct source *source)
{
	if (!is_open(source))
		return 0;
	const struct record *record = (const struct record *)at_position(source);
	uint64_t since = *(const volatile uint64_t *)&record->start_tsc;

	return is_open(source) ? since : 0;
}

bool source_copy_open(const struct source *source, struct record *copy)
{
	uint64_t left = RING_BYTES - *position_of(source) % RING_BYTES;

	if (!is_open(source))
		return false;
	uint64_t bytes = read_word(at_position(source) + 4);

	if (bytes < sizeof(*copy) || bytes > RECORD_MAX || bytes > left)
		return false;
	memcpy(copy, at_position(source), bytes);
	/* A write by the thread that completes it comes after the copied part was read, or is seen here. */
	atomic_thread_fence(memory_order_acquire);
	if (!is_open(source))
		return false;
	copy->size = copy->entry_size = (uint32_t)bytes;
	copy->end_tsc = 0;
	copy->ret = 0;
	return record_valid(copy, bytes);
}

void source_cost(const struct source *source, uint64_t *ticks, uint64_t *calls)
{
	*ticks += ring_of(source)->own_ticks;
	*calls += ring_of(source)->own_samples;
}

uint64_t source_fill(const struct source *source)
{
	return source->corrupt ? 0 : head_of(source) - *position_of(source);
}

uint64_t source_position(const struct source *source)
{
	return *position_of(source);
}

bool source_disturbed(const struct source *source)
{
	const struct ring_head *ring = ring_of(source);

	return !source->corrupt && (atomic_load_explicit(&ring->tail, memory_order_relaxed) != *position_of(source) ||
				    atomic_load_explicit(&ring->abandoned, memory_order_relaxed));
}

void source_abandon(struct source *source)
{
	source->corrupt = true;
	atomic_store_explicit(&ring_of(source)->abandoned, 1, memory_order_relaxed);
}

bool source_free(struct source *source)
{
	struct ring_head *ring = ring_of(source);

	if (!source->ended || atomic_load_explicit(&ring->state, memory_order_acquire) != RING_CLOSED)
		return false;
	if (source->corrupt) {
		/* Where its writer stopped is where the next one begins, if that can be a place at all. */
		*position_of(source) = head_of(source) & ~(uint64_t)7;
		atomic_store_explicit(&ring->head, *position_of(source), memory_order_relaxed);
		source_give_back(source);
		atomic_store_explicit(&ring->abandoned, 0, memory_order_relaxed);
	}
	atomic_store_explicit(&ring->state, RING_FREE, memory_order_release);
	return true;
}

struct front_arena *front_arena_create(void *map)
{
	struct front_arena *arena = allocate(sizeof(*arena));

	arena->references = 1;
	arena->map = map;
	return arena;
}

void front_arena_release(struct front_arena *arena)
{
	if (!arena || --arena->references)
		return;
	munmap(arena->map, ARENA_BYTES);
	free(arena);
}
