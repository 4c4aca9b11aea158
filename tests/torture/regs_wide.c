/* What a syscall keeps beyond the general registers: ymm, zmm and mask registers as far as the CPU has them, the x87 stack,
 * both control words, every flag a program can set, and that with a signal handler in between as well. */
#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

static uint8_t wanted[32][64] __attribute__((aligned(64))), found[32][64] __attribute__((aligned(64)));
long number, first_argument; /* the assembler reads them */

#define EACH16(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH32(X) EACH16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define CALL "movq number(%%rip), %%rax\n\tmovq first_argument(%%rip), %%rdi\n\tsyscall\n\t"

#define LOAD_Y(n) "vmovdqa " #n "*64(%[from]), %%ymm" #n "\n\t"
#define STORE_Y(n) "vmovdqa %%ymm" #n ", " #n "*64(%[to])\n\t"
#define LOAD_Z(n) "vmovdqa64 " #n "*64(%[from]), %%zmm" #n "\n\t"
#define STORE_Z(n) "vmovdqa64 %%zmm" #n ", " #n "*64(%[to])\n\t"

#define CLOBBER16 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
		  "xmm12", "xmm13", "xmm14", "xmm15"

__attribute__((target("avx"))) static void through_ymm(void)
{
	__asm__ volatile(EACH16(LOAD_Y) CALL EACH16(STORE_Y) "vzeroupper"
			 :
			 : [from] "r"(wanted), [to] "r"(found)
			 : "rax", "rcx", "r11", "rdi", "memory", CLOBBER16);
}

__attribute__((target("avx512f"))) static void through_zmm(void)
{
	__asm__ volatile(EACH32(LOAD_Z) CALL EACH32(STORE_Z) "vzeroupper"
			 :
			 : [from] "r"(wanted), [to] "r"(found)
			 : "rax", "rcx", "r11", "rdi", "memory", CLOBBER16, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20",
			   "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

__attribute__((target("avx512f"))) static void through_masks(void)
{
	uint32_t k1 = 0, k7 = 0;

	__asm__ volatile("movl $0x1234, %%eax\n\tkmovw %%eax, %%k1\n\t"
			 "movl $0xfedc, %%eax\n\tkmovw %%eax, %%k7\n\t" CALL "kmovw %%k1, %0\n\tkmovw %%k7, %1"
			 : "=r"(k1), "=r"(k7)
			 :
			 : "rax", "rcx", "r11", "rdi", "memory", "k1", "k7");
	CHECK(k1 == 0x1234 && k7 == 0xfedc);
}

static void compare(unsigned registers, size_t bytes)
{
	for (unsigned i = 0; i < registers; i++)
		CHECK(!memcmp(wanted[i], found[i], bytes));
	memset(found, 0, sizeof(found));
}

static void through_x87(void)
{
	static const long double values[8] = { 1.5L, 2.25L, 3.125L, 4.0625L, 5.5L, 6.75L, 7.875L, 8.9375L };
	long double back[8];

	__asm__ volatile("fldt (%[v])\n\tfldt 16(%[v])\n\tfldt 32(%[v])\n\tfldt 48(%[v])\n\t"
			 "fldt 64(%[v])\n\tfldt 80(%[v])\n\tfldt 96(%[v])\n\tfldt 112(%[v])\n\t" CALL
			 "fstpt 112(%[b])\n\tfstpt 96(%[b])\n\tfstpt 80(%[b])\n\tfstpt 64(%[b])\n\t"
			 "fstpt 48(%[b])\n\tfstpt 32(%[b])\n\tfstpt 16(%[b])\n\tfstpt (%[b])"
			 :
			 : [v] "r"(values), [b] "r"(back)
			 : "rax", "rcx", "r11", "rdi", "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
			   "st(7)");
	for (int i = 0; i < 8; i++)
		CHECK(values[i] == back[i]);
}

static void through_control_words(void)
{
	uint32_t mxcsr = 0x1f80 | 0x6000 /* round towards zero */ | 0x8000, mxcsr_back = 0;
	uint16_t control = 0x0c7f, control_back = 0;

	__asm__ volatile("ldmxcsr %[m]\n\tfldcw %[c]\n\t" CALL "stmxcsr %[mb]\n\tfnstcw %[cb]"
			 : [mb] "=m"(mxcsr_back), [cb] "=m"(control_back)
			 : [m] "m"(mxcsr), [c] "m"(control)
			 : "rax", "rcx", "r11", "rdi", "memory");
	CHECK((mxcsr_back & ~0x3fu) == mxcsr && control_back == control);
	mxcsr = 0x1f80;
	control = 0x037f;
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(control));
}

/* CF PF AF ZF SF DF OF AC ID, each alone, and all. */
static void through_flags(void)
{
	static const uint64_t sets[] = { 0, 0x1, 0x4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x40000, 0x200000, 0x2404d5 | 0x800 };
	const uint64_t all = 0x240cd5;

	for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		uint64_t after, r11;

		__asm__ volatile("subq $256, %%rsp\n\t"
				 "movq number(%%rip), %%rax\n\t"
				 "movq first_argument(%%rip), %%rdi\n\t"
				 "pushfq\n\t"
				 "andq %[keep], (%%rsp)\n\t"
				 "orq %[set], (%%rsp)\n\t"
				 "popfq\n\t"
				 "syscall\n\t"
				 "pushfq\n\t"
				 "popq %[after]\n\t"
				 "pushfq\n\t"
				 "andq %[keep], (%%rsp)\n\t"
				 "popfq\n\t"
				 "movq %%r11, %[r11]\n\t"
				 "addq $256, %%rsp"
				 : [after] "=&r"(after), [r11] "=&r"(r11)
				 : [keep] "r"(~all), [set] "r"(sets[i])
				 : "rax", "rcx", "r11", "rdi", "memory", "cc");
		CHECK((after & all) == sets[i]);
		CHECK((r11 & all) == sets[i]);
		CHECK(!(after & 0x100));
	}
}

