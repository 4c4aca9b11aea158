/* Syscalls that escape libc: in the program's own text and in JIT memory (int80.c has int 0x80). Each is made once, with a number or
 * argument of its own, so that a trace can be searched for it. */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

static long raw_syscall(long nr, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

int main(void)
{
	/* mov eax, edi; mov rdi, rsi; syscall; ret */
	static const uint8_t code[] = { 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x0f, 0x05, 0xc3 };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long (*jit)(long, long);

	CHECK(page != MAP_FAILED);
	memcpy(page, code, sizeof(code));
	CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
	memcpy(&jit, &page, sizeof(jit));

	CHECK(raw_syscall(SYS_getppid, 0, 0, 0) == getppid());
	CHECK(raw_syscall(SYS_close, 7001, 0, 0) == -EBADF); /* in text */
	CHECK(jit(SYS_close, 7002) == -EBADF);               /* in JIT memory */
	CHECK(close(7004) == -1 && errno == EBADF);          /* through libc, for comparison */
	puts("raw: ok");
	return 0;
}
