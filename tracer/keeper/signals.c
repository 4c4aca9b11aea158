/* Signal-delivery stops. SIGSYS of user dispatch becomes a jump into the agent; any other signal that finds a thread in
 * the agent gets the program's own registers first, so that handlers never see the agent (design.md, Signals). */
#include <errno.h>
#include <linux/audit.h>
#include <poll.h>
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

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif
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

static uint64_t vdso_block(const struct task *task)
{
	return thread_block(task) + offsetof(struct agent_thread, vdso);
}

static bool in_vdso(struct keeper *k, const struct task *task, struct agent_vdso *call)
{
	return k->launch->vdso && !tracee_read(k, task->tid, vdso_block(task), call, sizeof(*call)) && call->slot;
}

/* Gives the function its own return address back: it will not be recorded. */
static void vdso_forget(struct keeper *k, const struct task *task, const struct agent_vdso *call)
{
	struct agent_vdso none = { 0 };
	uint64_t now;

	if (!tracee_read(k, task->tid, call->slot, &now, sizeof(now)) && now == AGENT_EXPORT_VDSO_RETURN)
		tracee_write(k, task->tid, call->slot, &call->caller, sizeof(call->caller));
	tracee_write(k, task->tid, vdso_block(task), &none, sizeof(none));
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
	struct agent_vdso call;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0)
		return;
	if (regs.rip != AGENT_EXPORT_KEEPER_AFTER && in_vdso(k, task, &call))
		vdso_forget(k, task, &call); /* it leaves the answer to the kernel, and this call is recorded */
	forced_restore(k, task, SIGSYS);
	if (regs.rip == AGENT_EXPORT_KEEPER_AFTER) {
		forced_replay(k, task);
		answer_agent(k, task, &regs);
		if (regs.rdi == AGENT_CALL_FULL)
			room_ask(k, task);
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
	note_filter(k, task, regs.rax, regs.rdi);
	rewrite_dispatched(k, task, regs.rip - 2);
	regs.rcx = regs.rip;
	regs.r11 = CAUGHT_DISPATCH;
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
	/* Scribbled over? Then the record may not even lie in the ring; the front will say so. */
	static _Alignas(8) unsigned char room[RECORD_MAX];
	uint64_t left = RING_BYTES - head % RING_BYTES;

	if (head % 8 || left < RECORD_MAX)
		return;
	struct record *rec = (struct record *)(ring_data(ring) + head % RING_BYTES), *interrupted = (struct record *)room;
	uint32_t bytes = rec->entry_size;

	if (bytes < sizeof(*rec) || bytes > RECORD_MAX)
		return;
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

/* The agent touched memory of the program that is not there: the copy ends early and no signal is delivered. One of the
 * program's own that was pending while blocked takes the fault's place, and is made pending again. */
static bool copy_fault(struct keeper *k, const struct task *task, struct user_regs_struct *regs, const siginfo_t *info)
{
	bool sent = info->si_code <= 0;

	if ((info->si_signo != SIGSEGV && info->si_signo != SIGBUS) || (sent && !forced_is_blocked(task, info->si_signo)) ||
	    regs->rip < AGENT_EXPORT_COPY || regs->rip >= AGENT_EXPORT_COPY_RECOVER)
		return false;
	forced_restore(k, task, info->si_signo);
	if (sent)
		forced_resend(k, task, info);
	regs->rip = AGENT_EXPORT_COPY_RECOVER;
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	return true;
}

/* The thread may not read the TSC any more (seccomp's strict mode, PR_SET_TSC), which the agent does: it gets what it would have
 * read. */
static bool clock_fault(struct keeper *k, const struct task *task, struct user_regs_struct *regs, const siginfo_t *info)
{
	static const uint8_t rdtsc[] = { 0x0f, 0x31 };

	if (info->si_signo != SIGSEGV || info->si_code != SI_KERNEL ||
	    memcmp(agent_image + (regs->rip - AGENT_BASE), rdtsc, sizeof(rdtsc)) != 0)
		return false;
	uint64_t now = now_tsc();

	forced_restore(k, task, SIGSEGV);
	regs->rip += sizeof(rdtsc);
	regs->rax = (uint32_t)now;
	regs->rdx = now >> 32;
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	return true;
}

/* The agent has met what only it meets. At a signal in the agent. */
static bool own_fault(struct keeper *k, const struct task *task, struct user_regs_struct *regs, const siginfo_t *info)
{
	return copy_fault(k, task, regs, info) || clock_fault(k, task, regs, info);
}

/* A signal met on the way through the agent; false when it is neither its own fault nor its own call. */
static bool pass_over(struct keeper *k, struct task *task, struct user_regs_struct *regs, const siginfo_t *info)
{
	if (info->si_signo != SIGSYS || regs->rip != AGENT_EXPORT_KEEPER_AFTER)
		return own_fault(k, task, regs, info);
	forced_restore(k, task, SIGSYS);
	answer_agent(k, task, regs);
	return true;
}

static bool step_over(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	siginfo_t info;

	return ptrace(PTRACE_GETSIGINFO, task->tid, 0, &info) == 0 && pass_over(k, task, regs, &info);
}

static bool stub_returns(uint64_t rip)
{
	return rip >= AGENT_EXPORT_STUB_RETURN && rip < AGENT_EXPORT_STUB_END;
}

static bool is_fault(const siginfo_t *info)
{
	return info->si_code > 0 && (info->si_signo == SIGSEGV || info->si_signo == SIGBUS || info->si_signo == SIGTRAP ||
				     info->si_signo == SIGILL || info->si_signo == SIGFPE);
}

/* waitpid for a thread that may have to wait for the front: if that dies, nobody must wait for it any more. */
static bool await_thread(struct keeper *k, pid_t tid, int *status)
{
	struct pollfd front = { .fd = k->control };
	pid_t got;

	while ((got = net_wait(k, tid, status)) < 0 && errno == EINTR)
		if (k->control >= 0 && poll(&front, 1, 0) > 0 && front.revents & (POLLHUP | POLLERR))
			front_is_gone(k);
	if (got > 0 && !WIFSTOPPED(*status))
		keep_early(k, tid, *status);
	return got > 0 && WIFSTOPPED(*status);
}

/* Dispatch forces its SIGSYS while the thread is in the program's own code, or calls the keeper. When the program blocks SIGSYS and has one
 * pending, that one takes the place of dispatch's: it is made pending again. */
static bool is_dispatch(struct keeper *k, const struct task *task, const struct user_regs_struct *regs, siginfo_t *info)
{
	uint64_t mask;

	if (info->si_code == SYS_USER_DISPATCH)
		return true;
	if (!forced_is_blocked(task, SIGSYS) || (in_agent(regs->rip) && regs->rip != AGENT_EXPORT_KEEPER_AFTER))
		return false;
	if (!ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask)) {
		mask |= 1ull << (SIGSYS - 1);
		ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	}
	forced_resend(k, task, info);
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
	info->si_arch = AUDIT_ARCH_X86_64;
	return true;
}

