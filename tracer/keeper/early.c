/* Wait statuses that come before their turn: the first stop of a child whose parent's event has not come, and deaths that were
 * met in the middle of something else. A thread has one of either kind, so there is room for all. */
#include <sys/wait.h>
#include <unistd.h>
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

/* A thread is none, it dies with its process. The keeper itself may have become one's parent, by the program's CLONE_PARENT. */
static bool is_orphan(struct keeper *k, pid_t tid)
{
	pid_t parent = (pid_t)status_number(tid, "PPid:", 10);

	return parent && parent != getpid() && !task_find(k, parent) && (pid_t)status_number(tid, "Tgid:", 10) == tid;
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
