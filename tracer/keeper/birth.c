/* New threads and processes, and new images. A child of an agent's thread is stopped inside the agent, on its parent's
 * agent stack: it gets the program's registers, a ring and a block of its own before it runs at all. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent_symbols.h"
#include "keeper.h"

struct birth_call { uint64_t nr, flags; bool agent; struct agent_frame frame; };

/* Which call made the child, from the agent's frame or from the registers. */
static int read_call(struct keeper *k, const struct task *parent, struct birth_call *call)
{
	struct user_regs_struct regs;
	struct agent_thread thread;
	uint64_t first;

	if (ptrace(PTRACE_GETREGS, parent->tid, 0, &regs) < 0)
		return -errno;
	call->agent = parent->chunk != NO_INDEX && in_agent(regs.rip);
	call->nr = regs.orig_rax;
	first = regs.rdi;
	if (call->agent) {
		if (tracee_read(k, parent->tid, thread_block(parent), &thread, sizeof(thread)))
			return -EFAULT;
		call->frame = thread.frame;
	}
	call->flags = 0;
	if (call->nr == SYS_clone)
		call->flags = (uint32_t)first;
	else if (call->nr == SYS_vfork)
		call->flags = CLONE_VM | CLONE_VFORK;
	else if (call->nr == SYS_clone3)
		tracee_read(k, parent->tid, first, &call->flags, sizeof(call->flags));
	return 0;
}

/* The child's first stop. False: it died before. */
static bool await_child(struct keeper *k, pid_t tid, int *status)
{
	return (take_early(k, tid, status) || wait_stop(k, tid, status) > 0) && WIFSTOPPED(*status);
}

static void child_registers(struct user_regs_struct *regs, const struct agent_frame *frame)
{
	uint64_t stack = regs->rsp;

	program_registers(regs, frame);
	if (stack < AGENT_BASE || stack >= CHUNK_ADDRESS(CHUNK_COUNT))
		regs->rsp = stack; /* clone gave it one */
	regs->rip = frame->rcx;
	regs->rax = 0;
	regs->orig_rax = (uint64_t)-1;
}

static void let_go(struct keeper *k, struct space *parent_space, pid_t tid, const struct birth_call *call)
{
	struct user_regs_struct regs;

	if (call->agent && !(call->flags & CLONE_VM)) {
		stop_noting(k, tid);
		rewrite_restore(k, parent_space, tid);
	}
	if (call->agent && !ptrace(PTRACE_GETREGS, tid, 0, &regs)) {
		child_registers(&regs, &call->frame);
		regs.gs_base = AGENT_IDLE;
		ptrace(PTRACE_SETREGS, tid, 0, &regs);
	}
	ptrace(PTRACE_DETACH, tid, 0, 0);
}

bool newborn_block(struct keeper *k, pid_t tid, struct agent_thread *block)
{
	struct user_regs_struct regs;

	return !ptrace(PTRACE_GETREGS, tid, 0, &regs) && in_agent(regs.rip) &&
	       !tracee_read(k, tid, regs.gs_base, block, sizeof(*block)) && block->self == regs.gs_base;
}

static void let_orphan_go(struct keeper *k, pid_t tid)
{
	struct birth_call call = { .flags = CLONE_VM };
	struct agent_thread block;

	call.agent = newborn_block(k, tid, &block);
	if (call.agent)
		call.frame = block.frame;
	k->let_go = true;
	send_note(k, NULL, "process %d is not traced: the process that made it was killed at that moment", (int)tid);
	let_go(k, NULL, tid, &call);
}

void let_orphans_go(struct keeper *k)
{
	pid_t tid;

	while (k->early_count && k->may_have_orphans && take_early_orphan(k, &tid))
		let_orphan_go(k, tid);
}

static uint64_t filters_of(pid_t tid)
{
	return status_number(tid, "Seccomp_filters:", 10);
}

/* Filters beside the net's, and those that we all live under, may kill the calls that a further chunk of rings takes. */
static bool has_own_filter(const struct keeper *k, pid_t tid)
{
	return filters_of(tid) > filters_of(getpid()) + (k->net >= 0);
}

static int enter_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	uint64_t mask, all = ~0ull;
	int err = task_enter_agent(k, task, regs, NULL);

	if (err != -ENOSPC || has_own_filter(k, task->tid))
		return err;
	ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask);
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	err = inject_chunk(k, task);
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	return err ? err : task_enter_agent(k, task, regs, NULL);
}

static void give_agent(struct keeper *k, struct task *task, const struct birth_call *call)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0)
		return;
	child_registers(&regs, &call->frame);
	int err = enter_agent(k, task, &regs);

	if (err) {
		regs.gs_base = AGENT_IDLE;
		task->by_ptrace = true;
		send_note(k, task, "thread %d is traced by ptrace: no room for its ring: %s", task->tid, strerror(-err));
	}
	ptrace(PTRACE_SETREGS, task->tid, 0, &regs);
}

static void read_comm(pid_t tid, char *comm, size_t bytes)
{
	char path[64];
	ssize_t got = -1;

	snprintf(path, sizeof(path), "/proc/%d/comm", tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		got = read(fd, comm, bytes - 1);
		close(fd);
	}
	comm[got > 0 ? got - 1 : 0] = 0;
}

static void announce(struct keeper *k, const struct task *task, int birth, pid_t parent)
{
	char comm[32];

	read_comm(task->tid, comm, sizeof(comm));
	send_control(k, (struct control){ .type = MSG_THREAD, .pid = task->pid, .tid = task->tid, .value = birth,
					  .aux = parent, .slot = task->slot,
					  .arena = task->chunk == NO_INDEX ? 0 : space_of(k, task)->arena[task->chunk] },
		     comm, (uint32_t)strlen(comm) + 1, -1);
}

