/* Runs in the tracee, as syscall.c does. The program does not know that the agent and the trampolines have places in its
 * address space: what it does to all memory, or to memory around, is done to the parts outside those places; there it finds
 * holes. Only a mapping that is to lie in a very place is refused. */
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

#define OWN_MAX (REGION_MAX + 1)

struct range { uint64_t start, end; };

extern struct agent_config agent_config;
extern long agent_raw(long nr, long a, long b, long c, long d);
extern long agent_raw_mmap(uint64_t at, uint64_t bytes, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t offset);

/* The agent's place and those of trampolines, in ascending order. */
static uint32_t own_ranges(struct range own[OWN_MAX])
{
	uint32_t count = 1;

	own[0] = (struct range){ AGENT_BASE, CHUNK_ADDRESS(CHUNK_COUNT) };
	for (uint32_t i = 0; i < REGION_MAX; i++) {
		uint64_t start = agent_config.regions[i];
		uint32_t at = count;

		if (!start)
			continue;
		for (; at && own[at - 1].start > start; at--)
			own[at] = own[at - 1];
		own[at] = (struct range){ start, start + REGION_BYTES };
		count++;
	}
	return count;
}

static int overlap(const struct range *own, uint64_t start, uint64_t end)
{
	return start < own->end && end > own->start;
}

static int touches(uint64_t start, uint64_t bytes)
{
	uint64_t end = start + bytes; /* where that wraps around, the kernel refuses */
	struct range own[OWN_MAX];
	int any = 0;

	for (uint32_t i = own_ranges(own); end > start && i-- > 0;)
		any |= overlap(&own[i], start, end);
	return any;
}

/* The call for each part that is not ours, from above (which fails when the whole is too long). */
static int64_t around(const struct agent_frame *f, int64_t (*part)(const struct agent_frame *f, uint64_t at, uint64_t bytes))
{
	uint64_t start = f->rdi, end = f->rdi + f->rsi;
	struct range own[OWN_MAX];
	int64_t ret = 0;

	for (uint32_t i = own_ranges(own); i-- > 0 && ret >= 0;) {
		if (!overlap(&own[i], start, end))
			continue;
		if (end > own[i].end)
			ret = part(f, own[i].end, end - own[i].end);
		end = own[i].start;
	}
	return ret >= 0 && end > start ? part(f, start, end - start) : ret;
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

/* A reservation that goes beyond our places (shadow memory) is made around them. */
static int64_t map_over(const struct agent_frame *f)
{
	uint64_t start = f->rdi, end = f->rdi + f->rsi;
	struct range own[OWN_MAX];

	for (uint32_t i = own_ranges(own); i-- > 0;)
		if (overlap(&own[i], start, end) && (start >= own[i].start || end <= own[i].end))
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
