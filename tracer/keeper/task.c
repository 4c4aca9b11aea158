/* Tables of the traced threads, their address spaces and the arenas these map. */
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "keeper.h"

struct space *space_of(struct keeper *k, const struct task *task)
{
	return &k->spaces[task->space];
}

static uint32_t place_of(pid_t tid)
{
	return (uint32_t)tid * 2654435761u % TASK_MAX;
}

struct task *task_find(struct keeper *k, pid_t tid)
{
	for (uint32_t i = place_of(tid); k->tasks[i].tid; i = (i + 1) % TASK_MAX)
		if (k->tasks[i].tid == tid)
			return &k->tasks[i];
	return NULL;
}

static struct task *task_place(struct keeper *k, pid_t tid)
{
	uint32_t i = place_of(tid);

	while (k->tasks[i].tid)
		i = (i + 1) % TASK_MAX;
	return &k->tasks[i];
}

struct task *task_add(struct keeper *k, pid_t tid, pid_t pid, uint32_t space)
{
	if (k->live >= TASK_MAX / 2)
		return NULL;
	struct task *task = task_place(k, tid);

	*task = (struct task){ .tid = tid, .pid = pid, .order = k->live, .space = space, .chunk = NO_INDEX, .slot = -1,
			       .sighand = ++k->sighands };
	k->tids[k->live++] = tid;
	return task;
}

/* Removal from an open-addressed table: what follows in the same run is put in again. */
static void task_clear(struct keeper *k, struct task *task)
{
	uint32_t i = (uint32_t)(task - k->tasks);

	task->tid = 0;
	for (i = (i + 1) % TASK_MAX; k->tasks[i].tid; i = (i + 1) % TASK_MAX) {
		struct task moved = k->tasks[i];

		k->tasks[i].tid = 0;
		*task_place(k, moved.tid) = moved;
	}
}

static void space_leave(struct keeper *k, uint32_t index)
{
	struct space *space = &k->spaces[index];

	if (index == NO_INDEX || --space->tasks)
		return;
	if (space->memory_plus_one)
		close(space->memory_plus_one - 1);
	space->memory_plus_one = 0;
	for (uint32_t i = 0; i < space->chunks; i++) {
		struct arena *arena = &k->arenas[space->arena[i]];

		if (--arena->spaces)
			continue;
		if (arena->map)
			munmap(arena->map, ARENA_BYTES);
		arena->map = NULL;
		close(arena->fd);
	}
	space->chunks = 0;
}

void task_leave_space(struct keeper *k, struct task *task)
{
	if (task->parks_parent)
		space_of(k, task)->parked--;
	task->parks_parent = false;
	space_leave(k, task->space);
}

void task_remove(struct keeper *k, struct task *task)
{
	task_drop_slot(k, task);
	ptrace_path_forget(task);
	pid_t last = k->tids[--k->live];

	k->tids[task->order] = last;
	task_find(k, last)->order = task->order;
	task_leave_space(k, task);
	task_clear(k, task);
}

void task_rename(struct keeper *k, struct task *task, pid_t tid)
{
	struct task copy = *task;

	task_clear(k, task);
	copy.tid = tid;
	k->tids[copy.order] = tid;
	*task_place(k, tid) = copy;
}

/* Index of an unused space with one task, or NO_INDEX. */
uint32_t space_new(struct keeper *k)
{
	for (uint32_t i = 0; i < SPACE_MAX; i++) {
		struct space *space = &k->spaces[i];

		if (space->tasks)
			continue;
		*space = (struct space){ .tasks = 1 };
		return i;
	}
	return NO_INDEX;
}

uint32_t space_copy(struct keeper *k, uint32_t from)
{
	uint32_t to = space_new(k);

	if (to == NO_INDEX)
		return to;
	k->spaces[to] = k->spaces[from];
	k->spaces[to].tasks = 1;
	k->spaces[to].parked = 0;
	k->spaces[to].memory_plus_one = 0;
	k->spaces[to].owner = 0;
	for (uint32_t i = 0; i < k->spaces[from].chunks; i++) {
		k->arenas[k->spaces[to].arena[i]].spaces++;
	}
	return to;
}

