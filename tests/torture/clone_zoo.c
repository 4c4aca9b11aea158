/* Every flavour of clone and clone3, made raw: what the child shares, whose child it is, what comes of bad arguments. */
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define STACK 65536

static volatile int shared;
static char *stack;

/* long raw_clone(flags, stack, parent_tid, child_tid, tls, main): the child runs main() on its stack, or returns 0. */
__asm__(".text\n"
	".globl raw_clone\n"
	"raw_clone:\n"
	"	movq %rcx, %r10\n"
	"	movl $56, %eax\n"
	"	pushq %rbx\n"
	"	movq %r9, %rbx\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jnz 1f\n"
	"	testq %rbx, %rbx\n"
	"	jz 1f\n"
	"	xorl %ebp, %ebp\n"
	"	call *%rbx\n"
	"	movl %eax, %edi\n"
	"	movl $60, %eax\n"
	"	syscall\n"
	"	hlt\n"
	"1:	popq %rbx\n"
	"	ret\n"
	".globl raw_clone3\n" /* (args, bytes, main) */
	"raw_clone3:\n"
	"	movl $435, %eax\n"
	"	pushq %rbx\n"
	"	movq %rdx, %rbx\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jnz 1f\n"
	"	testq %rbx, %rbx\n"
	"	jz 1f\n"
	"	xorl %ebp, %ebp\n"
	"	call *%rbx\n"
	"	movl %eax, %edi\n"
	"	movl $60, %eax\n"
	"	syscall\n"
	"	hlt\n"
	"1:	popq %rbx\n"
	"	ret\n");
extern long raw_clone(long flags, void *stack, int *parent_tid, int *child_tid, void *tls, int (*main)(void));
extern long raw_clone3(void *args, long bytes, int (*main)(void));

static long raw(long nr, long a, long b)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "0"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return result;
}

static int child_main(void)
{
	for (int i = 0; i < 10; i++)
		if (raw(SYS_close, 9300, 0) != -EBADF)
			return 1;
	shared = (int)raw(SYS_getpid, 0, 0);
	return 7;
}

static void *top(void)
{
	return stack + STACK;
}

