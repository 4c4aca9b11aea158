/* Syscalls made by a stopped tracee on the keeper's behalf. Signals are blocked meanwhile, so the only stops are ours;
 * a SIGKILL ends it with -ESRCH. */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "agent_symbols.h"
#include "keeper.h"

pid_t wait_stop(struct keeper *k, pid_t tid, int *status)
{
	pid_t got;

	while ((got = net_wait(k, tid, status)) < 0 && errno == EINTR)
		;
	return got;
}

/* Runs to the next syscall stop. */
int run_to_syscall_stop(struct keeper *k, pid_t tid)
{
	int status, sig = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, tid, 0, sig) < 0)
			return -errno;
		if (wait_stop(k, tid, &status) < 0)
			return -errno;
		if (!WIFSTOPPED(status)) {
			keep_early(k, tid, status);
			return -ESRCH;
		}
		if (status >> 16 == PTRACE_EVENT_EXEC) { /* by another thread: this one is no more */
			on_exec(k, tid);
			return -ESRCH;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			return 0;
		join_stop(k, tid, status, &sig);
	}
}

long remote_syscall(struct keeper *k, pid_t tid, uint64_t at, long nr, const uint64_t args[6])
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		return -errno;
	regs.rip = at;
	regs.rax = (uint64_t)nr;
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	if (ptrace(PTRACE_SETREGS, tid, 0, &regs) < 0)
		return -errno;
	k->remote_tid = tid;
	int err = run_to_syscall_stop(k, tid);

	if (!err)
		err = run_to_syscall_stop(k, tid);
	k->remote_tid = 0;
	if (err)
		return err;
	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		return -errno;
	return (long)regs.rax;
}

long remote_call(struct keeper *k, const struct task *task, long nr, const uint64_t args[6])
{
	struct user_regs_struct regs;
	uint64_t mask, all = ~0ull;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return -errno;
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	long got = remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, nr, args);

	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	regs.orig_rax = (uint64_t)-1;
	ptrace(PTRACE_SETREGS, task->tid, 0, &regs);
	return got;
}
