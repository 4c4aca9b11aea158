/* Threads whose ring is full stay in a stop until the front has made room: they leave the processor to it. Rings are looked at
 * from the main loop, every ROOM_WAIT_NS while anyone waits. It is not the stop of their AGENT_CALL_FULL: if the keeper were
 * killed meanwhile, that would end with its signal, and they with it. */
#include <sys/ptrace.h>
#include "keeper.h"

static bool has_room(struct keeper *k, const struct task *task)
{
	const struct ring_head *ring = task_ring(k, task);
	uint64_t limit = k->launch->ring_bytes ? k->launch->ring_bytes : RING_BYTES;

	if (!ring || __atomic_load_n(&ring->abandoned, __ATOMIC_RELAXED))
		return true;
	uint64_t used = __atomic_load_n(&ring->head, __ATOMIC_RELAXED) - __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);

	return used <= limit / 2 || used > RING_BYTES; /* or scribbled over */
}

void room_ask(struct keeper *k, struct task *task)
{
	task->wants_room = !has_room(k, task) && !ptrace(PTRACE_INTERRUPT, task->tid, 0, 0);
}

bool room_wait(struct keeper *k, struct task *task)
{
	if (!task->wants_room)
		return false;
	task->wants_room = false;
	if (has_room(k, task) || k->full_count == sizeof(k->full) / sizeof(k->full[0]))
		return false;
	k->full[k->full_count++] = task->tid;
	return true;
}

static void drop(struct keeper *k, uint32_t index)
{
	struct task *task = task_find(k, k->full[index]);

	k->full[index] = k->full[--k->full_count];
	if (task)
		resume(task, 0);
}

void room_give(struct keeper *k)
{
	for (uint32_t i = k->full_count; i-- > 0;) {
		const struct task *task = task_find(k, k->full[i]);

		if (!task || has_room(k, task))
			drop(k, i);
	}
}

void room_wait_no_more(struct keeper *k, pid_t tid)
{
	struct task *task = task_find(k, tid);

	if (task)
		task->wants_room = false;
	for (uint32_t i = k->full_count; i-- > 0;)
		if (k->full[i] == tid)
			drop(k, i);
}
