/* What Go's runtime does, without Go: stacks of a few KB that are no thread's, all handlers on alternate stacks, preemption by a
 * signal whose handler pushes a call onto the interrupted stack, raw syscalls outside libc, a SIGTERM raised again. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

#define STACK 2048
#define WORKERS 3

/* void on_stack(void *top, void (*f)(void *), void *arg): no more than the stack pointer is changed. */
__asm__(".text\n"
	".globl on_stack\n"
	"on_stack:\n"
	"	pushq %rbp\n"
	"	movq %rsp, %rbp\n"
	"	movq %rdi, %rsp\n"
	"	movq %rdx, %rdi\n"
	"	call *%rsi\n"
	"	movq %rbp, %rsp\n"
	"	popq %rbp\n"
	"	ret\n"
	/* long raw3(nr, a, b, c) */
	".globl raw3\n"
	"raw3:\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	movq %rcx, %rdx\n"
	"	syscall\n"
	".globl raw3_end\n"
	"raw3_end:\n"
	"	ret\n"
	/* What the handler makes the interrupted code call: saves all, works, puts all back. */
	".globl preempted\n"
	"preempted:\n"
	"	pushfq\n"
	"	pushq %rax\n"
	"	pushq %rcx\n"
	"	pushq %rdx\n"
	"	pushq %rsi\n"
	"	pushq %rdi\n"
	"	pushq %r8\n"
	"	pushq %r9\n"
	"	pushq %r10\n"
	"	pushq %r11\n"
	"	movl $24, %eax\n" /* sched_yield */
	"	syscall\n"
	"	lock incl preemptions(%rip)\n"
	"	popq %r11\n"
	"	popq %r10\n"
	"	popq %r9\n"
	"	popq %r8\n"
	"	popq %rdi\n"
	"	popq %rsi\n"
	"	popq %rdx\n"
	"	popq %rcx\n"
	"	popq %rax\n"
	"	popfq\n"
	"	ret $128\n"); /* the red zone that was left alone */
extern void on_stack(void *top, void (*f)(void *), void *arg);
extern long raw3(long nr, long a, long b, long c);
extern const char raw3_end[], preempted[];

atomic_int preemptions;
static atomic_int stop, rounds;
static __thread uintptr_t low, high; /* the small stack */

/* Preempts in our own code only, as Go does at its safe points: not inside of libc, not at the syscall itself. */
static void preempt(int signal, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	uintptr_t pc = (uintptr_t)r[REG_RIP], sp = (uintptr_t)r[REG_RSP], here = (uintptr_t)__builtin_frame_address(0);

	(void)info;
	CHECK(signal == SIGURG);
	CHECK(here < low || here > high); /* never on the small stack */
	if (sp < low || sp > high)
		return; /* not there yet, or not any more */
	if (pc != (uintptr_t)raw3_end)
		return;
	uint64_t *stack = (uint64_t *)(sp - 128);

	*--stack = pc;
	r[REG_RSP] = (greg_t)stack;
	r[REG_RIP] = (greg_t)(uintptr_t)preempted;
}

static void small(void *arg)
{
	long me = raw3(SYS_gettid, 0, 0, 0);
	volatile uint64_t marks[16];

	for (int i = 0; i < 16; i++)
		marks[i] = (uint64_t)i * 0x0101010101010101u;
	while (!atomic_load(&stop)) {
		if (raw3(SYS_close, 9991, 0, 0) != -EBADF || raw3(SYS_gettid, 0, 0, 0) != me)
			abort();
		if (raw3(SYS_tgkill, (long)arg, me, SIGURG) != 0) /* to itself: at the return of this very call */
			abort();
		for (int i = 0; i < 16; i++)
			if (marks[i] != (uint64_t)i * 0x0101010101010101u)
				abort();
		atomic_fetch_add(&rounds, 1);
	}
}

static void *worker(void *arg)
{
	char *memory = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *alternate = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = alternate, .ss_size = 65536 };

	CHECK(memory != MAP_FAILED && alternate != MAP_FAILED);
	CHECK(mprotect(memory + 4096, 4096, PROT_READ | PROT_WRITE) == 0);
	CHECK(sigaltstack(&stack, NULL) == 0);
	low = (uintptr_t)memory + 8192 - STACK;
	high = (uintptr_t)memory + 8192;
	memset(memory + 4096, 0x5a, 4096 - STACK);
	on_stack((void *)(high & ~15ul), small, arg);
	for (char *byte = memory + 4096; byte < (char *)low; byte++)
		CHECK(*byte == 0x5a); /* nothing went below its 2 KB */
	return NULL;
}

static void last_signal(int signal)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t set;

	CHECK(sigaction(signal, &action, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, signal);
	CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
	_exit(98);
}

static void raised_again(void)
{
	struct sigaction action = { .sa_handler = last_signal, .sa_flags = SA_ONSTACK | SA_RESTART };
	int status, ends[2];
	char byte;
	pid_t child;

	sigfillset(&action.sa_mask);
	CHECK(pipe(ends) == 0);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		CHECK(sigaction(SIGTERM, &action, NULL) == 0);
		CHECK(write(ends[1], "r", 1) == 1);
		for (;;)
			pause();
	}
	CHECK(read(ends[0], &byte, 1) == 1 && kill(child, SIGTERM) == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = preempt, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	pthread_t threads[WORKERS];

	sigfillset(&action.sa_mask);
	CHECK(sigaction(SIGURG, &action, NULL) == 0);
	for (int i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker, (void *)(long)getpid()) == 0);
	while (atomic_load(&rounds) < 600 || atomic_load(&preemptions) < 300)
		for (int i = 0; i < WORKERS; i++) /* and from outside, at any moment */
			CHECK(pthread_kill(threads[i], SIGURG) == 0);
	atomic_store(&stop, 1);
	for (int i = 0; i < WORKERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < 10; i++)
		raised_again();
	puts("go_like: ok");
	return 0;
}
