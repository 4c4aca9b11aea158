/* Signal stacks: the smallest there may be, one that disarms itself, a handler on it that is interrupted again and that leaves by
 * siglongjmp or swapcontext, an overflow of the normal stack, one per thread. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static char *memory;
static size_t bytes;
static volatile sig_atomic_t seen, flags_inside, nested;
static sigjmp_buf out;
static ucontext_t other, away;

static int on_it(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return here >= (uintptr_t)memory && here < (uintptr_t)memory + bytes;
}

static void count(int signal)
{
	stack_t now;

	(void)signal;
	CHECK(on_it());
	CHECK(sigaltstack(NULL, &now) == 0);
	flags_inside = now.ss_flags;
	if (flags_inside == SS_ONSTACK)
		CHECK(sigaltstack(&now, NULL) == -1 && errno == EPERM); /* not while it is in use */
	CHECK(close(9995) == -1);
	seen++;
}

static void nest(int signal)
{
	CHECK(on_it());
	if (signal == SIGUSR1) {
		CHECK(raise(SIGUSR2) == 0);
		CHECK(nested == 1);
	} else {
		nested++;
	}
	CHECK(getppid() > 0);
}

static void jump(int signal)
{
	(void)signal;
	CHECK(on_it());
	siglongjmp(out, 1);
}

static void swap(int signal)
{
	(void)signal;
	CHECK(on_it());
	seen++;
	CHECK(swapcontext(&away, &other) == 0);
	CHECK(on_it() && getppid() > 0);
}

/* Where the handler goes to, on a third stack. */
static void elsewhere(void)
{
	CHECK(!on_it() && close(9995) == -1);
	setcontext(&away);
}

static void handle(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	CHECK(sigaction(signal, &action, NULL) == 0);
}

static void use(size_t size, int flags)
{
	stack_t stack = { .ss_sp = memory, .ss_size = size, .ss_flags = flags };

	bytes = size;
	CHECK(sigaltstack(&stack, NULL) == 0);
}

static void smallest(void)
{
	size_t least = getauxval(AT_MINSIGSTKSZ);

	if (!least)
		least = MINSIGSTKSZ;
	memset(memory, 0x5a, 65536);
	use(65536, 0);
	handle(SIGUSR1, count);
	CHECK(raise(SIGUSR1) == 0 && seen == 1 && flags_inside == SS_ONSTACK);
	size_t untouched = 0;

	while (memory[untouched] == 0x5a)
		untouched++;
	/* the frame, and a little for the handler itself: an agent that works on this stack would show */
	CHECK(65536 - untouched < least + 4096);
	use(((65536 - untouched) + 4095) & ~4095ul, 0);
	for (int i = 0; i < 50; i++)
		CHECK(raise(SIGUSR1) == 0);
	CHECK(seen == 51);
}

static void disarms_itself(void)
{
	stack_t now;

	use(65536, (int)SS_AUTODISARM);
	seen = 0;
	CHECK(raise(SIGUSR1) == 0 && seen == 1 && flags_inside == SS_DISABLE);
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == memory && (unsigned)now.ss_flags == SS_AUTODISARM);
}

static void interrupted_and_left(void)
{
	use(65536, 0);
	handle(SIGUSR1, nest);
	handle(SIGUSR2, nest);
	CHECK(raise(SIGUSR1) == 0 && nested == 1);

	handle(SIGUSR1, jump);
	for (volatile int i = 0; i < 50; i++)
		if (!sigsetjmp(out, 1)) {
			raise(SIGUSR1);
			CHECK(!"no jump");
		}
	handle(SIGUSR1, swap);
	seen = 0;
	for (volatile int i = 0; i < 20; i++) {
		static char room[65536] __attribute__((aligned(16)));

		CHECK(getcontext(&other) == 0);
		other.uc_stack = (stack_t){ .ss_sp = room, .ss_size = sizeof(room) };
		makecontext(&other, elsewhere, 0);
		CHECK(raise(SIGUSR1) == 0);
	}
	CHECK(seen == 20);
}

static __attribute__((noinline)) int endless(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return depth < 0 ? 0 : endless(depth + 1) + room[0];
}

static void overflow(void)
{
	struct rlimit small = { 512 * 1024, RLIM_INFINITY };

	CHECK(getrlimit(RLIMIT_STACK, &small) == 0);
	small.rlim_cur = 512 * 1024;
	CHECK(setrlimit(RLIMIT_STACK, &small) == 0);
	handle(SIGSEGV, jump);
	for (volatile int i = 0; i < 5; i++)
		if (!sigsetjmp(out, 1)) {
			endless(0);
			CHECK(!"no overflow");
		}
	CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
}

static __thread char *thread_memory;

static void in_thread_handler(int signal)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	(void)signal;
	CHECK(here >= (uintptr_t)thread_memory && here < (uintptr_t)thread_memory + 65536);
	CHECK(close(9996) == -1);
}

static void *in_thread(void *arg)
{
	stack_t stack = { .ss_size = 65536 };

	thread_memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(thread_memory != MAP_FAILED);
	stack.ss_sp = thread_memory;
	CHECK(sigaltstack(&stack, NULL) == 0);
	for (int i = 0; i < 50; i++)
		CHECK(raise(SIGUSR2) == 0);
	return arg;
}

int main(void)
{
	pthread_t threads[4];

	memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	smallest();
	disarms_itself();
	interrupted_and_left();
	overflow();
	handle(SIGUSR2, in_thread_handler);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, in_thread, NULL) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	puts("altstack: ok");
	return 0;
}
