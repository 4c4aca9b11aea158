#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "memory.h"
#include "processes.h"

static struct process *process_add(struct processes *all, int32_t pid)
{
	struct process *process = allocate(sizeof(*process));

	process->pid = pid;
	table_put(&all->processes, pid, process);
	return process;
}

/* A new process starts with its parent's mappings. */
static struct process *process_born(struct processes *all, const struct control *head)
{
	struct process *process = table_get(&all->processes, head->pid);
	struct thread *parent = processes_thread(all, (int32_t)head->aux);

	if (process)
		return process;
	process = process_add(all, head->pid);
	if (parent)
		maps_copy(&process->maps, &parent->process->maps);
	return process;
}

struct thread *processes_born(struct processes *all, const struct control *head, const char *comm)
{
	struct thread *thread = processes_thread(all, head->tid);

	if (thread)
		return thread;
	thread = allocate(sizeof(*thread));
	thread->tid = head->tid;
	thread->comm = comm;
	thread->process = process_born(all, head);
	thread->process->threads++;
	table_put(&all->threads, head->tid, thread);
	return thread;
}

struct thread *processes_thread(const struct processes *all, int32_t tid)
{
	return table_get(&all->threads, tid);
}

static void process_leave(struct processes *all, struct process *process)
{
	if (--process->threads)
		return;
	table_remove(&all->processes, process->pid);
	maps_close(&process->maps);
	free(process);
}

void processes_exited(struct processes *all, int32_t tid)
{
	struct thread *thread = processes_thread(all, tid);

	if (!thread)
		return;
	table_remove(&all->threads, tid);
	process_leave(all, thread->process);
	free(thread->exec_path);
	free(thread);
}

struct thread *processes_exec(struct processes *all, int32_t pid, int32_t former)
{
	struct thread *thread = processes_thread(all, former);

	if (!thread)
		return NULL;
	if (former != pid) {
		processes_exited(all, pid);
		table_remove(&all->threads, former);
		thread->tid = pid;
		table_put(&all->threads, pid, thread);
	}
	maps_clear(&thread->process->maps);
	thread->mmap.object = NULL;
	return thread;
}

void processes_map(struct processes *all, struct names *names, const struct control *head, const char *payload)
{
	struct thread *thread = processes_thread(all, head->tid);
	struct process *process = thread ? thread->process : table_get(&all->processes, head->pid);
	struct control_map map;

	if (head->payload < sizeof(map))
		return;
	memcpy(&map, payload, sizeof(map));
	const char *object = names_intern(names, payload + sizeof(map));

	if (map.start || map.end) {
		if (process)
			maps_add(&process->maps, (struct map){ .start = map.start, .end = map.end, .offset = map.offset, .object = object });
	} else if (thread) {
		thread->mmap.object = object;
		thread->mmap.offset = map.offset;
	}
}

/* ---- calls that change what is known ---- */

static void after_mmap(struct thread *thread, const struct record *record)
{
	uint64_t start = (uint64_t)record->ret, end = start + ((record->args[1] + 4095) & ~(uint64_t)4095);

	if (record->ret >= 0 || record->ret < -4095) {
		maps_remove(&thread->process->maps, start, end);
		if (thread->mmap.object && record->args[2] & PROT_EXEC)
			maps_add(&thread->process->maps,
				 (struct map){ .start = start, .end = end, .offset = thread->mmap.offset,
					       .object = thread->mmap.object });
	}
	thread->mmap.object = NULL;
}

/* A copy for the caller to free. Not interned: a program may use any number of names. */
static char *piece_text(const struct record *record, int arg)
{
	const struct piece *piece = piece_find(record, arg, PIECE_MEM, 0, PHASE_ENTRY);

	if (!piece || piece->status != PIECE_OK || !piece->size)
		return NULL;
	return strndup(piece_data(piece), piece->size);
}

const char *comm_of_path(struct names *names, const char *path)
{
	const char *slash = strrchr(path, '/');
	char comm[16];

	snprintf(comm, sizeof(comm), "%s", slash ? slash + 1 : path);
	return names_intern(names, comm);
}

/* At most 15 bytes, as the kernel keeps them. */
static void rename_thread(struct thread *thread, struct names *names, const struct record *record)
{
	char *name = piece_text(record, 1), comm[16];

	if (name) {
		snprintf(comm, sizeof(comm), "%s", name);
		thread->comm = names_intern(names, comm);
	}
	free(name);
}

void processes_call(struct thread *thread, struct names *names, const struct record *record)
{

	if (record->abi != ABI_X86_64)
		return;
	switch (record->nr) {
	case SYS_mmap:
		after_mmap(thread, record);
		return;
	case SYS_munmap:
		if (!record->ret)
			maps_remove(&thread->process->maps, record->args[0],
				    record->args[0] + ((record->args[1] + 4095) & ~(uint64_t)4095));
		return;
	case SYS_prctl:
		if (record->args[0] == PR_SET_NAME && !record->ret)
			rename_thread(thread, names, record);
		return;
	}
}

void processes_enter(struct thread *thread, const struct record *record)
{
	free(thread->exec_path);
	thread->exec_path = NULL;
	if (record->abi == ABI_X86_64 && (record->nr == SYS_execve || record->nr == SYS_execveat))
		thread->exec_path = piece_text(record, record->nr == SYS_execve ? 0 : 1);
}

bool processes_need(const struct record *record)
{
	return record->abi == ABI_X86_64 &&
	       (record->nr == SYS_mmap || record->nr == SYS_munmap || record->nr == SYS_prctl || record->nr == SYS_execve ||
		record->nr == SYS_execveat);
}

void processes_close(struct processes *all)
{
	void *value;

	for (size_t i = 0; table_next(&all->threads, &i, &value);) {
		struct thread *thread = value;

		free(thread->exec_path);
		free(thread);
	}
	for (size_t i = 0; table_next(&all->processes, &i, &value);) {
		struct process *process = value;

		maps_close(&process->maps);
		free(process);
	}
	table_close(&all->threads);
	table_close(&all->processes);
}
