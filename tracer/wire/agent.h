/* What keeper and agent agree on: where things lie in a traced process and the per-thread block. Freestanding.
 * The addresses are outside ASan's shadow (ends at 16 TiB) and in a hole of TSan's map (32 to 48 TiB); programs that
 * map there by MAP_FIXED are the only ones in conflict. */
#ifndef VTRACE_WIRE_AGENT_H
#define VTRACE_WIRE_AGENT_H

#include <stdint.h>
#include "ring.h"

#define AGENT_BASE      0x251000000000ull   /* text, read + execute; agent.ld links it here */
#define AGENT_TEXT_MAX  0x40000u
#define AGENT_DATA      (AGENT_BASE + AGENT_TEXT_MAX)
#define AGENT_DATA_MAX  0x10000u
#define AGENT_IDLE      (AGENT_DATA + AGENT_DATA_MAX - 0x1000u) /* the block of threads that are not traced */

/* Chunk n: the private per-thread blocks and stacks, then the shared arena. */
#define CHUNK_BASE      (AGENT_BASE + 0x1000000ull)
#define CHUNK_STRIDE    0x200000ull
#define CHUNK_COUNT     512u
#define THREAD_BYTES    0x4000ull           /* block at the bottom, stack from the top */
#define CHUNK_THREADS   (ARENA_SLOTS * THREAD_BYTES)
#define CHUNK_ADDRESS(n) (CHUNK_BASE + (uint64_t)(n) * CHUNK_STRIDE)
#define CHUNK_ARENA(n)   (CHUNK_ADDRESS(n) + CHUNK_THREADS)
_Static_assert(CHUNK_THREADS + ARENA_BYTES <= CHUNK_STRIDE, "a chunk fits its stride");

#define SIGFRAME_MASK 296 /* offset of uc_sigmask in the ucontext that rt_sigreturn finds at the stack pointer */

#define VIA_DEPTH 16u

/* The program's registers at the syscall, as it would see them after it, except rax (the number). */
struct agent_frame {
	uint64_t rax, rbx, rcx /* where to resume */, rdx, rsi, rdi, rbp, rsp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rflags;
};

/* A libc function that was called and may still run: `slot` is where its return address lies. */
struct agent_via { uint64_t slot, caller; uint64_t function; };

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
};
_Static_assert(__builtin_offsetof(struct agent_thread, frame) == 32, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, pid) == 168, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, via_count) == 176, "entry.S");
_Static_assert(__builtin_offsetof(struct agent_thread, via) == 184, "entry.S");

/* At AGENT_DATA, written once by the keeper. */
struct agent_config {
	uint32_t string_limit;
	uint32_t fd_paths;
};

#endif
