/* What the program wants for itself, the keeper gives up: being traced by another tracer, user dispatch, %gs. Everything
 * here happens before the call that asks for it is made. */
#include <asm/prctl.h>
#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "keeper.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define MODIFY_LDT_READ 0
#define MODIFY_LDT_READ_DEFAULT 2

void stop_noting(struct keeper *k, pid_t tid)
{
	uint32_t yes = 1;

	tracee_write(k, tid, AGENT_DATA + offsetof(struct agent_config, no_via), &yes, sizeof(yes));
}

void note_filter(struct keeper *k, const struct task *task, uint64_t nr, uint64_t first)
{
	uint32_t yes = 1;

	if (nr != SYS_seccomp && (nr != SYS_prctl || first != PR_SET_SECCOMP))
		return;
	space_of(k, task)->filtered = true;
	tracee_write(k, task->tid, AGENT_DATA + offsetof(struct agent_config, own_filter), &yes, sizeof(yes));
}

/* From its next instruction on the thread has nothing of ours but mapped memory. At a stop outside the agent. */
static void leave_dispatch(struct keeper *k, struct task *task)
{
	disarm_dispatch(k, task);
	task_drop_slot(k, task);
}

/* The thread goes on without an agent, traced by ptrace. At dispatch's stop, *regs as found; the call is made again. */
static void demote(struct keeper *k, struct task *task, struct user_regs_struct *regs, uint64_t gs_base, const char *why)
{
	leave_dispatch(k, task);
	regs->rip -= 2;
	regs->orig_rax = (uint64_t)-1;
	regs->gs_base = gs_base;
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	task->by_ptrace = true;
	task->in_syscall = false;
	send_note(k, task, "thread %d is traced by ptrace from here on: %s", task->tid, why);
	resume(task, 0);
}

static void detach(struct keeper *k, struct task *task)
{
	pid_t tid = task->tid;

	send_note(k, task, "thread %d is traced by another tracer from here on: %s", tid,
		  k->net >= 0 ? "its calls, but for clone and fork, are seen by the seccomp net only, without results" : "its calls are not seen");
	space_of(k, task)->rewriting.crowded = true;
	task_remove(k, task);
	k->let_go = true;
	ptrace(PTRACE_DETACH, tid, 0, 0);
}

/* The stop for PTRACE_INTERRUPT comes before pending signals: one that dispatch or the agent's copy routine has forced would
 * then hit the thread when it is on its own, and end it. */
static bool has_forced_signal(pid_t tid)
{
	return forced_pending(tid, 1ull << (SIGSYS - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1));
}

/* Stops a running thread. NULL: it is gone, or not ours. Asked again after each other stop, which takes the request with it. */
static struct task *halt(struct keeper *k, pid_t tid)
{
	int status;

	while (task_find(k, tid)) {
		room_wait_no_more(k, tid); /* nobody looks at rings meanwhile */
		if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 || wait_stop(k, tid, &status) <= 0)
			return NULL;
		if (status >> 16 == PTRACE_EVENT_STOP) {
			struct task *task = task_find(k, tid);

			task->stop_again = WSTOPSIG(status) != SIGTRAP; /* it belongs to a stopped process */
			if (!has_forced_signal(tid))
				return task;
			resume(task, 0); /* to its stop, which is next */
			if (wait_stop(k, tid, &status) <= 0)
				return NULL;
		}
		handle_status(k, tid, status);
	}
	return NULL;
}

/* Stops the thread outside the agent and detaches from it, so that another tracer can have it. */
static void hand_over(struct keeper *k, pid_t tid)
{
	struct task *task = halt(k, tid);
	struct user_regs_struct regs;

	if (!task)
		return;
	if (task->chunk != NO_INDEX) {
		if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0 ||
		    leave_agent(k, task, &regs, NULL) < 0)
			return;
		rewrite_leave_trampoline(k, task, &regs);
		leave_dispatch(k, task);
		regs.gs_base = AGENT_IDLE;
		ptrace(PTRACE_SETREGS, tid, 0, &regs);
	}
	detach(k, task);
}

/* The program's own text again, in all its threads: trampolines need %gs. `tid` is stopped. */
static void undo_rewriting(struct keeper *k, pid_t tid)
{
	struct space *space = space_of(k, task_find(k, tid));
	uint32_t index = task_find(k, tid)->space, count = 0;
	pid_t others[256];

	space->rewriting.off = true;
	for (uint32_t i = 0; i < k->live && count < sizeof(others) / sizeof(others[0]); i++)
		if (k->tids[i] != tid && task_find(k, k->tids[i])->space == index)
			others[count++] = k->tids[i];
	for (uint32_t i = 0; i < count; i++)
		if (!halt(k, others[i]))
			others[i] = 0;
	rewrite_restore(k, space, tid);
	for (uint32_t i = 0; i < count; i++) {
		struct task *other = task_find(k, others[i]);

		if (other)
			resume(other, 0);
	}
}

/* PTRACE_TRACEME of the program itself would make the keeper its tracer twice: the kernel refuses that, as under strace. */
static bool asks_for_tracer(const struct keeper *k, const struct task *task, uint64_t request)
{
	return request == PTRACE_TRACEME && task->tid != k->program;
}

static void note_ptrace(struct keeper *k, uint64_t request, uint64_t target, pid_t caller)
{
	if ((request == PTRACE_ATTACH || request == PTRACE_SEIZE) && (pid_t)target != caller)
		hand_over(k, (pid_t)target);
}

bool let_go_at_entry(struct keeper *k, struct task *task, const uint64_t args[6])
{
	pid_t tid = task->tid;

	if (asks_for_tracer(k, task, args[0])) {
		detach(k, task);
		return true;
	}
	note_ptrace(k, args[0], args[1], tid);
	return false;
}

static bool takes_gs(const struct user_regs_struct *regs)
{
	if (regs->rax == SYS_arch_prctl)
		return regs->rdi == ARCH_SET_GS || regs->rdi == ARCH_GET_GS;
	return regs->rax == SYS_modify_ldt && regs->rdi != MODIFY_LDT_READ && regs->rdi != MODIFY_LDT_READ_DEFAULT;
}

bool let_go_at_dispatch(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	if (regs->rax == SYS_ptrace) {
		pid_t tid = task->tid;

		if (!asks_for_tracer(k, task, regs->rdi)) {
			note_ptrace(k, regs->rdi, regs->rsi, tid);
			return false;
		}
		leave_dispatch(k, task);
		regs->rip -= 2;
		regs->orig_rax = (uint64_t)-1;
		regs->gs_base = AGENT_IDLE;
		ptrace(PTRACE_SETREGS, tid, 0, regs);
		detach(k, task);
		return true;
	}
	if (regs->rax == SYS_prctl && regs->rdi == PR_SET_SYSCALL_USER_DISPATCH) {
		demote(k, task, regs, AGENT_IDLE, "it uses syscall user dispatch itself");
		return true;
	}
	if (takes_gs(regs)) {
		pid_t tid = task->tid;

		stop_noting(k, tid);
		undo_rewriting(k, tid);
		task = task_find(k, tid); /* the table may have moved */
		if (!task)
			return true;
		demote(k, task, regs, 0, "it uses %gs itself");
		return true;
	}
	return false;
}
