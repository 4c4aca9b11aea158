/* Calls of the vsyscall page, made by way of several registers, while signals come all the time: a signal that meets such a call
 * never becomes its result. */
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

#define CALLS 1500

static volatile sig_atomic_t signals;

static void on_alarm(int signal)
{
	(void)signal;
	signals++;
}

static int page_is_there(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int there = 0;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		there |= strstr(line, "[vsyscall]") != NULL;
	fclose(maps);
	return there;
}

/* Without a red zone: the call writes below the stack pointer. */
__attribute__((noinline)) static long by_rax(void)
{
	long result;

	__asm__ volatile("mov $-0x9ffc00, %%rax\n\tcall *%%rax"
			 : "=a"(result) : "D"(0) : "rcx", "r11", "memory", "cc");
	return result;
}

static long by_rbx(void)
{
	long result;

	__asm__ volatile("call *%%rbx" : "=a"(result) : "b"(0xffffffffff600400ul), "D"(0) : "rcx", "r11", "memory", "cc");
	return result;
}

static long by_r12(void)
{
	long result;

	__asm__ volatile("mov %1, %%r12\n\tcall *%%r12"
			 : "=a"(result) : "r"(0xffffffffff600400ul), "D"(0) : "r12", "rcx", "r11", "memory", "cc");
	return result;
}

/* One signal each, soon: some meet the call before anyone has seen it. */
static void signal_soon(int i)
{
	const struct itimerval soon = { { 0, 0 }, { 0, 1 + i % 97 } };

	CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

int main(void)
{
	static long (*const ways[])(void) = { by_rax, by_rbx, by_r12 };
	struct sigaction action = { .sa_handler = on_alarm };

	if (!page_is_there())
		SKIP("this kernel has no vsyscall page");
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	for (int i = 0; i < CALLS; i++) {
		long before = time(NULL);

		signal_soon(i);
		long after = ways[i % 3]();

		CHECK(after >= before && after <= time(NULL));
		while (signals <= i)
			;
	}
	puts("vsyscall: ok");
	return 0;
}