enum run_end { RUN_ON, RUN_DONE, RUN_ASIDE };

/* One stop on the way; it runs on with *sig. A signal sent meanwhile that is not blocked is put into *later. RUN_ASIDE: a vDSO
 * function faults, or leaves the answer to the kernel (the system call will be made again). */
static enum run_end run_stop(struct keeper *k, struct task *task, int status, int *sig, int *later)
{
	struct user_regs_struct regs;
	siginfo_t info;

	if (join_stop(k, task->tid, status, sig) || status >> 16 || ptrace(PTRACE_GETSIGINFO, task->tid, 0, &info) < 0 ||
	    ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0)
		return RUN_ON;
	if (info.si_signo == SIGTRAP && (regs.rip == AGENT_EXPORT_STUB_STOP || regs.rip == AGENT_EXPORT_VDSO_STOP))
		return RUN_DONE;
	if (in_agent(regs.rip) && pass_over(k, task, &regs, &info))
		return RUN_ON;
	if (info.si_signo == SIGSYS && is_dispatch(k, task, &regs, &info)) {
		forced_restore(k, task, SIGSYS);
		regs.rip -= 2;
		regs.orig_rax = (uint64_t)-1;
		ptrace(PTRACE_SETREGS, task->tid, 0, &regs);
		return RUN_ASIDE;
	}
	if (is_fault(&info))
		return RUN_ASIDE;
	*later = info.si_signo;
	return RUN_ON;
}

