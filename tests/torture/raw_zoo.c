/* Syscall instructions where no rewriter expects them: x32 and impossible numbers, upper halves set, the vsyscall page, code that
 * is made at run time and changed again, an instruction across two pages, a jump between the number and the call, a leaf
 * function whose red zone is in use, thousands of different places. */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static long raw(long nr, long a)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "0"(nr), "D"(a), "S"(0), "d"(0) : "rcx", "r11", "memory");
	return result;
}

static void odd_numbers(void)
{
	CHECK(raw(-1, 0) == -ENOSYS);
	CHECK(raw(1000000, 0) == -ENOSYS);
	CHECK(raw(0x7fffffff, 0) == -ENOSYS);
	CHECK(raw(0x40000000 | 39, 0) == -ENOSYS || raw(0x40000000 | 39, 0) == getpid()); /* x32's getpid */
	CHECK(raw(0x40000000 | 514, 0) < 0);                                              /* x32's own ioctl */
	/* the kernel looks at the lower half only */
	CHECK(raw((long)(0x100000000ul | SYS_close), 9980) == -EBADF);
	CHECK(raw((long)(0xffffffff00000000ul | SYS_getpid), 0) == getpid());
	CHECK(raw(SYS_close, (long)0xffffffff00002710ul) == -EBADF);
}

static void vsyscall_page(void)
{
	long (*page_time)(long *);
	long (*page_gettimeofday)(struct timeval *, void *);
	uintptr_t at = 0xffffffffff600000ul, at_time = at + 0x400;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int there = 0;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		there |= strstr(line, "[vsyscall]") != NULL;
	fclose(maps);
	if (!there)
		return;
	memcpy(&page_time, &at_time, sizeof(at));
	memcpy(&page_gettimeofday, &at, sizeof(at));
	for (int i = 0; i < 20; i++) {
		struct timeval now = { 0, 0 };
		long before = time(NULL), seconds = 0;

		CHECK(page_time(&seconds) >= before && seconds >= before);
		CHECK(page_gettimeofday(&now, NULL) == 0 && now.tv_sec >= before);
	}
}

/* mov $nr,%eax; syscall; ret */
static size_t emit(uint8_t *to, uint32_t nr)
{
	to[0] = 0xb8;
	memcpy(to + 1, &nr, 4);
	to[5] = 0x0f;
	to[6] = 0x05;
	to[7] = 0xc3;
	return 8;
}

static long call(const void *code, long a)
{
	long (*function)(long);

	memcpy(&function, &code, sizeof(function));
	return function(a);
}

static void made_at_run_time(void)
{
	uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return; /* a policy against it */
	for (int i = 0; i < 50; i++) { /* written again and again at the same place */
		emit(page, i & 1 ? SYS_close : SYS_getpid);
		CHECK(call(page, 9981) == (i & 1 ? -EBADF : getpid()));
	}
	/* 0f at the end of one page, 05 at the start of the next */
	emit(page + 4096 - 6, SYS_close);
	CHECK(page[4095] == 0x0f && page[4096] == 0x05);
	CHECK(call(page + 4096 - 6, 9982) == -EBADF);
	CHECK(mprotect(page, 8192, PROT_READ | PROT_EXEC) == 0);
	CHECK(call(page + 4096 - 6, 9982) == -EBADF);
	/* across a cache line */
	CHECK(mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
	emit(page + 64 - 6, SYS_close);
	CHECK(call(page + 64 - 6, 9983) == -EBADF);
	CHECK(munmap(page, 8192) == 0);
	/* the same place, with other bytes, after it was gone */
	uint8_t *again = mmap(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	CHECK(again == page);
	again[0] = 0x31; /* xor %eax,%eax; ret */
	again[1] = 0xc0;
	again[2] = 0xc3;
	CHECK(call(again, 1) == 0);
	CHECK(munmap(again, 8192) == 0);
}

static void thousands_of_places(void)
{
	size_t bytes = 1 << 16;
	uint8_t *code = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at = 0;

	CHECK(code != MAP_FAILED);
	while (at + 8 <= bytes)
		at += emit(code + at, SYS_close);
	CHECK(mprotect(code, bytes, PROT_READ | PROT_EXEC) == 0);
	for (size_t i = 0; i + 8 <= bytes; i += 8 * 3)
		CHECK(call(code + i, 9984) == -EBADF);
	CHECK(munmap(code, bytes) == 0);
}

/* Both a call of its own number and one that comes by a jump with another. */
static void jumped_into(void)
{
	long direct, jumped;

	__asm__ volatile("movl $9985, %%edi\n\t"
			 "movl $3, %%eax\n"
			 "1:\tsyscall\n\t"
			 "jmp 3f\n"
			 "2:\tmovl $110, %%eax\n\t"
			 "jmp 1b\n"
			 "3:\ttestl %%ebx, %%ebx\n\t"
			 "jnz 4f\n\t"
			 "movq %%rax, %0\n\t"
			 "movl $1, %%ebx\n\t"
			 "jmp 2b\n"
			 "4:\tmovq %%rax, %1"
			 : "=&r"(direct), "=&r"(jumped)
			 : "b"(0)
			 : "rax", "rdi", "rcx", "r11", "memory", "cc");
	CHECK(direct == -EBADF && jumped == getppid());
}

/* long leaf(long a): keeps its sums in the red zone while it makes three calls. */
__asm__(".text\n"
	".globl red_leaf\n"
	"red_leaf:\n"
	"	movq %rdi, -8(%rsp)\n"
	"	movq $1111, -64(%rsp)\n"
	"	movq $2222, -120(%rsp)\n"
	"	movq $3333, -128(%rsp)\n"
	"	movl $110, %eax\n"
	"	syscall\n"
	"	movl $9986, %edi\n"
	"	movl $3, %eax\n"
	"	syscall\n"
	"	movl $0x3fffffff, %eax\n"
	"	syscall\n"
	"	movq -8(%rsp), %rax\n"
	"	addq -64(%rsp), %rax\n"
	"	addq -120(%rsp), %rax\n"
	"	addq -128(%rsp), %rax\n"
	"	ret\n");
extern long red_leaf(long a);

static void on_alarm(int signal)
{
	(void)signal;
	CHECK(getppid() > 0);
}

static void red_zone(void)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, none = { { 0, 0 }, { 0, 0 } };

	CHECK(signal(SIGALRM, on_alarm) != SIG_ERR && setitimer(ITIMER_REAL, &every, NULL) == 0);
	for (long i = 0; i < 1000; i++)
		CHECK(red_leaf(i) == i + 6666);
	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
}

/* A syscall with no stack at all: the stack pointer is a number like any other. */
static void without_a_stack(void)
{
	long result;

	__asm__ volatile("movq %%rsp, %%r12\n\t"
			 "xorl %%esp, %%esp\n\t"
			 "syscall\n\t"
			 "cmpq $0, %%rsp\n\t"
			 "movq %%r12, %%rsp\n\t"
			 "je 1f\n\t"
			 "movq $-1, %%rax\n"
			 "1:"
			 : "=a"(result)
			 : "0"(SYS_close), "D"(9987)
			 : "rcx", "r11", "r12", "memory", "cc");
	CHECK(result == -EBADF);
}

int main(void)
{
	for (int i = 0; i < 5; i++) {
		odd_numbers();
		vsyscall_page();
		made_at_run_time();
		jumped_into();
		without_a_stack();
	}
	thousands_of_places();
	red_zone();
	puts("raw_zoo: ok");
	return 0;
}
