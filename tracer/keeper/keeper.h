/* The keeper's own state. Everything is sized at start: nothing is allocated while the program runs, except the mapping
 * of arenas. Only the tracer thread touches it. */
#ifndef VTRACE_KEEPER_KEEPER_H
#define VTRACE_KEEPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include "agent.h"
#include "control.h"
#include "launch.h"
#include "record.h"

#define TASK_MAX 32768u
#define SPACE_MAX 16384u
#define ARENA_MAX 8192u
#define NO_INDEX 0xffffffffu

/* One shared memory file of rings. */
struct arena {
	int fd;
	void *map;
	uint32_t spaces; /* address spaces that map it; 0: free */
};

/* Signals that dispatch and the agent's copy routine make the kernel force on a thread: SIGSYS, SIGSEGV, SIGBUS. */
#define FORCED_COUNT 3u

/* One address space (mm). Threads and vfork children share it. */
struct space {
	uint32_t tasks;
	/* What the program set for the signals that we make the kernel force: struct kernel_sigaction, [0] the handler. */
	uint64_t action[FORCED_COUNT][4];
	uint64_t handler_mask[65];     /* per signal: forced signals that are blocked while its handler runs */
	uint32_t chunks;
	uint32_t arena[CHUNK_COUNT];   /* chunk number → arena index */
};

struct task {
	pid_t tid, pid;                /* tid 0: free */
	uint32_t space;
	uint32_t chunk;                /* where its thread block lies; NO_INDEX: no agent */
	int32_t slot;
	bool by_ptrace;                /* syscalls are seen by PTRACE_SYSCALL stops */
	bool in_syscall;               /* by_ptrace: between entry and exit */
	bool starting;                 /* by_ptrace: not yet past the first execve, only that one counts */
	bool once;                     /* by_ptrace for one syscall only (int 0x80) */
	uint64_t blocked;              /* forced signals the program has blocked; forcing unblocks them in the kernel */
	struct record *open;           /* by_ptrace: the record being made, RECORD_MAX bytes */
};

/* The last loader analysed. Its first page holds headers and build-id, so it tells one loader from another. */
#define LOADER_PAGE 4096u
#define LOADER_CODE 64u
struct loader {
	uint8_t page[LOADER_PAGE];
	uint64_t function;             /* offset of _dl_lookup_symbol_x; 0: none found */
	uint8_t code[LOADER_CODE];     /* its first bytes */
	const char *why;
};

struct keeper {
	const struct launch *launch;
	pid_t program;                 /* the first process */
	int program_status;
	int error_pipe;                /* errno of the program's failed first execve */
	int control;                   /* -1: the front is gone */
	uint32_t live;
	struct loader loader;
	struct task *tasks;            /* open-addressed by tid */
	struct space *spaces;
	struct arena *arenas;
	struct { pid_t tid; int status; } early[64]; /* stops of children whose parent's event has not come */
	uint32_t early_count;
};

/* task.c */
struct task *task_find(struct keeper *k, pid_t tid);
struct task *task_add(struct keeper *k, pid_t tid, pid_t pid, uint32_t space);
void task_remove(struct keeper *k, struct task *task);
void task_rename(struct keeper *k, struct task *task, pid_t tid);
uint32_t space_new(struct keeper *k);
uint32_t space_copy(struct keeper *k, uint32_t from);
void space_leave(struct keeper *k, uint32_t space);
struct space *space_of(struct keeper *k, const struct task *task);
struct ring_head *task_ring(struct keeper *k, const struct task *task);
/* A free ring in the chunks of the task's space; false when all are taken. */
bool task_take_slot(struct keeper *k, struct task *task);
void task_drop_slot(struct keeper *k, struct task *task);

/* memory.c: 0 or -errno */
int tracee_read(struct keeper *k, pid_t tid, uint64_t addr, void *to, size_t bytes);
int tracee_write(struct keeper *k, pid_t tid, uint64_t addr, const void *from, size_t bytes);
uint64_t thread_block(const struct task *task);

/* remote.c: a syscall made by a stopped tracee; its result, or -errno when it could not be made. `at` is the address of
 * a syscall instruction in it. Registers are left changed. */
long remote_syscall(struct keeper *k, pid_t tid, uint64_t at, long nr, const uint64_t args[6]);

/* inject.c */
int inject_image(struct keeper *k, struct task *task);   /* at a syscall-exit stop of execve */
int inject_chunk(struct keeper *k, struct task *task, uint64_t at);
int task_enter_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs);
int arm_dispatch(const struct task *task);
void disarm_dispatch(const struct task *task);
void send_maps(struct keeper *k, const struct task *task);

/* birth.c: fork, vfork, clone, exec events */
void on_birth(struct keeper *k, struct task *parent, int event);
void on_exec(struct keeper *k, pid_t pid);

/* forced.c: keeps the program's mask and actions for forced signals, which forcing changes in the kernel. */
void forced_inherited(struct keeper *k, struct task *task, uint64_t mask);
/* The program is about to make this syscall. */
void forced_note(struct keeper *k, struct task *task, const struct user_regs_struct *regs);
/* A signal is about to be delivered to the program. */
void forced_deliver(struct keeper *k, struct task *task, int sig);
/* Undoes what forcing `sig` did. Changes the registers: the caller sets them afterwards. */
void forced_restore(struct keeper *k, const struct task *task, int sig);
bool forced_is_blocked(const struct task *task, int sig);

/* signals.c: at a signal-delivery stop. Resumes the task. */
void program_registers(struct user_regs_struct *regs, const struct agent_frame *frame);
bool in_agent(uint64_t rip);
void on_signal(struct keeper *k, struct task *task, int sig);

/* ptrace_path.c */
void on_syscall_stop(struct keeper *k, struct task *task);
void ptrace_path_forget(struct task *task);
/* The pieces of an interrupted call's end, added to a valid copy of its record. */
void capture_interrupted(const struct keeper *k, struct task *task, struct record *rec);

/* send.c */
uint64_t now_tsc(void);
void send_control(struct keeper *k, struct control message, const void *payload, uint32_t bytes, int fd);
/* Nobody reads any more: nothing is sent, and no thread waits for room in its ring. */
void front_is_gone(struct keeper *k);
void send_note(struct keeper *k, const struct task *task, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* run.c */
/* Puts aside a wait status that came where it could not be handled; the main loop takes it up. */
void keep_early(struct keeper *k, pid_t tid, int status);
void resume(struct task *task, int sig);
/* The next early status of tid (0: none such). */
bool take_early(struct keeper *k, pid_t tid, int *status);

/* remote.c */
/* waitpid that goes on after EINTR. */
pid_t wait_stop(pid_t tid, int *status);
int run_to_syscall_stop(struct keeper *k, pid_t tid);

/* start.c: forks the program, seized and stopped before its execve. Its pid or -errno (told to the front). */
pid_t start_program(struct keeper *k);

#endif
