/* The keeper's own state. Everything is sized at start: nothing is allocated while the program runs, except the mapping
 * of arenas. Only the tracer thread touches it. */
#ifndef VTRACE_KEEPER_KEEPER_H
#define VTRACE_KEEPER_KEEPER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include "agent.h"
#include "control.h"
#include "launch.h"
#include "record.h"
#include "objects.h"
#include "rewrite.h"

#define TASK_MAX 32768u
#define SPACE_MAX 16384u
#define ARENA_MAX 8192u
#define EARLY_MAX TASK_MAX
#define NO_INDEX 0xffffffffu

/* One shared memory file of rings. */
struct arena {
	int fd;
	void *map;       /* here; NULL: not yet */
	uint32_t spaces; /* address spaces that map it; 0: free */
	uint32_t used;   /* rings, one bit each, that somebody had before: the others are as the kernel made them */
	uint32_t taken;  /* rings, one bit each, of living threads: what the program may have written there is not believed */
};

/* Signals that dispatch and the agent's copy routine make the kernel force on a thread: SIGSYS, SIGSEGV, SIGBUS. */
#define FORCED_COUNT 3u

/* What a process set for its signals, as far as forced ones are concerned. */
struct signal_actions {
	uint64_t action[FORCED_COUNT][4]; /* of the forced ones: struct kernel_sigaction, [0] the handler */
	uint64_t handler_mask[65];        /* per signal: forced signals that are blocked while its handler runs */
	uint64_t handled, one_shot;       /* signals that have a handler; one that SA_RESETHAND takes away */
};

/* What a call that is about to be made will change; taken back when a signal comes before it is made. */
struct signal_undo {
	uint64_t blocked;
	uint64_t sig;                  /* its action; 0: none */
	uint64_t action[4], handler_mask, handled, one_shot;
};

/* A process in the address space of another (vfork, CLONE_VM) has actions of its own, unless it shares them. */
#define GUEST_MAX 64u
struct guest {
	uint64_t sighand;
	uint32_t space;
	struct signal_actions actions;
};

/* One address space (mm). Threads and vfork children share it. */
struct space {
	uint32_t tasks;
	uint32_t parked;               /* of those: they wait in the kernel for a vfork child, which is another one */
	int memory_plus_one;           /* /proc/PID/mem of one of its threads, kept open; 0: not yet */
	struct rewriting rewriting;
	bool filtered;                 /* the program has asked for a seccomp filter, here or before an exec */
	uint64_t owner;                /* whose `actions` these are: a task's sighand; 0: of the first that asks */
	struct signal_actions actions;
	uint32_t chunks;
	uint32_t arena[CHUNK_COUNT];   /* chunk number → arena index */
};

struct task {
	pid_t tid, pid;                /* tid 0: free */
	uint32_t order;                /* its place in keeper.tids */
	uint32_t space;
	uint32_t chunk;                /* where its thread block lies; NO_INDEX: no agent */
	int32_t slot;
	bool parks_parent;             /* a vfork child in its parent's memory */
	bool by_ptrace;                /* syscalls are seen by PTRACE_SYSCALL stops */
	bool in_syscall;               /* by_ptrace: between entry and exit */
	bool notified;                 /* by_ptrace: the net let the call in that it is in */
	bool starting;                 /* by_ptrace: not yet past the first execve, only that one counts */
	bool wants_room;               /* its ring is full, and the stop in which it will wait is about to come */
	bool once;                     /* by_ptrace for one syscall only (int 0x80) */
	bool stop_again;               /* a stop was met where it could not be kept: another one comes when it is resumed */
	int stop_signal;               /* met in the agent, and to be delivered as soon as it runs on; 0: none */
	uint64_t sighand;              /* the same in all tasks that share their signal actions */
	uint64_t blocked;              /* forced signals the program has blocked; forcing unblocks them in the kernel */
	uint64_t blocked_told;         /* what the thread's block has of it */
	struct signal_undo undo;
	bool rewound;                  /* the note of the call that is about to be made is taken back for a moment */
	uint64_t during;               /* those blocked while its present call waits: sigsuspend, ppoll … bring a mask */
	struct record *open;           /* by_ptrace: the record being made, RECORD_MAX bytes */
	struct record *emulated;       /* a vsyscall the net saw, whose return is awaited; or NULL */
};

/* The last loader analysed. Its first page holds headers and build-id, so it tells one loader from another. */
#define LOADER_PAGE 4096u
#define LOADER_CODE 64u
struct loader_facts {
	uint64_t function;             /* offset of _dl_lookup_symbol_x; 0: none found */
	uint8_t code[LOADER_CODE];     /* its first bytes */
};

struct loader {
	uint8_t page[LOADER_PAGE];
	struct loader_facts facts;
	const char *why;
};

struct early_status { pid_t tid; int status; };

