/* The frame of a handler that interrupted a raw syscall of ours, to the letter: with SA_RESTART RIP is at the instruction and
 * RAX the number again, else RIP is after it and RAX -EINTR; every other register is the program's. */
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

/* long marked_read(int fd, void *to): read(fd, to, 1) with marks in the registers it does not use. */
__asm__(".text\n"
	".globl marked_read\n"
	"marked_read:\n"
	"	pushq %rbx\n"
	"	pushq %rbp\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, marked_rsp(%rip)\n"
	"	movl $1, %edx\n"
	"	movl $0x2001, %ebx\n"
	"	movl $0x2002, %ebp\n"
	"	movl $0x2003, %r8d\n"
	"	movl $0x2004, %r9d\n"
	"	movl $0x2005, %r10d\n"
	"	movl $0x2006, %r12d\n"
	"	movl $0x2007, %r13d\n"
	"	movl $0x2008, %r14d\n"
	"	movl $0x2009, %r15d\n"
	"	xorl %eax, %eax\n"
	".globl marked_site\n"
	"marked_site:\n"
	"	syscall\n"
	".globl marked_after\n"
	"marked_after:\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbp\n"
	"	popq %rbx\n"
	"	ret\n");
extern long marked_read(int fd, void *to);
extern const char marked_site[], marked_after[];
uintptr_t marked_rsp;

static volatile sig_atomic_t interrupted, restarted, feed_at, seen;
static int ends[2];

static void look(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;
	const greg_t *r = at->uc_mcontext.gregs;
	uintptr_t pc = (uintptr_t)r[REG_RIP];
	int saved = errno;

	(void)info;
	CHECK(signal == SIGALRM);
	seen++;
	if (feed_at && seen >= feed_at) {
		CHECK(write(ends[1], "f", 1) == 1);
		feed_at = 0;
	}
	errno = saved;
	if (pc == (uintptr_t)marked_site) {
		CHECK(r[REG_RAX] == SYS_read);
		restarted++;
	} else if (pc == (uintptr_t)marked_after) {
		CHECK(r[REG_RAX] == -EINTR || r[REG_RAX] == 1);
		interrupted++;
	} else {
		return;
	}
	CHECK(r[REG_RBX] == 0x2001 && r[REG_RBP] == 0x2002 && r[REG_R8] == 0x2003 && r[REG_R9] == 0x2004);
	CHECK(r[REG_R10] == 0x2005 && r[REG_R12] == 0x2006 && r[REG_R13] == 0x2007 && r[REG_R14] == 0x2008);
	CHECK(r[REG_R15] == 0x2009 && r[REG_RDI] == ends[0] && r[REG_RDX] == 1);
	CHECK((uintptr_t)r[REG_RSP] == marked_rsp);
	CHECK(!(r[REG_EFL] & 0x500)); /* no trap, no direction flag */
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = look, .sa_flags = SA_SIGINFO };
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } }, none = { { 0, 0 }, { 0, 0 } };
	char byte;

	CHECK(pipe(ends) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
	for (int i = 0; i < 50; i++)
		CHECK(marked_read(ends[0], &byte) == -EINTR);
	CHECK(interrupted >= 50);

	action.sa_flags |= SA_RESTART;
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	for (int i = 0; i < 10; i++) {
		feed_at = seen + 5;
		byte = 0;
		CHECK(marked_read(ends[0], &byte) == 1 && byte == 'f');
	}
	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
	CHECK(restarted >= 10);
	puts("handler_site: ok");
	return 0;
}
