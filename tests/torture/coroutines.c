/* Coroutines switched by timer signals: swapcontext out of a handler that interrupted a syscall, and back into it much later.
 * Each keeps marks in its stack and registers across. */
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

#define COUNT 4
#define ROUNDS 400
#define STACK 65536

static ucontext_t contexts[COUNT], main_context;
static char stacks[COUNT][STACK] __attribute__((aligned(16)));
static volatile sig_atomic_t current, finished[COUNT], rounds[COUNT], switches;
static sigset_t timers;

static int next_of(int from)
{
	for (int i = 1; i <= COUNT; i++)
		if (!finished[(from + i) % COUNT])
			return (from + i) % COUNT;
	return -1;
}

static void preempt(int signal)
{
	int saved = errno, from = current, to = next_of(from);

	(void)signal;
	if (to < 0 || to == from)
		return;
	current = to;
	switches++;
	CHECK(swapcontext(&contexts[from], &contexts[to]) == 0);
	errno = saved;
}

static void body(int index)
{
	volatile uint64_t marks[64];

	for (int i = 0; i < 64; i++)
		marks[i] = (uint64_t)(index * 1000 + i);
	CHECK(sigprocmask(SIG_UNBLOCK, &timers, NULL) == 0);
	while (rounds[index] < ROUNDS || (switches < 40 && next_of(index) != index)) {
		CHECK(close(9100 + index) == -1 && errno == EBADF);
		CHECK(getppid() > 0);
		for (int i = 0; i < 64; i++)
			CHECK(marks[i] == (uint64_t)(index * 1000 + i));
		rounds[index]++;
	}
	CHECK(sigprocmask(SIG_BLOCK, &timers, NULL) == 0);
	finished[index] = 1;
	int to = next_of(index);

	if (to < 0)
		setcontext(&main_context);
	current = to;
	setcontext(&contexts[to]);
}

int main(void)
{
	struct sigaction action = { .sa_handler = preempt, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, none = { { 0, 0 }, { 0, 0 } };

	sigemptyset(&timers);
	sigaddset(&timers, SIGALRM);
	sigaddset(&timers, SIGVTALRM);
	action.sa_mask = timers;
	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGVTALRM, &action, NULL) == 0);
	for (int i = 0; i < COUNT; i++) {
		CHECK(getcontext(&contexts[i]) == 0);
		contexts[i].uc_stack.ss_sp = stacks[i];
		contexts[i].uc_stack.ss_size = STACK;
		contexts[i].uc_sigmask = timers; /* swapcontext sets the mask before it switches: not to be interrupted there */
		makecontext(&contexts[i], (void (*)(void))body, 1, i);
	}
	CHECK(sigprocmask(SIG_BLOCK, &timers, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0 && setitimer(ITIMER_VIRTUAL, &every, NULL) == 0);
	CHECK(swapcontext(&main_context, &contexts[0]) == 0);
	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0 && setitimer(ITIMER_VIRTUAL, &none, NULL) == 0);
	CHECK(switches >= 40);
	for (int i = 0; i < COUNT; i++)
		CHECK(finished[i] && rounds[i] >= ROUNDS);
	puts("coroutines: ok");
	return 0;
}