static uint64_t signal_bit(int sig)
{
	return sig ? 1ull << (sig - 1) : 0;
}

static int set_stop(struct keeper *k, const struct task *task, uint64_t stop)
{
	return tracee_write(k, task->tid, thread_block(task) + offsetof(struct agent_thread, stop), &stop, sizeof(stop));
}

/* Lets the thread run to the trap at the end of its way through the agent. Signals stay blocked, but those that may be
 * forced: forcing a blocked one would reset its action. 0, 1 (it went aside), or -errno when it is gone. */
static int run_out(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	const uint64_t forced = 1ull << (SIGTRAP - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGSYS - 1);
	enum run_end end = RUN_ON;
	uint64_t mask, others;
	int status, sig = take_stop_signal(task), later = 0;

	if (ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return -errno;
	others = mask | ~(forced | signal_bit(sig));
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(others), &others);
	set_stop(k, task, 1);
	while (end == RUN_ON) {
		if (ptrace(PTRACE_CONT, task->tid, 0, sig) < 0 || !await_thread(k, task->tid, &status))
			return -ESRCH;
		if (status >> 16 == PTRACE_EVENT_EXEC) { /* by another thread: this one is no more */
			on_exec(k, task->tid);
			return -ESRCH;
		}
		end = run_stop(k, task, status, &sig, &later);
	}
	set_stop(k, task, 0);
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	if (later)
		syscall(SYS_tgkill, task->pid, task->tid, later);
	if (ptrace(PTRACE_GETREGS, task->tid, 0, regs) < 0)
		return -errno;
	return end == RUN_ASIDE;
}

/* One step, to be followed by *sig. 0, or -errno when the thread is gone. */
static int step(struct keeper *k, struct task *task, struct user_regs_struct *regs, int *sig)
{
	int status, how = PTRACE_SINGLESTEP;

	for (;;) {
		if (ptrace(how, task->tid, 0, *sig) < 0 || wait_stop(k, task->tid, &status) < 0)
			return -errno;
		if (!WIFSTOPPED(status)) {
			keep_early(k, task->tid, status);
			return -ESRCH;
		}
		if (status >> 16 == PTRACE_EVENT_EXEC) { /* by another thread */
			on_exec(k, task->tid);
			return -ESRCH;
		}
		if (!join_stop(k, task->tid, status, sig))
			break;
		how = forced_pending(task->tid, 1ull << (SIGTRAP - 1)) ? PTRACE_CONT : PTRACE_SINGLESTEP; /* has the step been made? */
	}
	if (ptrace(PTRACE_GETREGS, task->tid, 0, regs) < 0)
		return -errno;
	return WSTOPSIG(status) == SIGTRAP || step_over(k, task, regs) ? 0 : -EFAULT;
}

/* Steps until the thread has left the agent's code or only the way back to the program is left, signals blocked. (That way
 * holds a popf, over which the kernel takes the trap flag for the program's own.) 0, or -errno when it is gone. */
static int step_out(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	uint64_t mask, others;
	int err = 0, sig = take_stop_signal(task);

	if (ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return -errno;
	others = mask | ~(1ull << (SIGTRAP - 1) | signal_bit(sig)); /* a step forces SIGTRAP: blocked, that would reset its action */
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(others), &others);
	while (!err && in_agent(regs->rip) && !stub_returns(regs->rip)) {
		bool returns = regs->rip == AGENT_EXPORT_SIGRETURN;

		err = step(k, task, regs, &sig);
		if (err == -ESRCH)
			return err;
		if (returns) /* the mask is the one of the signal frame now */
			ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask);
	}
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	return err;
}

