/* Several syscalls made by a fresh image in one go: one stop instead of two for each. */
#ifndef VTRACE_KEEPER_BATCH_H
#define VTRACE_KEEPER_BATCH_H

#include <stdint.h>
#include <sys/types.h>

struct keeper;
struct user_regs_struct;

#define BATCH_MAX 8u
#define BATCH_PREVIOUS ((uint64_t)-2) /* as args[4]: the result of the call before */

struct batch_call { long nr; uint64_t args[6]; long result; };

/* The tracee, stopped in a fresh image before its first instruction with these registers, runs the agent's batch routine, which
 * stands at that instruction for that long. The table lies below the stack pointer. SIGTRAP must not be blocked, and comes back
 * reset when it was ignored; all other signals blocked. Its registers are left changed. 0 or -errno; the results are in `calls`. */
int batch_run(struct keeper *k, pid_t tid, const struct user_regs_struct *regs, struct batch_call *calls, uint32_t count);

#endif
