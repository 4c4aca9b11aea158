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

/* The front learns the file of an executable mapping before the mapping's record. */
static void note_mapping(struct keeper *k, const struct task *task, const struct user_regs_struct *regs)
{
	char link[64], payload[sizeof(struct control_map) + 4097];
	struct control_map map = { .offset = regs->r9 };
	ssize_t got;

	if (!(regs->rdx & PROT_EXEC) || (regs->r10 & MAP_ANONYMOUS))
		return;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", task->tid, (int)regs->r8);
	got = readlink(link, payload + sizeof(map), 4096);
	if (got < 0)
		return;
	payload[sizeof(map) + (size_t)got] = 0;
	memcpy(payload, &map, sizeof(map));
	send_control(k, (struct control){ .type = MSG_MAP, .pid = task->pid, .tid = task->tid }, payload,
		     (uint32_t)(sizeof(map) + (size_t)got + 1), -1);
}

/* int 0x80: dispatch is switched off for the one call, which is then seen by ptrace. */
static void foreign_syscall(struct task *task, struct user_regs_struct *regs)
{
	disarm_dispatch(task);
	regs->rip -= 2;
	regs->orig_rax = (uint64_t)-1;
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	task->by_ptrace = true;
	task->once = true;
	task->in_syscall = false;
	resume(task, 0);
}

static void dispatch(struct keeper *k, struct task *task, const siginfo_t *info)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0)
		return;
	forced_restore(k, task, SIGSYS);
	if (info->si_arch != AUDIT_ARCH_X86_64) {
		foreign_syscall(task, &regs);
		return;
	}
	forced_note(k, task, &regs);
	if (regs.rax == SYS_mmap)
		note_mapping(k, task, &regs);
	regs.rcx = regs.rip;
	regs.rip = AGENT_EXPORT_STUB;
	regs.orig_rax = (uint64_t)-1;
	ptrace(PTRACE_SETREGS, task->tid, 0, &regs);
	resume(task, 0);
}

/* Closes the record of a call that a signal interrupted, as strace shows it: ret is the restart code. */
static void close_open_record(struct keeper *k, struct task *task, int64_t ret)
{
	struct ring_head *ring = task_ring(k, task);
	uint64_t head = ring ? __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) : 0;

	if (!ring || __atomic_load_n(&ring->open_at, __ATOMIC_ACQUIRE) != head + 1)
		return;
	static _Alignas(8) unsigned char room[RECORD_MAX];
	struct record *rec = (struct record *)(ring_data(ring) + head % RING_BYTES), *interrupted = (struct record *)room;
	uint32_t bytes = rec->entry_size;

	if (bytes < sizeof(*rec) || bytes > RECORD_MAX)
		return; /* scribbled over; the front will say so */
	/* Written and measured in a copy: the program may scribble over the ring meanwhile. */
	memcpy(interrupted, rec, bytes);
	interrupted->size = bytes;
	interrupted->ret = ret;
	if (record_valid(interrupted, bytes)) {
		capture_interrupted(k, task, interrupted);
		bytes = interrupted->size;
		memcpy(rec, interrupted, bytes);
	}
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

/* A fault met while stepping; false when it is not one of the copy routine. */
static bool step_over_fault(struct keeper *k, const struct task *task, struct user_regs_struct *regs)
{
	siginfo_t info;

	return ptrace(PTRACE_GETSIGINFO, task->tid, 0, &info) == 0 && copy_fault(k, task, regs, &info);
}

static bool stub_returns(uint64_t rip)
{
	return rip >= AGENT_EXPORT_STUB_RETURN && rip < AGENT_EXPORT_STUB_END;
}

/* Steps until the thread has left the agent's code or only the way back to the program is left, signals blocked. (That way
 * holds a popf, over which the kernel takes the trap flag for the program's own.) 0, or -errno when it is gone. */
static int step_out(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	uint64_t mask, all = ~0ull;
	int status, err = 0;

	if (ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return -errno;
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	while (!err && in_agent(regs->rip) && !stub_returns(regs->rip)) {
		if (ptrace(PTRACE_SINGLESTEP, task->tid, 0, 0) < 0 || wait_stop(task->tid, &status) < 0)
			err = -errno;
		else if (!WIFSTOPPED(status)) {
			keep_early(k, task->tid, status);
			return -ESRCH;
		} else if (ptrace(PTRACE_GETREGS, task->tid, 0, regs) < 0)
			err = -errno;
		else if (WSTOPSIG(status) != SIGTRAP && !step_over_fault(k, task, regs))
			err = -EFAULT;
	}
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

static bool was_interrupted(const struct user_regs_struct *regs)
{
	int64_t result = (int64_t)regs->rax;

	return regs->rip == AGENT_EXPORT_GADGET_AFTER && (int64_t)regs->orig_rax >= 0 && result >= ERESTART_FIRST &&
	       result <= ERESTART_LAST;
}

/* Gives the thread registers a handler may see. 0, or -errno when it is gone. The siginfo is set again when steps were
 * taken, because they end in another stop. */
static int leave_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs, siginfo_t *info)
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
	} else if (thread.phase == AGENT_BEFORE && regs->rip != AGENT_EXPORT_GADGET_AFTER) {
		abandon_record(k, task);
		back_to_site(regs, &thread.frame);
	} else {
		err = step_out(k, task, regs);
		if (err)
			return err;
		if (stub_returns(regs->rip)) {
			program_registers(regs, &thread.frame);
			regs->rip = thread.frame.rcx;
		}
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
	if (task->chunk != NO_INDEX && ptrace(PTRACE_GETREGS, tid, 0, &regs) == 0 && in_agent(regs.rip)) {
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
