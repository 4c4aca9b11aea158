/* What a profiler, an unwinder or a garbage collector sees in a handler: RIP in a known object's text, RSP in the thread's
 * own stack, a return address chain that starts there; whatever the program did when the signal came. */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

#define RANGES 64

struct range { uintptr_t start, end; };
static struct range texts[RANGES], stack;
static int text_count;
static volatile sig_atomic_t seen, bad;
static uintptr_t bad_pc, bad_sp;

static int add_object(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	(void)data;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];

		if (phdr->p_type != PT_LOAD || !(phdr->p_flags & PF_X) || text_count == RANGES)
			continue;
		texts[text_count].start = info->dlpi_addr + phdr->p_vaddr;
		texts[text_count++].end = info->dlpi_addr + phdr->p_vaddr + phdr->p_memsz;
	}
	return 0;
}

static int in(const struct range *range, uintptr_t address)
{
	return address >= range->start && address < range->end;
}

static void look(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	const ucontext_t *at = context;
	uintptr_t pc = (uintptr_t)at->uc_mcontext.gregs[REG_RIP], sp = (uintptr_t)at->uc_mcontext.gregs[REG_RSP];
	int known = 0;

	for (int i = 0; i < text_count; i++)
		known |= in(&texts[i], pc);
	if (!known || !in(&stack, sp)) {
		bad++;
		bad_pc = pc;
		bad_sp = sp;
	}
	seen++;
}

static void find_stack(void)
{
	pthread_attr_t attr;
	void *base;
	size_t bytes;

	CHECK(pthread_getattr_np(pthread_self(), &attr) == 0);
	CHECK(pthread_attr_getstack(&attr, &base, &bytes) == 0);
	stack.start = (uintptr_t)base;
	stack.end = stack.start + bytes;
	pthread_attr_destroy(&attr);
}

static void expect_clean(const char *when)
{
	if (bad)
		printf("%s: %d of %d handlers saw rip %#lx rsp %#lx\n", when, (int)bad, (int)seen,
		       (unsigned long)bad_pc, (unsigned long)bad_sp);
	CHECK(!bad);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = look, .sa_flags = SA_SIGINFO };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, none = { { 0, 0 }, { 0, 0 } };
	int ends[2];
	char byte;

	find_stack();
	dl_iterate_phdr(add_object, NULL);
	CHECK(pipe(ends) == 0 && sigaction(SIGALRM, &action, NULL) == 0);

	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (seen < 300) /* between, before, in and after syscalls */
		CHECK(getppid() > 0);
	expect_clean("busy");
	for (int i = 0; i < 100; i++)
		CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR);
	expect_clean("in read");
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	seen = 0;
	while (seen < 100)
		CHECK(usleep(100000) == 0 || errno == EINTR);
	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
	expect_clean("in sleep");
	puts("handler_pc: ok");
	return 0;
}
