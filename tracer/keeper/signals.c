/* Signal-delivery stops. SIGSYS of user dispatch becomes a jump into the agent; any other signal that finds a thread in
 * the agent gets the program's own registers first, so that handlers never see the agent (design.md, Signals). */
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent_symbols.h"
#include "keeper.h"

#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2 /* si_code, <asm-generic/siginfo.h> */
#endif
#define ERESTART_FIRST (-516)
#define ERESTART_LAST (-512)

bool in_agent(uint64_t rip)
{
	return rip >= AGENT_BASE && rip < AGENT_EXPORT_TEXT_END;
}

/* The program's registers at its syscall, with rip left to the caller. */
void program_registers(struct user_regs_struct *regs, const struct agent_frame *frame)
{
	regs->rbx = frame->rbx;
	regs->rcx = frame->rcx;
	regs->rdx = frame->rdx;
	regs->rsi = frame->rsi;
	regs->rdi = frame->rdi;
	regs->rbp = frame->rbp;
	regs->rsp = frame->rsp;
	regs->r8 = frame->r8;
	regs->r9 = frame->r9;
	regs->r10 = frame->r10;
	regs->r11 = frame->rflags;
	regs->r12 = frame->r12;
	regs->r13 = frame->r13;
	regs->r14 = frame->r14;
	regs->r15 = frame->r15;
	regs->eflags = frame->rflags;
}

static int set_phase(struct keeper *k, const struct task *task, uint64_t phase)
{
	return tracee_write(k, task->tid, thread_block(task) + offsetof(struct agent_thread, phase), &phase, sizeof(phase));
}

/* int 0x80: dispatch is switched off for the one call, which is then seen by ptrace. */
static void foreign_syscall(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	disarm_dispatch(k, task);
	regs->rip -= 2;
	regs->orig_rax = (uint64_t)-1;
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	task->by_ptrace = true;
	task->once = true;
	task->in_syscall = false;
	resume(task, 0);
}

/* The agent's own dispatched call: it goes on behind it. */
static void answer_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	regs->rax = 0;
	regs->orig_rax = (uint64_t)-1;
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	if (regs->rdi == AGENT_CALL_MAPPED)
		tell_mapping(k, task, regs->rsi, regs->rdx, (int)regs->r10, regs->r8);
}

static void dispatch(struct keeper *k, struct task *task, const siginfo_t *info)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0)
		return;
	forced_restore(k, task, SIGSYS);
	if (regs.rip == AGENT_EXPORT_KEEPER_AFTER) {
		answer_agent(k, task, &regs);
		resume(task, 0);
		return;
	}
	if (info->si_arch != AUDIT_ARCH_X86_64) {
		foreign_syscall(k, task, &regs);
		return;
	}
	if (let_go_at_dispatch(k, task, &regs))
		return;
	forced_note(k, task, &regs);
	rewrite_dispatched(k, task, regs.rip - 2);
	regs.rcx = regs.rip;
	regs.r11 = CAUGHT_DISPATCH;
	regs.rip = AGENT_EXPORT_STUB;
	regs.orig_rax = (uint64_t)-1;
	ptrace(PTRACE_SETREGS, task->tid, 0, &regs);
	resume(task, 0);
}

/* Closes the record of a call that a signal interrupted, as strace shows it: ret is the restart code. */
static void close_open_record(struct keeper *k, const struct task *task, int64_t ret)
{
	struct ring_head *ring = task_ring(k, task);
	uint64_t head = ring ? __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) : 0;

	if (!ring || __atomic_load_n(&ring->open_at, __ATOMIC_ACQUIRE) != head + 1)
		return;
	struct record *rec = (struct record *)(ring_data(ring) + head % RING_BYTES);
	uint32_t bytes = rec->entry_size;

	if (bytes < sizeof(*rec) || bytes > RECORD_MAX)
		return; /* scribbled over; the front will say so */
	rec->size = bytes;
	rec->ret = ret;
	rec->end_tsc = now_tsc();
	__atomic_store_n(&ring->head, head + bytes, __ATOMIC_RELEASE);
}

static void abandon_record(struct keeper *k, const struct task *task)
{
	struct ring_head *ring = task_ring(k, task);

	if (ring)
		__atomic_store_n(&ring->open_at, 0, __ATOMIC_RELEASE);
}