struct keeper {
	const struct launch *launch;
	pid_t program;                 /* the first process */
	int program_status;
	int error_pipe;                /* errno of the program's failed first execve */
	int control;                   /* -1: the front is gone */
	int net;                       /* the seccomp net's listener; -1: there is none */
	int net_error;                 /* errno of its installation */
	bool start_stopped;            /* the child has stopped itself: its syscalls are seen from there on */
	long starting_nr;              /* the call the child makes before its execve */
	pid_t remote_tid;              /* makes a call on the keeper's behalf; else 0 */
	bool let_go;                   /* some thread was left to another tracer */
	uint32_t live;
	pid_t *tids;                   /* the live ones, densely: the table itself is too large to walk */
	struct loader loader;
	struct task *tasks;            /* open-addressed by tid */
	struct space *spaces;
	struct arena *arenas;
	struct object *objects;
	uint32_t object_count;
	struct guest guests[GUEST_MAX];
	uint64_t sighands;             /* given out so far */
	struct early_status *early;
	uint32_t early_count;
	bool may_have_orphans;         /* a thread has died that may not have chosen the moment */
	pid_t full[256];               /* threads that wait for room in their rings */
	uint32_t full_count;
	uint64_t busy_since, busy_ticks; /* not waiting, by the TSC */
	char queue[CONTROL_MAX];       /* messages to be sent */
	uint32_t queued;               /* bytes of them */
};

/* task.c */
struct task *task_find(struct keeper *k, pid_t tid);
struct task *task_add(struct keeper *k, pid_t tid, pid_t pid, uint32_t space);
void task_remove(struct keeper *k, struct task *task);
void task_rename(struct keeper *k, struct task *task, pid_t tid);
uint32_t space_new(struct keeper *k);
uint32_t space_copy(struct keeper *k, uint32_t from);
/* The caller gives it another space, or removes it. */
void task_leave_space(struct keeper *k, struct task *task);
struct space *space_of(struct keeper *k, const struct task *task);
/* NULL: it cannot be mapped here. */
struct ring_head *ring_of(struct arena *arena, uint32_t slot);
struct ring_head *task_ring(struct keeper *k, const struct task *task);
/* A free ring in the chunks of the task's space; false when all are taken. */
bool task_take_slot(struct keeper *k, struct task *task);
void task_drop_slot(struct keeper *k, struct task *task);

/* The agent, as agent.ld lays it out from AGENT_BASE on. */
extern const uint8_t agent_image[], agent_image_end[];

/* memory.c: 0 or -errno */
int tracee_read(struct keeper *k, pid_t tid, uint64_t addr, void *to, size_t bytes);
int tracee_write(struct keeper *k, pid_t tid, uint64_t addr, const void *from, size_t bytes);
uint64_t thread_block(const struct task *task);
/* The whole of /proc/TID/name, as far as `text` holds it with a NUL. Returns its length. */
size_t read_proc(pid_t tid, const char *name, char *text, size_t bytes);
/* A number of /proc/TID/status, by its name with the colon; 0 when it is not there. */
uint64_t status_number(pid_t tid, const char *name, int base);

/* remote.c: a syscall made by a stopped tracee; its result, or -errno when it could not be made. `at` is the address of
 * a syscall instruction in it. Registers are left changed. */
long remote_syscall(struct keeper *k, pid_t tid, uint64_t at, long nr, const uint64_t args[6]);

/* The same from the agent's text, at any stop outside the kernel; registers and signal mask stay. */
long remote_call(struct keeper *k, const struct task *task, long nr, const uint64_t args[6]);

/* rewrite.c */
struct site;
bool rewrite_possible(const struct site *site);
/* Where a text at `near` would have its trampolines; 0: nowhere at once. */
uint64_t rewrite_place(uint64_t near);
/* They have been mapped there, REGION_BYTES. */
void rewrite_region(struct space *space, uint64_t start);
/* `task` has mapped [start, start + bytes) of `file` (a path the keeper can open) from file offset `offset` on, executable and
 * private, and nobody has run it. At a stop where remote_call works. */
void rewrite_mapped(struct keeper *k, struct task *task, const char *file, uint64_t start, uint64_t bytes, uint64_t offset);
/* The syscall instruction at `address` was dispatched; the task is stopped behind it. */
void rewrite_dispatched(struct keeper *k, struct task *task, uint64_t address);
/* A second thread is about to run in `space`; all are stopped. */
void rewrite_before_threads(struct keeper *k, struct space *space, pid_t tid);
/* Puts the program's own bytes back in the memory of `tid`, laid out as `space`; nobody runs there. */
void rewrite_restore(struct keeper *k, const struct space *space, pid_t tid);
/* RIP in a trampoline becomes the place in the program that it stands for. True: *regs was changed. */
bool rewrite_leave_trampoline(struct keeper *k, const struct task *task, struct user_regs_struct *regs);

