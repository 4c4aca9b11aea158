/* vDSO functions under a storm of signals, under cancellation and with bad pointers. With an argument, writes there how often
 * it called clock_gettime(CLOCK_MONOTONIC), gettimeofday and time. */
#include <execinfo.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

#define STORM_SIGNALS 200
#define CANCELLED 50

extern char __start_storm_text[], __stop_storm_text[];
static volatile sig_atomic_t storm_signals, storm_traps, faults, cleaned;
static unsigned long clocks, days, times;
static sigjmp_buf back;
static volatile sig_atomic_t jumps;

static void count_clock(void)
{
	struct timespec now = { -1, -1 };

	__atomic_fetch_add(&clocks, 1, __ATOMIC_RELAXED);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	CHECK(now.tv_sec >= 0 && now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
}

/* The stack that a handler sees leads back into the interrupted loop. */
static void on_alarm(int sig, siginfo_t *info, void *context)
{
	void *frames[64];
	int saved = errno, count = backtrace(frames, 64), found = 0;

	(void)sig, (void)info, (void)context;
	for (int i = 0; i < count; i++)
		found += (char *)frames[i] >= __start_storm_text && (char *)frames[i] <= __stop_storm_text;
	CHECK(found > 0);
	count_clock();
	count_clock();
	getppid();
	storm_signals++;
	errno = saved;
}

static void on_trap(int sig)
{
	(void)sig;
	storm_traps++;
}

static void alarm_each_millisecond(int on)
{
	struct itimerval each = { { 0, on * 1000 }, { 0, on * 1000 } };

	CHECK(setitimer(ITIMER_REAL, &each, NULL) == 0);
}

static __attribute__((section("storm_text"), noinline)) void storm(void)
{
	struct timeval day;
	unsigned cpu, node;

	alarm_each_millisecond(1); /* from here: the first may come before it returns */
	while (storm_signals < STORM_SIGNALS) {
		count_clock();
		days++;
		CHECK(gettimeofday(&day, NULL) == 0 && day.tv_usec < 1000000);
		times++;
		CHECK(time(NULL) - day.tv_sec <= 1);
		CHECK(getcpu(&cpu, &node) == 0);
	}
	alarm_each_millisecond(0);
}

static void handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO };

	CHECK(sigaction(sig, &action, NULL) == 0);
}

static void storm_of_signals(void)
{
	void *frames[4];

	backtrace(frames, 4); /* loads what it needs */
	signal(SIGTRAP, on_trap);
	handle(SIGALRM, on_alarm, SA_RESTART);
	storm();
	raise(SIGTRAP);
	CHECK(storm_traps == 1);
}

static void jump_back(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	jumps++;
	siglongjmp(back, 1);
}

static void handlers_that_jump_out(void)
{
	struct timespec now;

	handle(SIGALRM, jump_back, 0);
	sigsetjmp(back, 1);
	alarm_each_millisecond(jumps < 50);
	while (jumps < 50)
		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	alarm_each_millisecond(0);
}

static void clean(void *unused)
{
	(void)unused;
	cleaned++;
}

static void *asks_for_ever(void *unused)
{
	struct timespec now;

	pthread_cleanup_push(clean, unused);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		clock_gettime(CLOCK_BOOTTIME, &now);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancelled_threads_clean_up(void)
{
	for (int i = 0; i < CANCELLED; i++) {
		pthread_t thread;
		void *result;

		CHECK(pthread_create(&thread, NULL, asks_for_ever, NULL) == 0);
		usleep(500);
		CHECK(pthread_cancel(thread) == 0);
		CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
	}
	CHECK(cleaned >= CANCELLED - 5); /* one may be cancelled before it begins */
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	CHECK(info->si_addr == (void *)16 || info->si_addr == (void *)24);
	faults++;
	siglongjmp(back, 1);
}

static void bad_pointers_fault(void)
{
	struct timespec *volatile bad = (struct timespec *)16;

	handle(SIGSEGV, on_fault, 0);
	for (volatile int i = 0; i < 3; i++)
		if (!sigsetjmp(back, 1))
			clock_gettime(CLOCK_TAI, bad);
	CHECK(faults == 3);
}

static void what_the_vdso_cannot_answer(void)
{
	struct timespec now = { -1, -1 };

	CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0 && now.tv_sec >= 0);
	errno = 0;
	CHECK(clock_gettime(99, &now) == -1 && errno == EINVAL);
	errno = 0;
	CHECK(clock_getres(99, &now) == -1 && errno == EINVAL);
}

int main(int argc, char **argv)
{
	storm_of_signals();
	handlers_that_jump_out();
	cancelled_threads_clean_up();
	bad_pointers_fault();
	what_the_vdso_cannot_answer();
	if (argc > 1) {
		FILE *out = fopen(argv[1], "w");

		CHECK(out && fprintf(out, "%lu %lu %lu\n", clocks, days, times) > 0 && fclose(out) == 0);
	}
	printf("vdso: ok\n");
	return 0;
}
