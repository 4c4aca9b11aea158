/* Wait statuses that come before their turn: the first stop of a child whose parent's event has not come, and deaths that were
 * met in the middle of something else. A thread has one of either kind, so there is room for all. */
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