/* The agent touched memory of the program that is not there: the copy ends early and no signal is delivered. */
static bool copy_fault(struct keeper *k, const struct task *task, struct user_regs_struct *regs, const siginfo_t *info)
{
	if ((info->si_signo != SIGSEGV && info->si_signo != SIGBUS) || info->si_code <= 0 ||
	    regs->rip < AGENT_EXPORT_COPY || regs->rip >= AGENT_EXPORT_COPY_RECOVER)
		return false;
	forced_restore(k, task, info->si_signo);
	regs->rip = AGENT_EXPORT_COPY_RECOVER;
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	return true;
}

/* A signal met while stepping; false when it is neither a fault of the copy routine nor the agent's own call. */
static bool step_over(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGINFO, task->tid, 0, &info) < 0)
		return false;
	if (info.si_signo == SIGSYS && regs->rip == AGENT_EXPORT_KEEPER_AFTER) {
		forced_restore(k, task, SIGSYS);
		answer_agent(k, task, regs);
		return true;
	}
	return copy_fault(k, task, regs, &info);
}

static bool stub_returns(uint64_t rip)
{
	return rip >= AGENT_EXPORT_STUB_RETURN && rip < AGENT_EXPORT_STUB_END;
}

static int run_once(struct keeper *k, const struct task *task, int request, struct user_regs_struct *regs, int *sig)
{
	int status;

	if (ptrace(request, task->tid, 0, 0) < 0 || wait_stop(k, task->tid, &status) < 0)
		return -errno;
	if (!WIFSTOPPED(status)) {
		keep_early(k, task->tid, status);
		return -ESRCH;
	}
	*sig = WSTOPSIG(status);
	return ptrace(PTRACE_GETREGS, task->tid, 0, regs) < 0 ? -errno : 0;
}

/* In a wrapper or the loader's detour: to the first instruction outside the agent. Or, where nothing would stop it on its
 * way back, to the stub's return (which holds a popf, over which the kernel takes the trap flag for the program's own). */
static int step_out(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	int sig, err = 0;

	while (!err && in_agent(regs->rip) && !stub_returns(regs->rip)) {
		err = run_once(k, task, PTRACE_SINGLESTEP, regs, &sig);
		if (!err && sig != SIGTRAP && !step_over(k, task, regs))
			err = -EFAULT;
	}
	return err;
}

/* After the call: its return is led into a trap of the agent's, one stop instead of hundreds of steps. */
static int run_out(struct keeper *k, struct task *task, struct user_regs_struct *regs, struct agent_frame *frame)
{
	uint64_t trap = AGENT_EXPORT_TRAP, resume_at = frame->rcx;
	uint64_t at = thread_block(task) + offsetof(struct agent_thread, frame.rcx);
	int sig, err = tracee_write(k, task->tid, at, &trap, sizeof(trap));

	while (!err && regs->rip != AGENT_EXPORT_TRAP_AFTER) {
		err = run_once(k, task, PTRACE_CONT, regs, &sig);
		if (!err && regs->rip != AGENT_EXPORT_TRAP_AFTER && !step_over(k, task, regs))
			err = -EFAULT;
	}
	if (err)
		return err;
	forced_restore(k, task, SIGSYS);
	program_registers(regs, frame);
	regs->rip = resume_at;
	regs->orig_rax = (uint64_t)-1;
	return tracee_write(k, task->tid, at, &resume_at, sizeof(resume_at));
}

static bool is_dispatched(struct keeper *k, const struct task *task)
{
	const struct ring_head *ring = task_ring(k, task);

	return ring && __atomic_load_n(&ring->selector, __ATOMIC_RELAXED) == RING_DISPATCH;
}

