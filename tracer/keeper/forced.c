/* A forced signal (SIGSYS of dispatch, SIGSEGV and SIGBUS of the agent's copy routine) unblocks itself in the kernel, and
 * resets its action when it was blocked or ignored. The keeper remembers what the program wanted and puts it back. */
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include "agent_symbols.h"
#include "keeper.h"


#define BIT(sig) (1ull << ((sig) - 1))
#define FORCED FORCED_SIGNALS
#define KERNEL_SA_NODEFER 0x40000000u
#define KERNEL_SA_RESETHAND 0x80000000u
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static int forced_index(uint64_t sig)
{
	return sig == SIGSYS ? 0 : sig == SIGSEGV ? 1 : sig == SIGBUS ? 2 : -1;
}

bool forced_is_blocked(const struct task *task, int sig)
{
	return task->blocked & BIT(sig);
}

static uint64_t blocked_at(const struct task *task)
{
	return thread_block(task) + offsetof(struct agent_thread, forced_blocked);
}

static void tell_blocked(struct keeper *k, struct task *task)
{
	if (task->chunk == NO_INDEX || task->blocked_told == task->blocked)
		return;
	task->blocked_told = task->blocked;
	tracee_write(k, task->tid, blocked_at(task), &task->blocked, sizeof(task->blocked));
}

void forced_sync(struct keeper *k, struct task *task)
{
	uint64_t blocked;

	if (task->chunk == NO_INDEX || tracee_read(k, task->tid, blocked_at(task), &blocked, sizeof(blocked)))
		return;
	task->blocked = task->blocked_told = blocked & FORCED;
}

static bool is_used(struct keeper *k, const struct guest *guest)
{
	for (uint32_t i = 0; i < k->live; i++) {
		const struct task *task = task_find(k, k->tids[i]);

		if (task->sighand == guest->sighand && task->space == guest->space)
			return true;
	}
	return false;
}

static struct guest *guest_of(struct keeper *k, const struct task *task)
{
	for (uint32_t i = 0; i < GUEST_MAX; i++)
		if (k->guests[i].sighand == task->sighand && k->guests[i].space == task->space)
			return &k->guests[i];
	for (uint32_t i = 0; i < GUEST_MAX; i++)
		if (!is_used(k, &k->guests[i])) {
			k->guests[i] = (struct guest){ .sighand = task->sighand, .space = task->space };
			return &k->guests[i];
		}
	return NULL;
}

static struct signal_actions *actions_of(struct keeper *k, const struct task *task)
{
	struct space *space = space_of(k, task);

	if (!space->owner)
		space->owner = task->sighand;
	struct guest *guest = space->owner == task->sighand ? NULL : guest_of(k, task);

	return guest ? &guest->actions : &space->actions;
}

/* As CLONE_CLEAR_SIGHAND: only what is ignored stays. */
static void clear_handlers(struct signal_actions *actions)
{
	struct signal_actions cleared = { 0 };

	for (uint32_t i = 0; i < FORCED_COUNT; i++)
		if (actions->action[i][0] == (uint64_t)SIG_IGN)
			cleared.action[i][0] = (uint64_t)SIG_IGN;
	*actions = cleared;
}

/* It shares its parent's actions, or begins with a copy of them. */
void forced_born(struct keeper *k, const struct task *parent, struct task *child, uint64_t flags)
{
	if (flags & CLONE_SIGHAND) {
		child->sighand = parent->sighand;
		return;
	}
	struct signal_actions *from = actions_of(k, parent), *to = actions_of(k, child);

	if (to == from)
		return; /* too many guests */
	*to = *from;
	if (flags & CLONE_CLEAR_SIGHAND)
		clear_handlers(to);
}

void forced_inherited(struct keeper *k, struct task *task, uint64_t mask, uint64_t ignored)
{
	static const int forced[FORCED_COUNT] = { SIGSYS, SIGSEGV, SIGBUS };

	task->blocked = mask & FORCED;
	for (uint32_t i = 0; i < FORCED_COUNT; i++)
		actions_of(k, task)->action[i][0] = ignored & BIT(forced[i]) ? (uint64_t)SIG_IGN : 0;
}

static void note_action(struct keeper *k, struct task *task, uint64_t sig, uint64_t from)
{
	struct signal_actions *actions = actions_of(k, task);
	uint64_t action[4]; /* handler, flags, restorer, mask */
	int index = forced_index(sig);

	if (sig < 1 || sig > 64 || !from || tracee_read(k, task->tid, from, action, sizeof(action)))
		return;
	task->undo.sig = sig;
	task->undo.handler_mask = actions->handler_mask[sig];
	task->undo.handled = actions->handled & BIT(sig);
	task->undo.one_shot = actions->one_shot & BIT(sig);
	if (index >= 0)
		memcpy(task->undo.action, actions->action[index], sizeof(action));
	if (index >= 0)
		memcpy(actions->action[index], action, sizeof(action));
	actions->handler_mask[sig] = (action[3] | (action[1] & KERNEL_SA_NODEFER ? 0 : BIT(sig))) & FORCED;
	actions->handled &= ~BIT(sig);
	actions->one_shot &= ~BIT(sig);
	if (action[0] > (uint64_t)SIG_IGN)
		actions->handled |= BIT(sig);
	if (action[1] & KERNEL_SA_RESETHAND)
		actions->one_shot |= BIT(sig);
}

/* The mask in a signal frame. */
static void note_mask(struct keeper *k, struct task *task, uint64_t from)
{
	uint64_t set;

	if (!tracee_read(k, task->tid, from, &set, sizeof(set)))
		task->blocked = set & FORCED;
}

