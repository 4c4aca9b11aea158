/* A program that uses Syscall User Dispatch itself, as Wine does: a selector, a handler that emulates, an exempt range. */
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

static volatile char selector;
static volatile sig_atomic_t seen;

__asm__(".text\n"
	".globl foreign_call\n"
	"foreign_call:\n"
	"	movq %rdi, %rax\n"
	"	syscall\n"
	".globl foreign_after\n"
	"foreign_after:\n"
	"	ret\n");
extern long foreign_call(long nr);
extern const char foreign_after[];

static void emulate(int signal, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	selector = 0; /* PR_SYS_DISPATCH_ALLOW */
	CHECK(signal == SIGSYS && info->si_code == 2 /* SYS_USER_DISPATCH */);
	CHECK((uintptr_t)info->si_call_addr == (uintptr_t)foreign_after && (uintptr_t)r[REG_RIP] == (uintptr_t)foreign_after);
	CHECK(info->si_syscall == (int)r[REG_RAX]);
	r[REG_RAX] = info->si_syscall + 1000;
	seen++;
	CHECK(close(9940) == -1 && errno == EBADF);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = emulate, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(SIGSYS, &action, NULL) == 0);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) < 0 && errno == EINVAL)
		SKIP("the kernel has no Syscall User Dispatch");
	for (int i = 0; i < 100; i++) {
		selector = 1; /* PR_SYS_DISPATCH_BLOCK */
		long result = foreign_call(5000 + i);

		CHECK(result == 6000 + i && selector == 0);
		CHECK(getppid() > 0);
	}
	CHECK(seen == 100);
	CHECK(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0) == 0);
	selector = 1;
	CHECK(foreign_call(SYS_getppid) == getppid());
	puts("dispatch_own: ok");
	return 0;
}