/* Ends what the agent is doing, other signals blocked meanwhile. 0, or -errno when the thread is gone. */
static int finish_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs, struct agent_thread *thread)
{
	uint64_t mask, all = ~0ull;
	int err;

	if (!forced_is_blocked(task, SIGSYS))
		all &= ~(1ull << (SIGSYS - 1)); /* blocked, the forced signal would lose its handler */

	if (ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return -errno;
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	if (thread->phase != AGENT_OUTSIDE && !stub_returns(regs->rip) && is_dispatched(k, task))
		err = run_out(k, task, regs, &thread->frame);
	else
		err = step_out(k, task, regs);
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	return err;
}

/* In the stub's first instructions: nothing but rsp and, later, rax differs from the program's. */
static void unenter(struct user_regs_struct *regs, const struct agent_frame *frame)
{
	if (regs->rip > AGENT_EXPORT_STUB)
		regs->rsp = frame->rsp;
	if (regs->rip >= AGENT_EXPORT_STUB_RAX)
		regs->rax = frame->rax;
	regs->rip = regs->rcx - 2;
	regs->orig_rax = (uint64_t)-1;
}

static void back_to_site(struct user_regs_struct *regs, const struct agent_frame *frame)
{
	program_registers(regs, frame);
	regs->rip = frame->rcx - 2;
	regs->rax = frame->rax;
	regs->orig_rax = (uint64_t)-1;
}

/* The net's filter (net_filter.c) notifies these from the agent too; none of them answers ERESTARTSYS by itself: the
 * notification was interrupted before the keeper received it, and the call has not begun. */
static bool is_notified_always(uint64_t nr)
{
	return nr == SYS_execve || nr == SYS_execveat || nr == SYS_ptrace;
}

static bool never_began(const struct user_regs_struct *regs)
{
	return is_notified_always(regs->orig_rax) && (int64_t)regs->rax == ERESTART_LAST;
}

static bool was_interrupted(const struct user_regs_struct *regs)
{
	int64_t result = (int64_t)regs->rax;

	return !never_began(regs) && regs->rip == AGENT_EXPORT_GADGET_AFTER && (int64_t)regs->orig_rax >= 0 && result >= ERESTART_FIRST &&
	       result <= ERESTART_LAST;
}

int leave_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs, siginfo_t *info)
{
	struct agent_thread thread;
	int err;

	if (tracee_read(k, task->tid, thread_block(task), &thread, sizeof(thread)))
		return -ESRCH;
	if (was_interrupted(regs)) {
		close_open_record(k, task, (int64_t)regs->rax);
		program_registers(regs, &thread.frame);
		regs->rip = thread.frame.rcx;
	} else if (regs->rip < AGENT_EXPORT_STUB_SAVED) {
		unenter(regs, &thread.frame);
	} else if (thread.phase == AGENT_BEFORE && (regs->rip != AGENT_EXPORT_GADGET_AFTER || never_began(regs))) {
		abandon_record(k, task);
		back_to_site(regs, &thread.frame);
	} else {
		err = finish_agent(k, task, regs, &thread);
		if (err)
			return err;
		if (stub_returns(regs->rip)) {
			program_registers(regs, &thread.frame);
			regs->rip = thread.frame.rcx;
		}
		if (info)
			ptrace(PTRACE_SETSIGINFO, task->tid, 0, info);
	}
	set_phase(k, task, AGENT_OUTSIDE);
	return ptrace(PTRACE_SETREGS, task->tid, 0, regs) < 0 ? -errno : 0;
}

/* A SIGSYS that comes while the program blocks it was forced by dispatch all the same: one of the program's own was pending
 * and took its place. That one is sent again and stays pending, because dispatch blocks it again. */
static bool is_dispatch(const struct task *task, siginfo_t *info)
{
	if (info->si_code == SYS_USER_DISPATCH)
		return true;
	if (!forced_is_blocked(task, SIGSYS))
		return false;
	info->si_arch = AUDIT_ARCH_X86_64;
	uint64_t mask;

	if (!ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask)) {
		mask |= 1ull << (SIGSYS - 1);
		ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	}
	syscall(SYS_tgkill, task->pid, task->tid, SIGSYS);
	return true;
}

void on_signal(struct keeper *k, struct task *task, int sig)
{
	struct user_regs_struct regs;
	siginfo_t info;
	pid_t tid = task->tid;

	if (ptrace(PTRACE_GETSIGINFO, tid, 0, &info) < 0)
		return;
	if (task->chunk != NO_INDEX && sig == SIGSYS && is_dispatch(task, &info)) {
		dispatch(k, task, &info);
		return;
	}
	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		return;
	if (rewrite_leave_trampoline(k, task, &regs))
		ptrace(PTRACE_SETREGS, tid, 0, &regs);
	if (task->chunk != NO_INDEX && in_agent(regs.rip)) {
		if (copy_fault(k, task, &regs, &info)) {
			resume(task, 0);
			return;
		}
		if (leave_agent(k, task, &regs, &info) < 0)
			return;
	}
	forced_deliver(k, task, sig);
	send_control(k, (struct control){ .type = MSG_SIGNAL, .pid = task->pid, .tid = tid, .value = sig }, &info,
		     sizeof(info), -1);
	resume(task, sig);
}
