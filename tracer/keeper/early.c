/* Wait statuses that come before their turn: the first stop of a child whose parent's event has not come, and deaths that were
 * met in the middle of something else. A thread has one of either kind, so there is room for all. */
#include <sys/syscall.h>
#include <sys/wait.h>
#include "keeper.h"

void keep_early(struct keeper *k, pid_t tid, int status)
{
	if (k->early_count == EARLY_MAX) {
		send_note(k, NULL, "thread %d is not traced: too many threads stop at once", tid);
		return;
	}
	k->early[k->early_count++] = (struct early_status){ tid, status };
}

bool take_early(struct keeper *k, pid_t tid, int *status)
{
	for (uint32_t i = 0; i < k->early_count; i++)
		if (k->early[i].tid == tid) {
			*status = k->early[i].status;
			k->early[i] = k->early[--k->early_count];
			return true;
		}
	return false;
}

bool take_early_death(struct keeper *k, pid_t *tid, int *status)
{
	for (uint32_t i = 0; i < k->early_count; i++)
		if (!WIFSTOPPED(k->early[i].status) && task_find(k, k->early[i].tid)) {
			*tid = k->early[i].tid;
			*status = k->early[i].status;
			k->early[i] = k->early[--k->early_count];
			return true;
		}
	return false;
}

#define X32_BIT 0x40000000

static bool makes_children(const struct task *task)
{
	static const int calls[] = { SYS_fork, SYS_vfork, SYS_clone, SYS_clone3 }, i386_calls[] = { 2, 190, 120, 435 };
	const struct record *rec = task->in_syscall ? task->open : NULL;

	for (int i = 0; rec && i < 4; i++)
		if ((rec->nr & ~X32_BIT) == (rec->abi == ABI_I386 ? i386_calls : calls)[i])
			return true;
	return false;
}

/* Threads without an agent: one that makes the child must still be at it. */
static bool may_be_made(struct keeper *k)
{
	for (uint32_t i = 0; i < k->live; i++)
		if (makes_children(task_find(k, k->tids[i])))
			return true;
	return false;
}

/* A child of an agent's thread has its maker's block, or a copy of it. A thread is no orphan, it dies with its process. */
static bool is_orphan(struct keeper *k, pid_t tid)
{
	struct agent_thread block;
	bool has_maker = newborn_block(k, tid, &block) ? task_find(k, (pid_t)block.tid) != NULL : may_be_made(k);

	return !has_maker && (pid_t)status_number(tid, "Tgid:", 10) == tid;
}

bool take_early_orphan(struct keeper *k, pid_t *tid)
{
	for (uint32_t i = 0; i < k->early_count; i++)
		if (WIFSTOPPED(k->early[i].status) && is_orphan(k, k->early[i].tid)) {
			*tid = k->early[i].tid;
			k->early[i] = k->early[--k->early_count];
			return true;
		}
	return false;
}
