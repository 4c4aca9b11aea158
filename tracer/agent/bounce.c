/* Runs in the tracee, as syscall.c does. The keeper follows what the program does with the signals that we make the kernel
 * force (keeper/forced.c), and lets go of what the program wants for itself (keeper/let_go.c). Everything else passes. */
#include <stdint.h>
#include "bounce.h"

#define NR_RT_SIGACTION 13
#define NR_RT_SIGPROCMASK 14
#define NR_RT_SIGRETURN 15
#define NR_PTRACE 101
#define NR_MODIFY_LDT 154
#define NR_PRCTL 157
#define NR_ARCH_PRCTL 158
#define NR_SECCOMP 317
#define PRCTL_SET_SECCOMP 22
#define PRCTL_SET_SYSCALL_USER_DISPATCH 59

extern uint64_t agent_copy(void *to, uint64_t from, uint64_t bytes);

/* While none of the forced signals is blocked, a mask without them changes nothing for the keeper. */
static bool mask_matters(const struct agent_thread *thread, uint64_t mask_at)
{
	uint64_t mask = 0;

	if (!mask_at)
		return false;
	return thread->forced_blocked || agent_copy(&mask, mask_at, sizeof(mask)) < sizeof(mask) || (mask & FORCED_SIGNALS);
}

bool bounce_needed(const struct agent_thread *thread)
{
	const struct agent_frame *frame = &thread->frame;

	switch (frame->rax) {
	case NR_RT_SIGRETURN:
	case NR_PTRACE:
	case NR_MODIFY_LDT:
	case NR_ARCH_PRCTL:
	case NR_SECCOMP:
		return true;
	case NR_PRCTL:
		return frame->rdi == PRCTL_SET_SECCOMP || frame->rdi == PRCTL_SET_SYSCALL_USER_DISPATCH;
	case NR_RT_SIGACTION:
		return frame->rsi != 0;
	case NR_RT_SIGPROCMASK:
		return mask_matters(thread, frame->rsi);
	}
	return false;
}
