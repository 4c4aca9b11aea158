#include "batch.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "agent_symbols.h"
#include "keeper.h"

#define BATCH_STACK 8192u /* below the stack pointer: nothing of the program is there yet */

struct row { uint64_t nr, args[6], result; };
struct table { struct row rows[BATCH_MAX + 1]; };

/* Runs from `code` to the int3; what else may come is a stop of the process, or its death. */
static int run_to_trap(struct keeper *k, pid_t tid)
{
	int status, err = 0, sig = 0;

	k->remote_tid = tid;
	do {
		if (ptrace(PTRACE_CONT, tid, 0, sig) < 0 || wait_stop(k, tid, &status) < 0)
			err = -errno;
	} while (!err && WIFSTOPPED(status) && join_stop(k, tid, status, &sig));
	k->remote_tid = 0;
	if (err)
		return err;
	if (!WIFSTOPPED(status)) {
		keep_early(k, tid, status);
		return -ESRCH;
	}
	return WSTOPSIG(status) == SIGTRAP && !(status >> 16) ? 0 : -EFAULT;
}

static int start(struct keeper *k, pid_t tid, struct user_regs_struct regs, uint64_t table)
{
	regs.rbx = table;
	regs.orig_rax = (uint64_t)-1;
	if (ptrace(PTRACE_SETREGS, tid, 0, &regs) < 0)
		return -errno;
	return run_to_trap(k, tid);
}

static int run_table(struct keeper *k, pid_t tid, const struct user_regs_struct *regs, struct batch_call *calls, uint32_t count)
{
	struct table table = { 0 };
	uint64_t at = (regs->rsp - BATCH_STACK) & ~63ull;
	size_t bytes = (count + 1) * sizeof(table.rows[0]);

	for (uint32_t i = 0; i < count; i++) {
		table.rows[i].nr = (uint64_t)calls[i].nr;
		memcpy(table.rows[i].args, calls[i].args, sizeof(calls[i].args));
	}
	table.rows[count].nr = (uint64_t)-1;
	int err = tracee_write(k, tid, at, &table, bytes);

	if (!err)
		err = start(k, tid, *regs, at);
	if (!err)
		err = tracee_read(k, tid, at, &table, bytes);
	for (uint32_t i = 0; !err && i < count; i++)
		calls[i].result = (long)table.rows[i].result;
	return err;
}

int batch_run(struct keeper *k, pid_t tid, const struct user_regs_struct *regs, struct batch_call *calls, uint32_t count)
{
	const uint8_t *routine = agent_image + (AGENT_EXPORT_BATCH - AGENT_BASE);
	uint8_t saved[AGENT_EXPORT_BATCH_END - AGENT_EXPORT_BATCH];
	int err = tracee_read(k, tid, regs->rip, saved, sizeof(saved));

	if (err || (err = tracee_write(k, tid, regs->rip, routine, sizeof(saved))))
		return err;
	err = run_table(k, tid, regs, calls, count);
	int restored = tracee_write(k, tid, regs->rip, saved, sizeof(saved));

	return err ? err : restored;
}
