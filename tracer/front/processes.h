/* Processes and threads as they were at the moment being reported: names and mappings. */
#ifndef VTRACE_FRONT_PROCESSES_H
#define VTRACE_FRONT_PROCESSES_H

#include <stdbool.h>
#include "control.h"
#include "maps.h"
#include "names.h"
#include "table.h"

struct process { int32_t pid; unsigned threads; struct maps maps; };
struct thread {
	int32_t tid;
	struct process *process;
	const char *comm;                                  /* interned */
	struct { const char *object; uint64_t offset; } mmap; /* what its next mmap maps; object NULL: not known */
	char *exec_path;                                   /* what its execve was called with; owned, may be NULL */
};
struct processes { struct table processes, threads; };

struct thread *processes_born(struct processes *all, const struct control *head, const char *comm);
/* NULL when not known. */
struct thread *processes_thread(const struct processes *all, int32_t tid);
void processes_exited(struct processes *all, int32_t tid);
/* The image is new: only thread `former`, now the leader, is left. NULL when it is not known. */
struct thread *processes_exec(struct processes *all, int32_t pid, int32_t former);
void processes_map(struct processes *all, struct names *names, const struct control *head, const char *payload);
/* What a completed call changes: mappings, names. */
void processes_call(struct thread *thread, struct names *names, const struct record *record);
/* What an execve that begins may change. */
void processes_enter(struct thread *thread, const struct record *record);
/* Whether the two above would look at it. */
bool processes_need(const struct record *record);
void processes_close(struct processes *all);

/* At most 15 bytes of the last component, as the kernel keeps it. */
const char *comm_of_path(struct names *names, const char *path);

#endif
