/* Runs in the tracee, as syscall.c does. The program does not know that the agent has a place in its address space: what it
 * does to all memory, or to memory around, is done to the parts outside that place; there it finds a hole. Only a mapping
 * that is to lie in the very place is refused. */
#include <stdint.h>
#include "own_memory.h"

#define NR_MMAP 9
#define NR_MPROTECT 10
#define NR_MUNMAP 11
#define NR_MREMAP 25
#define NR_MADVISE 28
#define NR_SHMAT 30
#define NR_PKEY_MPROTECT 329
#define MAP_FIXED_BIT 0x10u
#define MAP_FIXED_NOREPLACE_BIT 0x100000u
#define MREMAP_FIXED_BIT 2u
#define SHM_REMAP_BIT 040000u
#define ENOMEM_RESULT (-12)
#define EFAULT_RESULT (-14)
#define EINVAL_RESULT (-22)

#define OWN_START AGENT_BASE
#define OWN_END CHUNK_ADDRESS(CHUNK_COUNT)

extern long agent_raw(long nr, long a, long b, long c, long d);
extern long agent_raw_mmap(uint64_t at, uint64_t bytes, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t offset);

static int touches(uint64_t start, uint64_t bytes)
{
	uint64_t end = start + bytes; /* where that wraps around, the kernel refuses */

	return end > start && start < OWN_END && end > OWN_START;
}

/* The call for what lies above, which fails when the whole is too long, then for what lies below. */
static int64_t around(const struct agent_frame *f, int64_t (*part)(const struct agent_frame *f, uint64_t at, uint64_t bytes))
{
	uint64_t end = f->rdi + f->rsi;
	int64_t ret = 0;

	if (end > OWN_END)
		ret = part(f, OWN_END, end - OWN_END);
	if (ret >= 0 && f->rdi < OWN_START)
		ret = part(f, f->rdi, OWN_START - f->rdi);
	return ret;
}

static int64_t same_call(const struct agent_frame *f, uint64_t at, uint64_t bytes)
{
	return agent_raw((long)f->rax, (long)at, (long)bytes, (long)f->rdx, (long)f->r10);
}

static int64_t map_part(const struct agent_frame *f, uint64_t at, uint64_t bytes)
{
	return agent_raw_mmap(at, bytes, f->rdx, f->r10, f->r8, f->r9 + (at - f->rdi));
}

/* A range with a hole: the parts are done, and the hole is told. */
static int64_t with_hole(const struct agent_frame *f)
{
	int64_t ret = around(f, same_call);

	return ret < 0 ? ret : ENOMEM_RESULT;
}

/* A reservation that goes far beyond the place (shadow memory) is made around it. */
static int64_t map_over(const struct agent_frame *f)
{
	if (f->rdi >= OWN_START || f->rdi + f->rsi <= OWN_END)
		return ENOMEM_RESULT;
	int64_t ret = around(f, map_part);

	return ret < 0 ? ret : (int64_t)f->rdi;
}

int own_memory_call(const struct agent_frame *f, int64_t *ret)
{
	switch (f->rax) {
	case NR_MMAP:
		if (!(f->r10 & MAP_FIXED_BIT) || (f->r10 & MAP_FIXED_NOREPLACE_BIT) || !touches(f->rdi, f->rsi))
			return 0;
		*ret = map_over(f);
		return 1;
	case NR_MUNMAP:
		if (f->rdi & 0xfff || !touches(f->rdi, f->rsi))
			return 0;
		*ret = around(f, same_call);
		return 1;
	case NR_MPROTECT:
	case NR_PKEY_MPROTECT:
	case NR_MADVISE:
		if (f->rdi & 0xfff || !touches(f->rdi, f->rsi))
			return 0;
		*ret = with_hole(f);
		return 1;
	case NR_MREMAP:
		if (!f->rdx) /* refused for that */
			return 0;
		if (touches(f->rdi, f->rsi ? f->rsi : 1))
			*ret = EFAULT_RESULT;
		else if (f->r10 & MREMAP_FIXED_BIT && touches(f->r8, f->rdx))
			*ret = ENOMEM_RESULT;
		else
			return 0;
		return 1;
	case NR_SHMAT:
		if (!(f->rdx & SHM_REMAP_BIT) || !touches(f->rsi, 1))
			return 0;
		*ret = EINVAL_RESULT;
		return 1;
	}
	return 0;
}