static volatile sig_atomic_t seen;

__attribute__((target("avx"))) static void spoil(int signal)
{
	(void)signal;
	seen++;
	__asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n\tvpxor %%xmm15, %%xmm15, %%xmm15\n\tfninit\n\tvzeroall" : : : CLOBBER16);
	CHECK(close(9971) == -1);
}

static void everything(int avx, int avx512)
{
	if (avx) {
		through_ymm();
		compare(16, 32);
	}
	if (avx512) {
		through_zmm();
		compare(32, 64);
		through_masks();
	}
	through_x87();
	through_control_words();
	through_flags();
}

int main(void)
{
	int avx, avx512;

	__builtin_cpu_init();
	avx = __builtin_cpu_supports("avx");
	avx512 = __builtin_cpu_supports("avx512f");
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 64; j++)
			wanted[i][j] = (uint8_t)(i * 64 + j * 7 + 1);
	number = SYS_getppid;
	for (int i = 0; i < 50; i++)
		everything(avx, avx512);
	number = 999999; /* ENOSYS */
	for (int i = 0; i < 50; i++)
		everything(avx, avx512);
	if (avx) { /* a handler runs before the call comes back */
		CHECK(signal(SIGUSR1, spoil) != SIG_ERR);
		number = SYS_tgkill;
		first_argument = getpid();
		seen = 0;
		for (int i = 0; i < 50; i++) {
			uint64_t result;

			__asm__ volatile(EACH16(LOAD_Y) "syscall\n\t" EACH16(STORE_Y) "vzeroupper"
					 : "=a"(result)
					 : [from] "r"(wanted), [to] "r"(found), "0"(SYS_tgkill), "D"((long)getpid()),
					   "S"((long)getpid()), "d"((long)SIGUSR1)
					 : "rcx", "r11", "memory", CLOBBER16);
			CHECK(result == 0);
			compare(16, 32);
		}
		CHECK(seen == 50);
	}
	printf("regs_wide: ok avx %d avx512 %d\n", !!avx, !!avx512);
	return 0;
}