/* Most processes end before the keeper must look into a ring of theirs, and unmapping costs the most. */
struct ring_head *ring_of(struct arena *arena, uint32_t slot)
{
	if (!arena->map) {
		void *map = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);

		if (map == MAP_FAILED)
			return NULL;
		arena->map = map;
	}
	return arena_ring(arena->map, slot);
}

struct ring_head *task_ring(struct keeper *k, const struct task *task)
{
	if (task->chunk == NO_INDEX)
		return NULL;
	return ring_of(&k->arenas[space_of(k, task)->arena[task->chunk]], (uint32_t)task->slot);
}

static bool is_free(const struct keeper *k, struct arena *arena, uint32_t slot)
{
	const struct ring_head *ring;

	if (arena->taken & 1u << slot)
		return false;
	if (!(arena->used & 1u << slot))
		return true;
	ring = ring_of(arena, slot);
	uint32_t state = ring ? __atomic_load_n(&ring->state, __ATOMIC_ACQUIRE) : RING_USED;

	return state == RING_FREE || (state == RING_CLOSED && k->control < 0);
}

static void take_again(const struct keeper *k, struct ring_head *ring, pid_t tid)
{
	ring->tid = tid;
	ring->limit = k->launch->ring_bytes;
	ring->own_ticks = ring->own_samples = 0;
	ring->free_until = 0;
	/* The call its former thread died in, or left by exec, is not this one's. */
	__atomic_store_n(&ring->open_at, 0, __ATOMIC_RELEASE);
	ring_set_reader(ring, k->control >= 0);
	__atomic_store_n(&ring->state, RING_USED, __ATOMIC_RELEASE);
}

/* Written where its thread will need the page, before anyone reads it. */
static int take_new(struct keeper *k, uint64_t address, pid_t tid)
{
	struct ring_head ring = { .state = RING_USED, .tid = tid, .limit = k->launch->ring_bytes };

	ring_set_reader(&ring, k->control >= 0);
	return tracee_write(k, tid, address, &ring, sizeof(ring));
}

static bool take(struct keeper *k, uint32_t chunk, struct arena *arena, uint32_t slot, pid_t tid)
{
	if (arena->used & 1u << slot)
		take_again(k, ring_of(arena, slot), tid);
	else if (take_new(k, CHUNK_ARENA(chunk) + (uint64_t)slot * RING_STRIDE, tid))
		return false;
	arena->taken |= 1u << slot;
	arena->used |= 1u << slot;
	return true;
}

bool task_take_slot(struct keeper *k, struct task *task)
{
	struct space *space = space_of(k, task);

	for (uint32_t chunk = 0; chunk < space->chunks; chunk++)
		for (uint32_t slot = 0; slot < ARENA_SLOTS; slot++) {
			struct arena *arena = &k->arenas[space->arena[chunk]];

			if (!is_free(k, arena, slot) || !take(k, chunk, arena, slot, task->tid))
				continue;
			task->chunk = chunk;
			task->slot = (int32_t)slot;
			return true;
		}
	return false;
}

static void close_ring(const struct arena *arena, uint32_t slot)
{
	const uint32_t state = RING_CLOSED;
	const uint64_t at = (uint64_t)slot * RING_STRIDE + offsetof(struct ring_head, state);

	if (arena->map)
		__atomic_store_n(&arena_ring(arena->map, slot)->state, state, __ATOMIC_RELEASE);
	else if (pwrite(arena->fd, &state, sizeof(state), (off_t)at) < 0)
		return; /* it is not used again */
}

void task_drop_slot(struct keeper *k, struct task *task)
{
	if (task->chunk != NO_INDEX) {
		struct arena *arena = &k->arenas[space_of(k, task)->arena[task->chunk]];

		arena->taken &= ~(1u << task->slot);
		close_ring(arena, (uint32_t)task->slot);
	}
	task->chunk = NO_INDEX;
	task->slot = -1;
}
