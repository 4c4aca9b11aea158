/* What keeper and agent agree on: where things lie in a traced process and the per-thread block. Freestanding.
 * The addresses lie below the lowest place of a PIE (0x555555554000), where every sanitizer's map has application memory:
 * TSan ends the program when it finds a mapping in one of its holes. */
#ifndef VTRACE_WIRE_AGENT_H
#define VTRACE_WIRE_AGENT_H

#include <stdint.h>
#include "ring.h"

#define AGENT_BASE      0x551000000000ull   /* text, read + execute; agent.ld links it here */
#define AGENT_TEXT_MAX  0x40000u
#define AGENT_DATA      (AGENT_BASE + AGENT_TEXT_MAX)
#define AGENT_DATA_MAX  0x10000u
#define AGENT_IDLE      (AGENT_DATA + AGENT_IDLE_OFFSET) /* the block of threads that are not traced */
#define AGENT_IDLE_OFFSET 0x800u
#define AGENT_IDLE_MAX    0x400u

/* Chunk n: the private per-thread blocks and stacks, then the shared arena. */
#define CHUNK_BASE      (AGENT_BASE + 0x1000000ull)
#define CHUNK_STRIDE    0x200000ull
#define CHUNK_COUNT     512u
#define THREAD_BYTES    0x4000ull           /* block at the bottom, stack from the top */
#define CHUNK_THREADS   (ARENA_SLOTS * THREAD_BYTES)
#define CHUNK_ADDRESS(n) (CHUNK_BASE + (uint64_t)(n) * CHUNK_STRIDE)
#define CHUNK_ARENA(n)   (CHUNK_ADDRESS(n) + CHUNK_THREADS)
_Static_assert(CHUNK_THREADS + ARENA_BYTES <= CHUNK_STRIDE, "a chunk fits its stride");

/* Trampolines of rewritten sites lie near the files they serve. */
#define REGION_MAX 4u
#define REGION_BYTES 0x20000u

#define SIGFRAME_MASK 296 /* offset of uc_sigmask in the ucontext that rt_sigreturn finds at the stack pointer */

#define VIA_DEPTH 16u
#define AGENT_ENTRY_OFFSET 568u /* the trampolines' jmp *%gs:568 */

/* SIGBUS, SIGSEGV, SIGSYS: what we make the kernel force. The keeper follows what the program does with them. */
#define FORCED_SIGNALS (1ull << (7 - 1) | 1ull << (11 - 1) | 1ull << (31 - 1))

/* What the agent asks of the keeper: a dispatched syscall of its own, rdi = enum agent_call. */
enum agent_call {
	AGENT_CALL_MAPPED = 1, /* file text was mapped: rsi address, rdx length, r10 fd, r8 file offset */
	AGENT_CALL_FULL,       /* the ring is full for long: gives the processor away */
};

/* The program's registers at the syscall, as it would see them after it, except rax (the number). */
struct agent_frame {
	uint64_t rax, rbx, rcx /* where to resume */, rdx, rsi, rdi, rbp, rsp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rflags;
};

/* A libc function that was called and may still run: `slot` is where its return address lies. */
struct agent_via { uint64_t slot, caller; uint64_t function; };

/* A call of a vDSO function that is being recorded. Its return address, at `slot`, is the agent's meanwhile, and `caller`
 * is the program's; putting that back ends the recording. */
struct agent_vdso {
	uint64_t slot;            /* 0: there is none */
	uint64_t caller, start_tsc, ret, function;
	uint64_t args[6];
};

enum agent_phase { AGENT_OUTSIDE = 0, AGENT_BEFORE = 1, AGENT_AFTER = 2 };

/* One per thread, at %gs:0. Offsets are used by entry.S; asserted there by wrapper.h. */
struct agent_thread {
	uint64_t self;            /*   0 */
	uint64_t stack_top;       /*   8 */
	uint64_t ring;            /*  16: address of struct ring_head, 0: record nothing */
	uint64_t phase;           /*  24: enum agent_phase */
	struct agent_frame frame; /*  32 */
	int32_t pid, tid;         /* 168 */
	uint64_t via_count;       /* 176 */
	struct agent_via via[VIA_DEPTH]; /* 184 */
	uint64_t entry;           /* 568: where rewritten sites go: the agent, or back to the syscall instruction */
	uint64_t caught;          /* 576: enum record_caught of the call being made */
	uint64_t stop;            /* 584: set by the keeper: trap at the end of the way through the agent */
	struct agent_vdso vdso;   /* 592 */
	uint64_t gadget_sp;       /* 680: the agent's stack pointer while the call is made on the program's */
	uint64_t plain_resume;    /* 688: where a call that is not recorded goes on */
	uint64_t calls;           /* so far */
	uint64_t forced_blocked;  /* which of FORCED_SIGNALS the program blocks: written by keeper and agent */
};
_Static_assert(__builtin_offsetof(struct agent_thread, frame) == 32, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, pid) == 168, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, via_count) == 176, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, via) == 184, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, entry) == AGENT_ENTRY_OFFSET, "entry.S and the trampolines");
_Static_assert(__builtin_offsetof(struct agent_thread, caught) == 576, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, vdso) == 592, "entry.S");
_Static_assert(__builtin_offsetof(struct ring_head, selector) == 32, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_vdso, args) == 40, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, gadget_sp) == 680, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, plain_resume) == 688, "entry.S");

/* What becomes of a syscall when filters exclude some. */
enum agent_way {
	WAY_PLAIN = 0,   /* made at once: nobody asks for it */
	WAY_AGENT = 1,   /* not recorded, but the agent or the keeper has to see it */
	WAY_RECORD = 2,
};

/* By the lowest 16 bits of the number; the kernel knows no number that is longer, but those of x32, which end like the others. */
#define CHOICE_ROWS 3u /* numbers up to 255, up to 511, all others */
struct agent_choice {
	uint16_t row[256];         /* by bits 8 to 15: offset of a row in `way` */
	uint8_t way[CHOICE_ROWS][256]; /* enum agent_way */
};

static inline uint8_t choice_way(const struct agent_choice *choice, uint64_t nr)
{
	return choice->way[0][choice->row[nr >> 8 & 0xff] + (nr & 0xff)];
}

/* At AGENT_DATA, written by the keeper only, and the idle block behind it in the same page. */
struct agent_config {
	uint32_t string_limit;
	uint32_t fd_paths;
	uint32_t no_via; /* wrappers only jump: set by the keeper when %gs is not ours in every thread */
	uint32_t vdso;   /* record what the vDSO answers */
	uint64_t regions[REGION_MAX]; /* where trampolines lie; 0: unused */
	uint32_t filtered;            /* `choice` counts, and threads' `entry` is agent_export_filter */
	uint32_t own_filter;          /* a seccomp filter of the program's is there, or about to be: no call of ours is harmless */
	struct agent_choice choice;
};
_Static_assert(sizeof(struct agent_config) <= AGENT_IDLE_OFFSET && sizeof(struct agent_thread) <= AGENT_IDLE_MAX, "agent.ld");
_Static_assert(__builtin_offsetof(struct agent_config, choice) == 56, "entry.S");
_Static_assert(sizeof(((struct agent_choice *)0)->row) == 512, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_config, no_via) == 8, "entry.S");

#endif
