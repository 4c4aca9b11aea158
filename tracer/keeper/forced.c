/* A forced signal (SIGSYS of dispatch, SIGSEGV and SIGBUS of the agent's copy routine) unblocks itself in the kernel, and
 * resets its action when it was blocked or ignored. The keeper remembers what the program wanted and puts it back. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include "agent_symbols.h"
#include "keeper.h"


#define BIT(sig) (1ull << ((sig) - 1))
#define FORCED (BIT(SIGSYS) | BIT(SIGSEGV) | BIT(SIGBUS))
#define KERNEL_SA_NODEFER 0x40000000u

static int forced_index(uint64_t sig)
{
	return sig == SIGSYS ? 0 : sig == SIGSEGV ? 1 : sig == SIGBUS ? 2 : -1;
}

bool forced_is_blocked(const struct task *task, int sig)
{
	return task->blocked & BIT(sig);
}

/* A new image keeps the mask, and ignored signals. */
void forced_inherited(struct keeper *k, struct task *task, uint64_t mask)
{
	static const int forced[FORCED_COUNT] = { SIGSYS, SIGSEGV, SIGBUS };
	char path[64], line[256];
	unsigned long ignored = 0;

	task->blocked = mask & FORCED;
	snprintf(path, sizeof(path), "/proc/%d/status", task->tid);
	FILE *status = fopen(path, "re");

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "SigIgn: %lx", &ignored) == 1)
			break;
	if (status)
		fclose(status);
	for (uint32_t i = 0; i < FORCED_COUNT; i++)
		space_of(k, task)->action[i][0] = ignored & BIT(forced[i]) ? (uint64_t)SIG_IGN : 0;
}

static void note_action(struct keeper *k, const struct task *task, uint64_t sig, uint64_t from)
{
	struct space *space = space_of(k, task);
	uint64_t action[4]; /* handler, flags, restorer, mask */
	int index = forced_index(sig);

	if (sig < 1 || sig > 64 || !from || tracee_read(k, task->tid, from, action, sizeof(action)))
		return;
	if (index >= 0)
		memcpy(space->action[index], action, sizeof(action));
	space->handler_mask[sig] = action[0] <= (uint64_t)SIG_IGN ? 0 :
				   (action[3] | (action[1] & KERNEL_SA_NODEFER ? 0 : BIT(sig))) & FORCED;
}

static void note_mask(struct keeper *k, struct task *task, uint64_t how, uint64_t from)
{
	uint64_t set;

	if (!from || tracee_read(k, task->tid, from, &set, sizeof(set)))
		return;
	set &= FORCED;
	if (how == SIG_SETMASK)
		task->blocked = set;
	else if (how == SIG_BLOCK)
		task->blocked |= set;
	else
		task->blocked &= ~set;
}

void forced_note(struct keeper *k, struct task *task, const struct user_regs_struct *regs)
{
	if (regs->rax == SYS_rt_sigaction)
		note_action(k, task, regs->rdi, regs->rsi);
	else if (regs->rax == SYS_rt_sigprocmask)
		note_mask(k, task, regs->rdi, regs->rsi);
	else if (regs->rax == SYS_rt_sigreturn)
		note_mask(k, task, SIG_SETMASK, regs->rsp + SIGFRAME_MASK);
}

void forced_deliver(struct keeper *k, struct task *task, int sig)
{
	if (task->chunk != NO_INDEX && sig >= 1 && sig <= 64)
		task->blocked |= space_of(k, task)->handler_mask[sig];
}

/* The scratch is the low end of the thread's own agent stack. */
static void restore_action(struct keeper *k, const struct task *task, int sig)
{
	const uint64_t *action = space_of(k, task)->action[forced_index((uint64_t)sig)];
	uint64_t scratch = thread_block(task) + sizeof(struct agent_thread), mask, all = ~0ull;

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
