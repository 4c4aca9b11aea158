/* A whole ring from the input, as a program can leave it: positions anywhere, data anything. The front reads it to the
 * end, looks at the open record, is told that the thread ended, and gives the slot to another. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"
#include "lines.h"
#include "memory.h"
#include "source.h"

/* Records that fit, and the pads between them. */
#define ROUNDS_MAX (RING_BYTES / sizeof(struct record) + 2)

struct head { uint64_t position, head, open_at; uint8_t how, state; };

static uint64_t value_of(uint64_t value, uint64_t position, bool relative)
{
	return relative ? position + (value & 0x3ffff) : value;
}

static void fill(struct ring_head *ring, const struct head *head, const uint8_t *data, size_t bytes)
{
	for (size_t i = 0; i < bytes && i < RING_BYTES; i++)
		ring_data(ring)[(head->position + i) % RING_BYTES] = (char)data[i];
	atomic_store(&ring->head, value_of(head->head, head->position, head->how & 1));
	atomic_store(&ring->open_at, value_of(head->open_at, atomic_load(&ring->head), head->how & 2));
	atomic_store(&ring->state, head->state % 4);
}

static void check_copy(const struct record *copy)
{
	size_t pieces = 0;

	if (!record_valid(copy, copy->size))
		fuzz_failed("a record that is not valid came out of the ring", "", 0);
	for (const struct piece *at = piece_first(copy); at; at = piece_next(copy, at))
		if (++pieces > RECORD_MAX / sizeof(struct piece))
			fuzz_failed("pieces without end", "", 0);
}

static void read_all(struct source *source, struct record *copy)
{
	enum source_result result;
	size_t rounds = 0;

	while ((result = source_next(source, copy)) == SOURCE_RECORD) {
		check_copy(copy);
		if (++rounds > ROUNDS_MAX)
			fuzz_failed("records without end", "", 0);
	}
	if (result == SOURCE_CORRUPT && source_next(source, copy) != SOURCE_NONE)
		fuzz_failed("a damaged ring is read on", "", 0);
	source_fill(source);
	source_open_since(source);
	if (source_copy_open(source, copy))
		check_copy(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct front_arena arena = { .references = 1, .map = calloc(1, RING_STRIDE) };
	struct record *copy = malloc(RECORD_MAX);
	struct source source = { .arena = &arena };
	struct head head = { 0 };
	size_t taken = bytes < sizeof(head) ? bytes : sizeof(head);

	memcpy(&head, data, taken);
	head.position &= head.how & 4 ? ~7ull : 0x1fff8ull;
	arena.position[0] = head.position;
	fill(arena.map, &head, data + taken, bytes - taken);
	read_all(&source, copy);
	source.ended = true;
	if (source_free(&source)) {
		source = (struct source){ .arena = &arena };
		if (arena.position[0] % 8)
			fuzz_failed("the next thread's ring begins at no place for a record", "", 0);
		read_all(&source, copy);
	}
	free(copy);
	free(arena.map);
	return 0;
}