static int birth_kind(int event)
{
	return event == PTRACE_EVENT_FORK ? BIRTH_FORK : event == PTRACE_EVENT_VFORK ? BIRTH_VFORK : BIRTH_CLONE;
}

void on_birth(struct keeper *k, struct task *parent, int event)
{
	unsigned long child;
	struct birth_call call = { 0 };
	int status;

	forced_sync(k, parent);
	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, 0, &child) < 0 || read_call(k, parent, &call) < 0 ||
	    !await_child(k, (pid_t)child, &status))
		return;
	bool joins = (call.flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM; /* runs beside its parent in one memory */

	if (joins && call.agent)
		rewrite_before_threads(k, space_of(k, parent), parent->tid);
	if (!k->launch->follow) {
		space_of(k, parent)->rewriting.crowded |= joins;
		let_go(k, space_of(k, parent), (pid_t)child, &call);
		return;
	}
	bool shares = call.flags & CLONE_VM;
	uint32_t space = shares ? parent->space : space_copy(k, parent->space);

	if (space == NO_INDEX) {
		send_note(k, parent, "process %d is not traced: too many processes", (int)child);
		let_go(k, space_of(k, parent), (pid_t)child, &call);
		return;
	}
	struct task source = *parent;
	struct task *task = task_add(k, (pid_t)child, call.flags & CLONE_THREAD ? source.pid : (pid_t)child, space);

	if (!task) {
		let_go(k, space_of(k, parent), (pid_t)child, &call);
		return;
	}
	if (shares)
		k->spaces[space].tasks++;
	task->parks_parent = shares && event == PTRACE_EVENT_VFORK;
	k->spaces[space].parked += task->parks_parent;
	forced_born(k, &source, task, call.flags);
	task->stop_again = WSTOPSIG(status) != SIGTRAP; /* a thread of a stopped process */
	task->blocked = source.blocked;
	task->by_ptrace = source.by_ptrace;
	if (call.agent)
		give_agent(k, task, &call);
	announce(k, task, birth_kind(event), source.tid);
	resume(task, 0);
	let_orphans_go(k);
}

/* The other threads of the process died silently when one of them made the exec. */
static struct task *leave_image(struct keeper *k, pid_t pid, pid_t former)
{
	for (uint32_t i = k->live; i-- > 0;) { /* removal puts the last one here */
		struct task *task = task_find(k, k->tids[i]);

		if (task->pid == pid && task->tid != former) {
			int death;

			take_early(k, task->tid, &death); /* else a later thread of the same number would be taken for dead */
			task_remove(k, task);
		}
	}
	struct task *task = task_find(k, former);

	if (task && former != pid) {
		task_rename(k, task, pid);
		task = task_find(k, pid);
	}
	return task;
}

static void announce_exec(struct keeper *k, const struct task *task, pid_t former)
{
	char link[64], path[4097];
	ssize_t got;

	snprintf(link, sizeof(link), "/proc/%d/exe", task->tid);
	got = readlink(link, path, sizeof(path) - 1);
	path[got > 0 ? got : 0] = 0;
	if (task->space != NO_INDEX)
		space_of(k, task)->rewriting.program = heat_program(path);
	send_control(k, (struct control){ .type = MSG_EXEC, .pid = task->pid, .tid = task->tid, .aux = former }, path,
		     (uint32_t)strlen(path) + 1, -1);
}

static void new_image(struct keeper *k, struct task *task)
{
	int err = k->launch->no_agent ? -ENOTSUP : inject_image(k, task);

	task->by_ptrace = err != 0;
	tell_image_maps(k, task);
	if (err && err != -ESRCH && err != -ENOTSUP)
		send_note(k, task, "process %d is traced by ptrace: the agent cannot be placed: %s", task->pid, strerror(-err));
	if (!err)
		send_control(k, (struct control){ .type = MSG_RING, .pid = task->pid, .tid = task->tid, .slot = task->slot,
						  .arena = space_of(k, task)->arena[task->chunk] }, NULL, 0, -1);
}

/* False: the thread has run meanwhile, for the keeper. */
static bool at_exec_event(pid_t tid)
{
	siginfo_t info;

	return !ptrace(PTRACE_GETSIGINFO, tid, 0, &info) && info.si_code >> 8 == PTRACE_EVENT_EXEC;
}

void on_exec(struct keeper *k, pid_t pid)
{
	unsigned long former = (unsigned long)pid;

	ptrace(PTRACE_GETEVENTMSG, pid, 0, &former);
	struct task *task = leave_image(k, pid, (pid_t)former);

	if (!task)
		return;
	uint32_t space = space_new(k);

	if (space != NO_INDEX && task->space != NO_INDEX)
		k->spaces[space].filtered = space_of(k, task)->filtered;
	if (task->starting)
		net_missing(k, task);
	task_drop_slot(k, task);
	ptrace_path_forget(task);
	task_leave_space(k, task);
	task->space = space;
	task->starting = false;
	task->once = false;
	announce_exec(k, task, (pid_t)former);
	if (space == NO_INDEX) {
		task->by_ptrace = true;
		resume(task, 0);
		return;
	}
	new_image(k, task);
	/* By ptrace, what comes next must be the program's first call, not execve's return. */
	if (task->by_ptrace && at_exec_event(pid) && run_to_syscall_stop(k, pid) < 0)
		return;
	resume(task, 0);
}
