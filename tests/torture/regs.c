/* A syscall keeps every register but rax, rcx and r11, the vector registers, the flags and the red zone
 * below it; rcx and r11 are what the kernel makes them. */
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

struct regs { uint64_t rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15, rax, rcx, r11, next, rsp_moved; };

/* Sets all registers to marks, makes the syscall, stores what is there afterwards. */
static void marked_syscall(struct regs *after, uint64_t nr)
{
	__asm__ volatile("pushq %%rbp\n\t"
			 "pushq %%rbx\n\t"
			 "pushq %[after]\n\t"
			 "movq %[nr], %%rax\n\t"
			 "movq %%rsp, %%r15\n\t"
			 "movq $0x1001, %%rbx\n\t"
			 "movq $0x1002, %%rdx\n\t"
			 "movq $0x1003, %%rsi\n\t"
			 "movq $0x1004, %%rdi\n\t"
			 "movq $0x1005, %%rbp\n\t"
			 "movq $0x1006, %%r8\n\t"
			 "movq $0x1007, %%r9\n\t"
			 "movq $0x1008, %%r10\n\t"
			 "movq $0x1009, %%r12\n\t"
			 "movq $0x100a, %%r13\n\t"
			 "movq $0x100b, %%r14\n\t"
			 "syscall\n"
			 "1:\n\t"
			 "subq %%rsp, %%r15\n\t" /* flags are not needed any more: r11 holds them */
			 "xchgq %%rbx, (%%rsp)\n\t"
			 "movq %%rdx, 8(%%rbx)\n\t"
			 "movq %%rsi, 16(%%rbx)\n\t"
			 "movq %%rdi, 24(%%rbx)\n\t"
			 "movq %%rbp, 32(%%rbx)\n\t"
			 "movq %%r8, 40(%%rbx)\n\t"
			 "movq %%r9, 48(%%rbx)\n\t"
			 "movq %%r10, 56(%%rbx)\n\t"
			 "movq %%r12, 64(%%rbx)\n\t"
			 "movq %%r13, 72(%%rbx)\n\t"
			 "movq %%r14, 80(%%rbx)\n\t"
			 "movq %%r15, 128(%%rbx)\n\t"
			 "movq %%rax, 96(%%rbx)\n\t"
			 "movq %%rcx, 104(%%rbx)\n\t"
			 "movq %%r11, 112(%%rbx)\n\t"
			 "leaq 1b(%%rip), %%rax\n\t"
			 "movq %%rax, 120(%%rbx)\n\t"
			 "movq %%rbx, %%rcx\n\t"
			 "popq %%rbx\n\t"
			 "movq %%rbx, (%%rcx)\n\t"
			 "popq %%rbx\n\t"
			 "popq %%rbp\n\t"
			 :
			 : [after] "a"(after), [nr] "c"(nr)
			 : "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

static void general_registers_stay(uint64_t nr)
{
	struct regs at = { 0 };

	marked_syscall(&at, nr);
	CHECK(at.rbx == 0x1001 && at.rdx == 0x1002 && at.rsi == 0x1003 && at.rdi == 0x1004 && at.rbp == 0x1005);
	CHECK(at.r8 == 0x1006 && at.r9 == 0x1007 && at.r10 == 0x1008);
	CHECK(at.r12 == 0x1009 && at.r13 == 0x100a && at.r14 == 0x100b);
	CHECK(at.rsp_moved == 0);
	CHECK(at.rcx == at.next);       /* the address after the syscall */
	CHECK((at.r11 & 0x202) == 0x202); /* the flags: interrupts on, the fixed bit */
	CHECK((at.r11 & 0x400) == 0);
}

/* A leaf's 128 bytes below the stack pointer. */
static int red_zone_stays(void)
{
	int differences;

	__asm__ volatile("subq $256, %%rsp\n\t" /* away from this function's own red zone */
			 "movq $-128, %%r8\n"
			 "1:\tmovq %%r8, (%%rsp, %%r8)\n\t"
			 "addq $8, %%r8\n\t"
			 "jnz 1b\n\t"
			 "movl $110, %%eax\n\t" /* getppid */
			 "syscall\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "movq $-128, %%r8\n"
			 "2:\tcmpq %%r8, (%%rsp, %%r8)\n\t"
			 "je 3f\n\t"
			 "incl %%eax\n"
			 "3:\taddq $8, %%r8\n\t"
			 "jnz 2b\n\t"
			 "addq $256, %%rsp\n\t"
			 : "=a"(differences)
			 :
			 : "rcx", "r8", "r11", "memory", "cc");
	return differences == 0;
}

static int vectors_stay(void)
{
	static const uint64_t mark[2] = { 0x0123456789abcdef, 0xfedcba9876543210 };
	uint64_t first[2], last[2];

	__asm__ volatile("movdqu %[mark], %%xmm0\n\t"
			 "movdqu %[mark], %%xmm15\n\t"
			 "movl $110, %%eax\n\t"
			 "syscall\n\t"
			 "movdqu %%xmm0, %[first]\n\t"
			 "movdqu %%xmm15, %[last]\n\t"
			 : [first] "=m"(first), [last] "=m"(last)
			 : [mark] "m"(mark)
			 : "rax", "rcx", "r11", "xmm0", "xmm15", "memory");
	return !memcmp(first, mark, 16) && !memcmp(last, mark, 16);
}

static int carry_stays(void)
{
	unsigned char carry;

	__asm__ volatile("movl $110, %%eax\n\t"
			 "stc\n\t"
			 "syscall\n\t"
			 "setc %%al\n\t"
			 : "=a"(carry)
			 :
			 : "rcx", "r11", "memory", "cc");
	return carry == 1;
}

int main(void)
{
	for (int i = 0; i < 100; i++) {
		general_registers_stay(SYS_getppid);
		general_registers_stay(SYS_close);
		general_registers_stay(100000); /* ENOSYS */
		CHECK(red_zone_stays());
		CHECK(vectors_stay());
		CHECK(carry_stays());
	}
	puts("regs: ok");
	return 0;
}
