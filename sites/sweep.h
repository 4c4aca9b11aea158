/* Decodes an object's code from function starts and notes, per byte, where instructions start and where control can
 * come in. */
#ifndef VTRACE_SITES_SWEEP_H
#define VTRACE_SITES_SWEEP_H

#include "image.h"

struct sweep {
	const struct image *image;
	struct range hulls[IMAGE_TEXTS]; /* of each text, the part that can be code: from the first function to the last */
	uint64_t *starts;  /* one bit per byte of the image: an instruction starts here */
	uint64_t *targets; /* a function, a branch, a call, a jump table or a pointer leads here */
	uint64_t *certain; /* those of them that are certain: symbols, and direct branches of decoded code */
	uint64_t *entries; /* a function starts here: what lies before does not run into it */
	uint64_t *sites;   /* a syscall instruction */
	uint64_t *inferred; /* an instruction in code without a symbol, between two known functions */
	struct functions tables; /* what may be jump tables */
	uint64_t decoded_bytes;
	uint32_t functions;
	int err;
};

static inline bool bit_test(const uint64_t *bits, uint64_t at)
{
	return bits[at / 64] >> at % 64 & 1;
}

static inline void bit_set(uint64_t *bits, uint64_t at)
{
	bits[at / 64] |= 1ull << at % 64;
}

static inline void bit_clear(uint64_t *bits, uint64_t at)
{
	bits[at / 64] &= ~(1ull << at % 64);
}

/* 0 or -ENOMEM; sweep_destroy in any case. Borrows both. Without any syscall instruction the maps stay NULL. */
int sweep_run(struct sweep *sweep, const struct image *image, const struct image_facts *facts);
/* The next 0f 05 in text number `text`, at or after `from`; 0: none. */
uint64_t sweep_next_bytes(const struct sweep *sweep, int text, uint64_t from);
/* Whether a decoded instruction holds the byte at `at`. */
bool sweep_covers(const struct sweep *sweep, uint64_t at);
/* Whether the data at `table` can be a jump table of 32-bit distances. */
bool sweep_is_table(const struct sweep *sweep, uint64_t table);
void sweep_destroy(struct sweep *sweep);

#endif
