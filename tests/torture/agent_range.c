/* The program maps over the place the agent uses (MAP_FIXED), unmaps it, protects it, unmaps all that is not its own, reserves
 * everything around it, and goes on. A mapping in the very place may be refused, and then cleanly. */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define PLACE ((char *)0x551000000000ul)
#define PLACE_BYTES 0x4000000ul

static int reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void works(void)
{
	for (int i = 0; i < 20; i++) {
		CHECK(getppid() > 0);
		CHECK(close(9800) == -1 && errno == EBADF);
	}
}

static int maps_over(size_t offset, size_t bytes)
{
	char *at = mmap(PLACE + offset, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (at == MAP_FAILED) { /* refused, and no more than that */
		CHECK(errno == ENOMEM);
		works();
		return 3;
	}
	CHECK(at == PLACE + offset);
	for (size_t i = 0; i < bytes; i += 4096) {
		CHECK(at[i] == 0);
		at[i] = 1;
	}
	works();
	for (size_t i = 0; i < bytes; i += 4096)
		CHECK(at[i] == 1);
	return 3;
}

static int unmaps(void)
{
	CHECK(munmap(PLACE, PLACE_BYTES) == 0);
	works();
	return 3;
}

static int protects(void)
{
	char *at = mmap(PLACE, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	(void)at; /* there, or taken: what follows is for the pages that are there */
	mprotect(PLACE, 0x40000, PROT_NONE);
	works();
	return 3;
}

static int moves(void)
{
	char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(own != MAP_FAILED);
	*own = 5;
	char *moved = mremap(own, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE);

	CHECK((moved == PLACE && *PLACE == 5) || (moved == MAP_FAILED && errno == ENOMEM && *own == 5));
	works();
	return 3;
}

/* As a program with a memory manager of its own does at its start: everything far below its own code goes. */
static int empties(void)
{
	uintptr_t low = 0x10000000000ul, high = 0x555555554000ul, self = (uintptr_t)empties & ~0xfffffffful;

	if (self < high && self > low)
		high = self - 0x100000000ul;
	CHECK(munmap((void *)low, high - low) == 0);
	works();
	return 3;
}

/* Shadow memory, as sanitizers have it: terabytes at a fixed place, used sparsely. */
static int reserves(void)
{
	char *low = (char *)0x510000000000ul;
	size_t bytes = 0x044000000000ul;

	CHECK(mmap(low, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == low);
	for (size_t at = 0; at < bytes; at += bytes / 16)
		low[at] = 7;
	low[bytes - 1] = 7;
	works();
	CHECK(munmap(low, bytes) == 0);
	works();
	return 3;
}

static int advises(void)
{
	madvise(PLACE, PLACE_BYTES, MADV_DONTNEED);
	works();
	return 3;
}

struct region { char *at; size_t bytes; };

/* Code in nobody's file: trampolines. Untraced there is none. */
static int find_regions(struct region regions[8])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4200], mode[8];
	unsigned long start, end;
	int count = 0, length;

	CHECK(maps);
	while (count < 8 && fgets(line, sizeof(line), maps)) {
		CHECK(sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &start, &end, mode, &length) == 3);
		if (mode[2] == 'x' && !line[length] && (char *)start != PLACE)
			regions[count++] = (struct region){ (char *)start, end - start };
	}
	fclose(maps);
	return count;
}

/* A program may not know what lies there, and have it all for itself. */
static int trampolines(void)
{
	struct region regions[8];
	int count = find_regions(regions);

	for (int i = 0; i < count; i++) {
		char *at = regions[i].at;
		size_t bytes = regions[i].bytes;

		mprotect(at, bytes, PROT_NONE);
		works();
		madvise(at, bytes, MADV_DONTNEED);
		works();
		CHECK(munmap(at + 4096, bytes - 4096) == 0);
		works();
		CHECK(munmap(at - 0x100000, 0x200000) == 0);
		works();
		char *own = mmap(at - 0x100000, 0x200000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		CHECK(own == at - 0x100000);
		*own = own[0x1fffff] = 7;
		works();
		own = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		CHECK(own == at || (own == MAP_FAILED && errno == ENOMEM));
		works();
	}
	return 3;
}

int main(void)
{
	static int (*const parts[])(void) = { unmaps, protects, moves, empties, reserves, advises, trampolines };

	for (int i = 0; i < 7; i++) {
		pid_t child = fork();

		if (!child)
			_exit(parts[i]());
		CHECK(reap(child) == 3);
	}
	pid_t child = fork();

	if (!child)
		_exit(maps_over(0, 4096));
	CHECK(reap(child) == 3);
	child = fork();
	if (!child)
		_exit(maps_over(0x1000000, 0x200000)); /* the first chunk */
	CHECK(reap(child) == 3);
	child = fork();
	if (!child)
		_exit(maps_over(0, 0x2000000));
	CHECK(reap(child) == 3);
	puts("agent_range: ok");
	return 0;
}
