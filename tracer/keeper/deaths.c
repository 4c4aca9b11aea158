/* The kernel tells the death of a process's first thread when all others have been waited for: where the keeper waits for that
 * one alone, and the process is killed, it must take theirs. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include "keeper.h"

static bool is_other(struct keeper *k, pid_t tid, pid_t leader)
{
	return tid != leader && task_find(k, tid)->pid == leader;
}

bool leads_others(struct keeper *k, pid_t tid)
{
	const struct task *task = tid > 0 ? task_find(k, tid) : NULL;

	if (!task || task->pid != tid || (task->space != NO_INDEX && space_of(k, task)->tasks < 2))
		return false;
	for (uint32_t i = 0; i < k->live; i++)
		if (is_other(k, k->tids[i], tid))
			return true;
	return false;
}

/* Looks only: a tracer is given stops as well, whatever it asks for, and they are for the main loop. */
static bool is_dead(pid_t tid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) && info.si_pid == tid &&
	       (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
}

static bool has_early_death(struct keeper *k, pid_t leader)
{
	for (uint32_t i = 0; i < k->early_count; i++) {
		const struct task *task = WIFSTOPPED(k->early[i].status) ? NULL : task_find(k, k->early[i].tid);

		if (task && task->pid == leader)
			return true;
	}
	return false;
}

/* A thread whose birth has not been told yet, and never will be. */
static void take_death_of_stranger(struct keeper *k, pid_t tid)
{
	int status;

	if (task_find(k, tid) || !is_dead(tid) || waitpid(tid, &status, __WALL) != tid)
		return;
	take_early(k, tid, &status);
}

static void take_deaths_of_strangers(struct keeper *k, pid_t leader)
{
	char path[64];
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/task", leader);
	DIR *threads = opendir(path);

	while (threads && (entry = readdir(threads)))
		if (atoi(entry->d_name) > 0)
			take_death_of_stranger(k, atoi(entry->d_name));
	if (threads)
		closedir(threads);
}

void take_deaths_of_others(struct keeper *k, pid_t leader)
{
	if (!leads_others(k, leader))
		return;
	for (uint32_t i = 0; i < k->live; i++) {
		pid_t tid = k->tids[i];
		int status;

		if (is_other(k, tid, leader) && is_dead(tid) && waitpid(tid, &status, __WALL) == tid)
			keep_early(k, tid, status);
	}
	if (has_early_death(k, leader)) /* the whole process dies, or just a thread */
		take_deaths_of_strangers(k, leader);
}
