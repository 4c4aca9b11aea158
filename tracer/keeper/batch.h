/* Several syscalls made by a fresh image in one go: one stop instead of two for each. */
#ifndef VTRACE_KEEPER_BATCH_H
#define VTRACE_KEEPER_BATCH_H

#include <stdint.h>
#include <sys/types.h>

struct keeper;

#define BATCH_MAX 8u
#define BATCH_PREVIOUS ((uint64_t)-2) /* as args[4]: the result of the call before */

struct batch_call { long nr; uint64_t args[6]; long result; };

/* The stopped tracee runs the agent's batch routine, at `code`. The table lies below `stack`, the program's stack pointer
 * at its first instruction. SIGTRAP must not be blocked, and comes back reset when it was ignored; all other signals blocked. Registers
 * are left changed. 0, -ENOTSUP when nothing was done, or -errno; the results are in `calls`. */
int batch_run(struct keeper *k, pid_t tid, uint64_t code, uint64_t stack, struct batch_call *calls, uint32_t count);
/* One call, before the agent is there: the routine stands at `code` for that long. */
int batch_run_borrowed(struct keeper *k, pid_t tid, uint64_t code, uint64_t stack, struct batch_call *call);

#endif