static int reap(pid_t child, int options)
{
	int status;

	CHECK(waitpid(child, &status, options) == child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void like_fork(void)
{
	int parent_tid = 0, child_tid = 0;

	shared = 1;
	long child = raw_clone(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_tid, &child_tid, NULL, NULL);

	CHECK(child >= 0);
	if (!child) {
		shared = 2;
		_exit(child_tid == getpid() ? 5 : 6);
	}
	CHECK(parent_tid == child && child_tid == 0);
	CHECK(reap((pid_t)child, 0) == 5 && shared == 1);
}

static void shared_memory_other_process(void)
{
	shared = 0;
	long child = raw_clone(CLONE_VM | SIGCHLD, top(), NULL, NULL, NULL, child_main);

	CHECK(child > 0);
	CHECK(reap((pid_t)child, 0) == 7 && shared == child);

	shared = 0;
	child = raw_clone(CLONE_VM | CLONE_VFORK | SIGCHLD, top(), NULL, NULL, NULL, child_main);
	CHECK(child > 0 && shared == child); /* the parent waited */
	CHECK(reap((pid_t)child, 0) == 7);

	shared = 0;
	child = raw_clone(CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD, top(), NULL, NULL, NULL, child_main);
	CHECK(child > 0);
	CHECK(reap((pid_t)child, 0) == 7 && shared == child);
}

static void no_signal_at_the_end(void)
{
	long child = raw_clone(CLONE_VM, top(), NULL, NULL, NULL, child_main);
	int status;

	CHECK(child > 0);
	CHECK(waitpid((pid_t)child, &status, 0) == -1 && errno == ECHILD); /* only with __WCLONE */
	CHECK(reap((pid_t)child, __WCLONE) == 7);
}

/* The grandchild is our child, because its maker asked for that. */
static void sibling(void)
{
	int ends[2], pid = 0;
	long maker;

	CHECK(pipe(ends) == 0);
	maker = fork();
	CHECK(maker >= 0);
	if (!maker) {
		pid = (int)raw_clone(CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL, NULL);
		if (!pid)
			_exit(8);
		_exit(write(ends[1], &pid, sizeof(pid)) == sizeof(pid) ? 4 : 1);
	}
	CHECK(read(ends[0], &pid, sizeof(pid)) == sizeof(pid) && pid > 0);
	CHECK(reap(pid, 0) == 8 && reap((pid_t)maker, 0) == 4);
	close(ends[0]);
	close(ends[1]);
}

static volatile int thread_tid;

static int thread_main(void)
{
	shared = (int)raw(SYS_getpid, 0, 0);
	return 0;
}

/* A thread without libc: the kernel clears its tid and wakes us. */
static void bare_thread(void)
{
	int parent_tid = 0;

	thread_tid = -1;
	long tid = raw_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
				     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
			     top(), &parent_tid, (int *)&thread_tid, NULL, thread_main);

	CHECK(tid > 0 && parent_tid == tid);
	while (thread_tid)
		syscall(SYS_futex, &thread_tid, 0 /* FUTEX_WAIT */, -1, NULL, NULL, 0);
	CHECK(shared == getpid());
}

static void by_clone3(void)
{
	int pidfd = -1, parent_tid = 0;
	struct clone_args args = { .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_PARENT_SETTID,
				   .pidfd = (uintptr_t)&pidfd, .parent_tid = (uintptr_t)&parent_tid,
				   .exit_signal = SIGCHLD, .stack = (uintptr_t)stack, .stack_size = STACK };
	siginfo_t info;
	long child = raw_clone3(&args, sizeof(args), child_main);

	CHECK(child > 0 && parent_tid == child && pidfd >= 0 && shared == child);
	CHECK(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0 && info.si_status == 7 && info.si_pid == child);
	CHECK(close(pidfd) == 0);

	args = (struct clone_args){ .exit_signal = SIGCHLD };
	child = raw_clone3(&args, sizeof(args), NULL);
	CHECK(child >= 0);
	if (!child)
		_exit(9);
	CHECK(reap((pid_t)child, 0) == 9);

	args = (struct clone_args){ .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	child = raw_clone3(&args, sizeof(args), NULL);
	CHECK(child >= 0);
	if (!child)
		_exit(signal(SIGUSR1, SIG_DFL) == SIG_DFL ? 3 : 2);
	CHECK(reap((pid_t)child, 0) == 3);
}

static void bad_arguments(void)
{
	struct clone_args args = { .flags = CLONE_THREAD, .exit_signal = 0 };

	CHECK(raw_clone(CLONE_THREAD, NULL, NULL, NULL, NULL, NULL) == -EINVAL);
	CHECK(raw_clone(CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL, NULL, NULL) == -EINVAL);
	CHECK(raw_clone(CLONE_NEWNS | CLONE_FS | SIGCHLD, NULL, NULL, NULL, NULL, NULL) == -EINVAL);
	CHECK(raw_clone3(&args, sizeof(args), NULL) == -EINVAL);
	CHECK(raw_clone3(&args, 8, NULL) == -EINVAL);
	CHECK(raw_clone3((void *)8, sizeof(args), NULL) == -EFAULT);
	args = (struct clone_args){ .exit_signal = SIGCHLD, .stack = 4096, .stack_size = 0 };
	CHECK(raw_clone3(&args, sizeof(args), NULL) == -EINVAL);
	args = (struct clone_args){ .flags = 1ull << 40, .exit_signal = SIGCHLD };
	CHECK(raw_clone3(&args, sizeof(args), NULL) == -EINVAL);
}

/* The child's first push faults: it dies of it, and only it. */
static void bad_stack(void)
{
	int status;
	long child = raw_clone(SIGCHLD, (void *)64, NULL, NULL, NULL, child_main);

	CHECK(child > 0);
	CHECK(waitpid((pid_t)child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void bad_thread_pointer(void)
{
	CHECK(raw_clone(CLONE_SETTLS | SIGCHLD, NULL, NULL, NULL, (void *)0x8000000000000000ul, NULL) == -EPERM);
}

static void nothing(int signal)
{
	(void)signal;
}

int main(void)
{
	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	CHECK(stack != MAP_FAILED);
	CHECK(signal(SIGUSR1, nothing) == SIG_DFL);
	for (int i = 0; i < 5; i++) {
		like_fork();
		shared_memory_other_process();
		no_signal_at_the_end();
		sibling();
		bare_thread();
		by_clone3();
		bad_arguments();
		bad_stack();
		bad_thread_pointer();
	}
	puts("clone_zoo: ok");
	return 0;
}