/* The mask that a waiting call brings, by its address; or the address of that address. */
static void note_waiting(struct keeper *k, struct task *task, uint64_t from, bool indirect)
{
	uint64_t set;

	if (indirect && (!from || tracee_read(k, task->tid, from, &from, sizeof(from))))
		return;
	if (from && !tracee_read(k, task->tid, from, &set, sizeof(set)))
		task->during = set & FORCED;
}

static bool is_noted(uint64_t nr)
{
	return nr == SYS_rt_sigaction || nr == SYS_rt_sigreturn;
}

void forced_undo(struct keeper *k, struct task *task, uint64_t nr)
{
	if (!is_noted(nr))
		return;
	struct signal_actions *actions = actions_of(k, task);
	uint64_t sig = task->undo.sig;

	task->blocked = task->undo.blocked;
	tell_blocked(k, task);
	if (!sig)
		return;
	if (forced_index(sig) >= 0)
		memcpy(actions->action[forced_index(sig)], task->undo.action, sizeof(task->undo.action));
	actions->handler_mask[sig] = task->undo.handler_mask;
	actions->handled = (actions->handled & ~BIT(sig)) | task->undo.handled;
	actions->one_shot = (actions->one_shot & ~BIT(sig)) | task->undo.one_shot;
}

void forced_note(struct keeper *k, struct task *task, const struct user_regs_struct *regs)
{
	task->undo.blocked = task->blocked;
	task->undo.sig = 0;
	if (regs->rax == SYS_rt_sigaction)
		note_action(k, task, regs->rdi, regs->rsi);
	else if (regs->rax == SYS_rt_sigreturn)
		note_mask(k, task, regs->rsp + SIGFRAME_MASK);
	tell_blocked(k, task);
}

void forced_rewind(struct keeper *k, struct task *task)
{
	struct agent_thread thread;

	task->rewound = task->chunk != NO_INDEX && !tracee_read(k, task->tid, thread_block(task), &thread, sizeof(thread)) &&
			(thread.phase == AGENT_BEFORE || thread.frame.rax == SYS_rt_sigreturn) && /* which is recorded before */
			thread.caught == CAUGHT_DISPATCH && is_noted(thread.frame.rax);
	if (task->rewound)
		forced_undo(k, task, thread.frame.rax);
}

void forced_replay(struct keeper *k, struct task *task)
{
	struct agent_thread thread;

	if (!task->rewound || tracee_read(k, task->tid, thread_block(task), &thread, sizeof(thread)))
		return;
	task->rewound = false;
	forced_note(k, task, &(struct user_regs_struct){ .rax = thread.frame.rax, .rdi = thread.frame.rdi,
							 .rsi = thread.frame.rsi, .rsp = thread.frame.rsp });
}

void forced_interrupted(struct keeper *k, struct task *task, const struct agent_frame *frame)
{
	task->during = task->blocked;
	switch (frame->rax) {
	case SYS_rt_sigsuspend:
		note_waiting(k, task, frame->rdi, false);
		break;
	case SYS_ppoll:
		note_waiting(k, task, frame->r10, false);
		break;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		note_waiting(k, task, frame->r8, false);
		break;
	case SYS_pselect6:
	case SYS_io_pgetevents:
		note_waiting(k, task, frame->r9, true);
		break;
	}
}

void forced_deliver(struct keeper *k, struct task *task, int sig, bool interrupts)
{
	if (task->chunk == NO_INDEX || sig < 1 || sig > 64)
		return;
	struct signal_actions *actions = actions_of(k, task);
	int index = forced_index((uint64_t)sig);

	if (!(actions->handled & BIT(sig)))
		return;
	task->blocked = (interrupts ? task->during : task->blocked) | actions->handler_mask[sig];
	tell_blocked(k, task);
	if (!(actions->one_shot & BIT(sig)))
		return;
	actions->handled &= ~BIT(sig);
	if (index >= 0)
		actions->action[index][0] = (uint64_t)SIG_DFL;
}

/* The scratch of remote calls is the low end of the thread's own agent stack. */
static uint64_t scratch_of(const struct task *task)
{
	return thread_block(task) + sizeof(struct agent_thread);
}

void forced_resend(struct keeper *k, const struct task *task, const siginfo_t *info)
{
	uint64_t mask, all = ~0ull, scratch = scratch_of(task);
	const uint64_t marked[6] = { AGENT_BASE }; /* for who looks at our calls */

	if (tracee_write(k, task->tid, scratch, info, sizeof(*info)) ||
	    ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return;
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	/* Its ids as it knows them: it may live in a pid namespace. */
	long pid = remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, SYS_getpid, marked);
	long tid = remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, SYS_gettid, marked);

	if (pid > 0 && tid > 0)
		remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, SYS_rt_tgsigqueueinfo,
			       (uint64_t[6]){ (uint64_t)pid, (uint64_t)tid, (uint64_t)info->si_signo, scratch });
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
}

static void restore_action(struct keeper *k, const struct task *task, int sig)
{
	const uint64_t *action = actions_of(k, task)->action[forced_index((uint64_t)sig)];
	uint64_t scratch = scratch_of(task), mask, all = ~0ull;

	if (!action[0] || (!forced_is_blocked(task, sig) && action[0] != (uint64_t)SIG_IGN) ||
	    tracee_write(k, task->tid, scratch, action, 4 * sizeof(*action)) ||
	    ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return;
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, SYS_rt_sigaction, (uint64_t[6]){ (uint64_t)sig, scratch, 0, 8 });
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
}

void forced_restore(struct keeper *k, const struct task *task, int sig)
{
	uint64_t mask;

	restore_action(k, task, sig);
	if (!forced_is_blocked(task, sig) || ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return;
	mask |= BIT(sig);
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
}