/* inject.c */
/* At the stop for PTRACE_EVENT_EXEC. The thread is to be resumed next: it begins in the agent. 0, or -errno: it has its own registers. */
int inject_image(struct keeper *k, struct task *task);
int inject_chunk(struct keeper *k, struct task *task);   /* one more, at any stop; all signals blocked */
/* Gives a stopped thread whose space has the agent its ring and block, sets its gs base in *regs (the caller writes the
 * registers back) and arms dispatch. `first`: the registers of a fresh image, or NULL. */
int task_enter_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs, const struct agent_frame *first);
int arm_dispatch(struct keeper *k, const struct task *task);
void disarm_dispatch(struct keeper *k, const struct task *task);

/* detour.c: `base` of the loader's image; 0: the image has none */
void patch_loader(struct keeper *k, const struct task *task, uint64_t base);

/* mappings.c */
/* What the image has mapped by itself; its sites are rewritten where it has an agent. */
void tell_image_maps(struct keeper *k, struct task *task);
/* File text was mapped by the task, through descriptor `fd`. */
void tell_mapping(struct keeper *k, struct task *task, uint64_t start, uint64_t bytes, int fd, uint64_t offset);

/* birth.c: fork, vfork, clone, exec events */
void on_birth(struct keeper *k, struct task *parent, int event);
void on_exec(struct keeper *k, pid_t pid);
/* The block of its maker, from a child at its first stop, if that is in the agent. */
bool newborn_block(struct keeper *k, pid_t tid, struct agent_thread *block);
/* Children whose maker was killed before its event. */
void let_orphans_go(struct keeper *k);

/* forced.c: keeps the program's mask and actions for forced signals, which forcing changes in the kernel. */
/* `child` is new; `flags` of the clone that made it. */
void forced_born(struct keeper *k, const struct task *parent, struct task *child, uint64_t flags);
/* What a new image keeps: the mask, and which signals are ignored. */
void forced_inherited(struct keeper *k, struct task *task, uint64_t mask, uint64_t ignored);
/* The program is about to make this syscall. */
void forced_note(struct keeper *k, struct task *task, const struct user_regs_struct *regs);
/* Call `nr` was not made after all: it will be noted again. */
void forced_undo(struct keeper *k, struct task *task, uint64_t nr);
/* In the agent, before the noted call is made, the kernel still has what was before it: takes the note back while a signal is
 * looked at, and notes the call again. */
void forced_rewind(struct keeper *k, struct task *task);
void forced_replay(struct keeper *k, struct task *task);
/* A signal interrupts this call, which may have brought a mask of its own. */
void forced_interrupted(struct keeper *k, struct task *task, const struct agent_frame *frame);
/* A signal is about to be delivered to the program; `interrupts`: out of a call that waited. */
void forced_deliver(struct keeper *k, struct task *task, int sig, bool interrupts);
/* Undoes what forcing `sig` did. Changes the registers: the caller sets them afterwards. */
void forced_restore(struct keeper *k, const struct task *task, int sig);
/* The agent follows rt_sigprocmask by itself: takes over what it found. Before anything else of this file at a stop. */
void forced_sync(struct keeper *k, struct task *task);
bool forced_is_blocked(const struct task *task, int sig);
/* Makes a signal that forcing has swallowed pending again, as it was sent. Changes the registers. */
void forced_resend(struct keeper *k, const struct task *task, const siginfo_t *info);

/* room.c */
#define ROOM_WAIT_NS 100000
/* The task, in the stop of AGENT_CALL_FULL, is to be resumed, and stopped once more if there is no room. */
void room_ask(struct keeper *k, struct task *task);
/* The task is to stay in the stop for PTRACE_INTERRUPT. False: it is to go on. */
bool room_wait(struct keeper *k, struct task *task);
/* Resumes those that have room again. */
void room_give(struct keeper *k);
/* Resumes the thread if it is one of them. */
void room_wait_no_more(struct keeper *k, pid_t tid);

/* net.c */
/* Before the first wait, in the keeper only. */
void net_open(void);
/* Takes the listener out of the stopped child. 0 or -errno. */
int net_adopt(struct keeper *k, pid_t pid, int fd);
/* Says so when a net was wanted and there is none. */
void net_missing(struct keeper *k, const struct task *task);
/* waitpid(tid, status, __WALL) that answers the net before it. -1 with EINTR: to be called again. */
pid_t net_wait(struct keeper *k, pid_t tid, int *status);
/* At the stop after a vsyscall, if it is one. */
void net_vsyscall_returned(struct keeper *k, struct task *task);

/* A signal that comes before the keeper has the notification ends a vsyscall with the kernel's restart code, which nothing
 * restarts: the call is put back before it. At any stop; *regs are changed and set. */
