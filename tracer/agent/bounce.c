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
#define ARCH_PRCTL_SET_GS 0x1001
#define ARCH_PRCTL_GET_GS 0x1004
#define MASK_BLOCK 0
#define MASK_UNBLOCK 1
#define PRCTL_SET_SECCOMP 22
#define PRCTL_SET_SYSCALL_USER_DISPATCH 59

extern uint64_t agent_copy(void *to, uint64_t from, uint64_t bytes);

void mask_change_note(const struct agent_thread *thread, struct mask_change *change)
{
	const struct agent_frame *frame = &thread->frame;
	uint64_t set = 0, old = thread->forced_blocked;

	change->any = frame->rax == NR_RT_SIGPROCMASK && frame->rsi && agent_copy(&set, frame->rsi, sizeof(set)) == sizeof(set);
	set &= FORCED_SIGNALS;
	change->blocked = frame->rdi == MASK_BLOCK ? old | set : frame->rdi == MASK_UNBLOCK ? old & ~set : set;
}

bool bounce_needed(const struct agent_thread *thread)
{
	const struct agent_frame *frame = &thread->frame;

	switch (frame->rax) {
	case NR_RT_SIGRETURN:
	case NR_PTRACE:
	case NR_MODIFY_LDT:
	case NR_SECCOMP:
		return true;
	case NR_ARCH_PRCTL:
		return frame->rdi == ARCH_PRCTL_SET_GS || frame->rdi == ARCH_PRCTL_GET_GS;
	case NR_PRCTL:
		return frame->rdi == PRCTL_SET_SECCOMP || frame->rdi == PRCTL_SET_SYSCALL_USER_DISPATCH;
	case NR_RT_SIGACTION:
		return frame->rsi != 0;
	}
	return false;
}