/* In the stub's first instructions: nothing but rsp and, later, rax differs from the program's. (rcx and r11 are a syscall's.) */
static void unenter(struct user_regs_struct *regs, const struct agent_frame *frame)
{
	if (regs->rip > AGENT_EXPORT_STUB)
		regs->rsp = frame->rsp;
	if (regs->rip >= AGENT_EXPORT_STUB_RAX)
		regs->rax = frame->rax;
	if (regs->rip >= AGENT_EXPORT_SITE_SWAPPED && regs->rip < AGENT_EXPORT_SITE_THERE)
		regs->rcx = regs->r11;
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

/* The signal ended the call. Then the mask that sigsuspend and its kind brought may still be in force, to be put back after
 * the handler: the thread must not run on, because PTRACE_SETSIGMASK would end that. (io_pgetevents may even have a good result.) */
static bool was_interrupted(const struct user_regs_struct *regs)
{
	int64_t result = (int64_t)regs->rax;

	return (regs->rip == AGENT_EXPORT_GADGET_AFTER || regs->rip == AGENT_EXPORT_FILTER_AFTER) && (int64_t)regs->orig_rax >= 0 &&
	       ((result >= ERESTART_FIRST && result <= ERESTART_LAST) || result == -EINTR ||
		regs->orig_rax == SYS_io_pgetevents);
}

static bool in_filter(uint64_t rip)
{
	return rip >= AGENT_EXPORT_FILTER && rip < AGENT_EXPORT_FILTER_END;
}

/* A filter of the program's trapped the call: it made it itself, for all it knows. The signal is set again in any case, because steps
 * may have been taken. */
static void tell_call_address(const struct task *task, siginfo_t *info, uint64_t address)
{
	if (!info)
		return;
	if (info->si_signo == SIGSYS && info->si_code == SYS_SECCOMP)
		info->si_call_addr = (void *)address;
	ptrace(PTRACE_SETSIGINFO, task->tid, 0, info);
}

/* A call that is not recorded: nothing but rcx, r11 and RIP differs from the program's. */
static int leave_filter(struct keeper *k, struct task *task, struct user_regs_struct *regs, uint64_t resume, siginfo_t *info)
{
	const struct agent_frame frame = { .rax = regs->orig_rax, .rdi = regs->rdi, .rsi = regs->rsi, .rdx = regs->rdx,
					   .r10 = regs->r10, .r8 = regs->r8, .r9 = regs->r9 };
	bool made = regs->rip >= AGENT_EXPORT_FILTER_AFTER;

	if (regs->rip < AGENT_EXPORT_FILTER_KEPT)
		resume = regs->rip >= AGENT_EXPORT_FILTER_SWAPPED && regs->rip < AGENT_EXPORT_FILTER_THERE ? regs->r11 : regs->rcx;
	if (was_interrupted(regs))
		forced_interrupted(k, task, &frame);
	else
		regs->orig_rax = (uint64_t)-1;
	regs->rip = made ? resume : resume - 2;
	tell_call_address(task, info, resume);
	return ptrace(PTRACE_SETREGS, task->tid, 0, regs) < 0 ? -errno : 0;
}

static int leave_code(struct keeper *k, struct task *task, struct user_regs_struct *regs, siginfo_t *info)
{
	struct agent_thread thread;
	int err;

	if (tracee_read(k, task->tid, thread_block(task), &thread, sizeof(thread)))
		return -ESRCH;
	if (in_filter(regs->rip))
		return leave_filter(k, task, regs, thread.plain_resume, info);
	if (was_interrupted(regs)) {
		forced_interrupted(k, task, &thread.frame);
		close_open_record(k, task, (int64_t)regs->rax);
		program_registers(regs, &thread.frame);
		regs->rip = thread.frame.rcx;
	} else if (regs->rip >= AGENT_EXPORT_SITE && regs->rip < AGENT_EXPORT_STUB_SAVED) {
		bool dispatched = regs->rip >= AGENT_EXPORT_STUB && regs->r11 == CAUGHT_DISPATCH;

		unenter(regs, &thread.frame);
		if (dispatched)
			forced_undo(k, task, regs->rax);
	} else if (thread.phase == AGENT_BEFORE && regs->rip != AGENT_EXPORT_GADGET_AFTER) {
		abandon_record(k, task);
		back_to_site(regs, &thread.frame);
		if (thread.caught == CAUGHT_DISPATCH)
			forced_undo(k, task, regs->rax);
	} else {
		/* rt_sigreturn leaves the agent by itself, past the stub's trap. */
		bool in_call = thread.phase != AGENT_OUTSIDE && !stub_returns(regs->rip) &&
			       thread.frame.rax != SYS_rt_sigreturn;

		err = in_call ? run_out(k, task, regs) : step_out(k, task, regs);
		if (err)
			return err < 0 ? err : -EFAULT;
		if (stub_returns(regs->rip)) {
			program_registers(regs, &thread.frame);
			regs->rip = thread.frame.rcx;
		}
		tell_call_address(task, info, thread.frame.rcx);
	}
	set_phase(k, task, AGENT_OUTSIDE);
	return ptrace(PTRACE_SETREGS, task->tid, 0, regs) < 0 ? -errno : 0;
}

/* A vDSO function that is being recorded returns into the agent, and no handler may meet that return address. It is a leaf
 * and takes no time: let it return and be recorded first. 0, or -errno when the thread is gone. */
static int leave_vdso(struct keeper *k, struct task *task, struct user_regs_struct *regs, siginfo_t *info)
{
	struct agent_vdso call;
	int aside = 1;

	if (!in_vdso(k, task, &call))
		return 0;
	if (!info || !is_fault(info)) {
		aside = run_out(k, task, regs);
		if (aside < 0)
			return aside;
		if (info)
			ptrace(PTRACE_SETSIGINFO, task->tid, 0, info);
	}
	if (aside) {
		vdso_forget(k, task, &call);
		return 0;
	}
	regs->rip = regs->rcx;
	return ptrace(PTRACE_SETREGS, task->tid, 0, regs) < 0 ? -errno : 0;
}

void leave_interrupted(struct keeper *k, struct task *task)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0)
		return;
	net_vsyscall_again(k, task, &regs);
	if (task->chunk != NO_INDEX && was_interrupted(&regs))
		leave_code(k, task, &regs, NULL);
}