void net_vsyscall_again(struct keeper *k, const struct task *task, struct user_regs_struct *regs);

/* let_go.c: true when the task was resumed or is gone. */
bool let_go_at_dispatch(struct keeper *k, struct task *task, struct user_regs_struct *regs);
/* At the entry stop of ptrace(2) in a task traced by ptrace. True: it is not our task any more. */
bool let_go_at_entry(struct keeper *k, struct task *task, const uint64_t args[6]);
/* The task is about to make this call: when it may bring a seccomp filter, the agent makes no call of its own any more. */
void note_filter(struct keeper *k, const struct task *task, uint64_t nr, uint64_t first);
/* The wrappers bound in this address space become plain jumps: %gs is not ours in all its threads. */
void stop_noting(struct keeper *k, pid_t tid);

/* signals.c: at a signal-delivery stop. Resumes the task. */
void program_registers(struct user_regs_struct *regs, const struct agent_frame *frame);
bool in_agent(uint64_t rip);
/* Gives a stopped thread of the agent's the registers and the stack that a handler may see. 0, or -errno when it is gone. `info`: of the signal
 * about to be delivered, or NULL; it is set again when steps were taken, because they end in another stop. */
int leave_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs, siginfo_t *info);
/* At a stop without a signal: a call that it interrupted ends here, and the kernel makes it again from the program. */
void leave_interrupted(struct keeper *k, struct task *task);
void on_signal(struct keeper *k, struct task *task, int sig);

/* ptrace_path.c: records made from outside */
struct traced_call { uint64_t nr, site, stack, args[6]; uint32_t arch, caught; }; /* stack: only rt_sigreturn's matters */
/* `rec` holds RECORD_MAX bytes; it is told to the front as open by record_begin's caller (send_record), complete by
 * record_end. */
void record_begin(struct keeper *k, struct task *task, struct record *rec, const struct traced_call *call);
void record_end(struct keeper *k, struct task *task, struct record *rec, int64_t ret);
void send_record(struct keeper *k, const struct record *rec, int complete);
/* False: the task is not ours any more. */
bool on_syscall_stop(struct keeper *k, struct task *task);
/* The net lets the task's call in: from here on it is told as open. */
void ptrace_path_notified(struct keeper *k, struct task *task);
void ptrace_path_forget(struct task *task);
/* The pieces of an interrupted call's end, added to a valid copy of its record. */
void capture_interrupted(const struct keeper *k, struct task *task, struct record *rec);

/* send.c */
uint64_t now_tsc(void);
void send_control(struct keeper *k, struct control message, const void *payload, uint32_t bytes, int fd);
/* Before every wait, or work of milliseconds. */
void send_queued(struct keeper *k);
/* Nobody reads any more: nothing is sent, and no thread waits for room in its ring. */
void front_is_gone(struct keeper *k);
void send_note(struct keeper *k, const struct task *task, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* run.c */
void handle_status(struct keeper *k, pid_t tid, int status);
void resume(struct task *task, int sig);

/* stops.c */
/* `status` was met on a way that the keeper lets a thread go. True: a stop of the process, or none that matters here; it is to
 * run on, with *sig. */
bool join_stop(struct keeper *k, pid_t tid, int status, int *sig);
/* A signal of the set that the kernel has made, for what the thread did, waits to be delivered to it. */
bool forced_pending(pid_t tid, uint64_t signals);
/* Delivering `sig` would stop the process. */
bool stops_process(pid_t tid, int sig);
/* What the thread is to run on with: its stop_signal, taken. */
int take_stop_signal(struct task *task);

/* deaths.c */
/* `tid` is the first thread of a process that has more. */
bool leads_others(struct keeper *k, pid_t tid);
/* If so: takes the deaths of those, early. */
void take_deaths_of_others(struct keeper *k, pid_t leader);

/* early.c */
/* Puts aside a wait status that came where it could not be handled. */
void keep_early(struct keeper *k, pid_t tid, int status);
/* One that was put aside; false: there is none. */
bool take_early(struct keeper *k, pid_t tid, int *status);
/* A stop that waits for the event of a process that is gone; false: there is none. */
bool take_early_orphan(struct keeper *k, pid_t *tid);
/* The death of any task we know. */
bool take_early_death(struct keeper *k, pid_t *tid, int *status);

/* remote.c */
/* waitpid that goes on after EINTR. */
pid_t wait_stop(struct keeper *k, pid_t tid, int *status);
int run_to_syscall_stop(struct keeper *k, pid_t tid);

/* start.c: forks the program, seized before its execve. Its pid or -errno (told to the front). */
pid_t start_program(struct keeper *k);
/* The child's own stop, if that is what `sig` is: resumed. */
bool start_seen(struct keeper *k, struct task *task, int sig);

#endif
