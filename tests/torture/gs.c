/* %gs belongs to the program: arch_prctl sets it, modify_ldt gives it a segment, threads each have their own, a fork keeps it. */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static uint64_t at_gs(void)
{
	uint64_t value;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(value));
	return value;
}

static uint64_t base_of_gs(void)
{
	uint64_t base = 1;

	CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
	return base;
}

static void works(const uint64_t *block)
{
	for (int i = 0; i < 20; i++) {
		CHECK(close(9950) == -1 && errno == EBADF);
		CHECK(getppid() > 0);
		CHECK(at_gs() == *block);
	}
	CHECK(base_of_gs() == (uintptr_t)block);
}

static void *thread(void *arg)
{
	uint64_t block[2] = { (uintptr_t)arg, 0 };

	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, block) == 0);
	works(block);
	return NULL;
}

static void nothing(int signal)
{
	(void)signal;
	CHECK(getppid() > 0);
}

static void by_ldt(void)
{
	struct user_desc row = { .entry_number = 0, .base_addr = 0, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1,
				 .useable = 1 };
	unsigned selector = 0 << 3 | 4 | 3, now = 0;

	if (syscall(SYS_modify_ldt, 1, &row, sizeof(row)) < 0) {
		CHECK(errno == ENOSYS);
		_exit(5);
	}
	__asm__ volatile("mov %0, %%gs" : : "r"(selector));
	for (int i = 0; i < 10; i++)
		CHECK(close(9951) == -1 && errno == EBADF);
	__asm__ volatile("mov %%gs, %0" : "=r"(now));
	CHECK((now & 0xffff) == selector);
	__asm__ volatile("mov %0, %%gs" : : "r"(0));
	_exit(4);
}

/* In a child: some hypervisors do not let a segment of an LDT be loaded. */
static void segment_of_an_ldt(void)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		by_ldt();
	CHECK(waitpid(child, &status, 0) == child);
	if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) || (WIFEXITED(status) && WEXITSTATUS(status) == 5))
		puts("no segments here");
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 4);
}

int main(void)
{
	static uint64_t block[2] = { 4711, 0 };
	pthread_t threads[4];
	int status;

	CHECK(base_of_gs() == 0);
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, block) == 0);
	works(block);
	CHECK(signal(SIGUSR1, nothing) != SIG_ERR && raise(SIGUSR1) == 0);
	works(block);
	for (long i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, thread, (void *)i) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		works(block);
		_exit(4);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 4);
	segment_of_an_ldt();
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
	puts("gs: ok");
	return 0;
}