/* Leaving the agent's code may lead into a vDSO function. */
int leave_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs, siginfo_t *info)
{
	int err = leave_vdso(k, task, regs, info);

	if (!err && in_agent(regs->rip))
		err = leave_code(k, task, regs, info);
	return err ? err : leave_vdso(k, task, regs, info);
}

void on_signal(struct keeper *k, struct task *task, int sig)
{
	struct user_regs_struct regs;
	siginfo_t info;
	pid_t tid = task->tid;
	bool interrupts = false;

	if (ptrace(PTRACE_GETSIGINFO, tid, 0, &info) < 0 || ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		return;
	net_vsyscall_again(k, task, &regs);
	forced_sync(k, task);
	if (in_agent(regs.rip) && (sig == SIGSYS || sig == SIGSEGV || sig == SIGBUS))
		forced_rewind(k, task);
	if (task->chunk != NO_INDEX && sig == SIGSYS && is_dispatch(k, task, &regs, &info)) {
		dispatch(k, task, &info);
		return;
	}
	if (rewrite_leave_trampoline(k, task, &regs))
		ptrace(PTRACE_SETREGS, tid, 0, &regs);
	bool stops = task->chunk != NO_INDEX && stops_process(tid, sig);
	int err = 0;

	task->stop_signal = stops ? sig : 0;
	if (task->chunk != NO_INDEX) {
		if (in_agent(regs.rip) && own_fault(k, task, &regs, &info)) {
			forced_replay(k, task);
			resume(task, 0);
			return;
		}
		interrupts = in_agent(regs.rip) && was_interrupted(&regs);
		err = leave_agent(k, task, &regs, &info);
		if (err && err != -EFAULT)
			return;
		/* The program spoilt the agent's memory: the fault met there is its own, and must not leave it stopped for ever. */
		if (err && !ptrace(PTRACE_GETSIGINFO, tid, 0, &info))
			sig = info.si_signo;
	}
	forced_sync(k, task);
	forced_deliver(k, task, sig, interrupts);
	send_control(k, (struct control){ .type = MSG_SIGNAL, .pid = task->pid, .tid = tid, .value = sig }, &info,
		     sizeof(info), -1);
	if (!take_stop_signal(task) && stops && !err)
		sig = 0; /* it was delivered on the way out of the agent */
	resume(task, sig);
}
