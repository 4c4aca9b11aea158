/* What counts as known code:
 *
 *  1. [start, end) of every function of .eh_frame and of the symbol tables, decoded from its start.
 *  2. Code between those, cut where a symbol or a direct branch of decoded code leads to. Static functions of a libc
 *     without unwind tables (musl) are there. Such a piece counts only if its decoding has no doubt in it: every
 *     instruction is valid, it ends exactly where the next piece starts, and every branch inside it leads to an
 *     instruction. Where such code is longer than any libc's (chromium: 220 MB without unwind tables, which took half a
 *     minute) nothing is decoded: its branches could lead to every site.
 *
 * Targets that only veto are collected generously, from pointers and jump tables too: one too many only costs a
 * rewritten site. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <Zydis/Zydis.h>
#include "sweep.h"

#define GAP_ROUNDS_MAX 8
#define GAP_BYTES_MAX (16u << 20)
#define HULL_FUNCTIONS_MIN 8
#define NESTED_FUNCTIONS_MAX 8
#define TABLE_BYTES_MAX 16384

struct step {
	ZydisDecodedInstruction instruction;
	uint64_t at, next;
};

static void decoder_init(ZydisDecoder *decoder)
{
	ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
}

static bool decode(const ZydisDecoder *decoder, const struct image *image, uint64_t at, uint64_t end, struct step *step)
{
	step->at = at;
	if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(decoder, NULL, image->bytes + at, end - at, &step->instruction)))
		return false;
	step->next = at + step->instruction.length;
	return true;
}

static void target_set(struct sweep *sweep, uint64_t at)
{
	if (image_text_at(sweep->image, at))
		bit_set(sweep->targets, at);
}

static bool branch_target(const struct step *step, uint64_t *target)
{
	if (!step->instruction.raw.imm[0].is_relative)
		return false;
	*target = step->next + (uint64_t)step->instruction.raw.imm[0].value.s;
	return true;
}

static void note_targets(struct sweep *sweep, const struct step *step)
{
	const ZydisDecodedInstruction *instruction = &step->instruction;
	uint64_t target;

	if (branch_target(step, &target)) {
		target_set(sweep, target);
		if (image_text_at(sweep->image, target))
			bit_set(sweep->certain, target);
	} else if ((instruction->attributes & ZYDIS_ATTRIB_HAS_MODRM) && instruction->raw.modrm.mod == 0 &&
		   instruction->raw.modrm.rm == 5) {
		target = step->next + (uint64_t)instruction->raw.disp.value;
		if (image_text_at(sweep->image, target))
			bit_set(sweep->targets, target);
		else if (instruction->mnemonic == ZYDIS_MNEMONIC_LEA && functions_add(&sweep->tables, target, target))
			sweep->err = -ENOMEM;
	} else if (sweep->image->fixed && instruction->raw.imm[0].size >= 32) {
		target_set(sweep, instruction->raw.imm[0].value.u - sweep->image->base);
	}
}

static void note(struct sweep *sweep, const struct step *step)
{
	bit_set(sweep->starts, step->at);
	sweep->decoded_bytes += step->instruction.length;
	if (step->instruction.mnemonic == ZYDIS_MNEMONIC_SYSCALL)
		bit_set(sweep->sites, step->next - SITE_SYSCALL_BYTES); /* a useless prefix may precede it */
	note_targets(sweep, step);
}

static void sweep_function(struct sweep *sweep, const ZydisDecoder *decoder, uint64_t start, uint64_t end)
{
	struct step step;

	/* A start already decoded means a function inside another one: the rest has been seen. */
	for (uint64_t at = start; at < end && !bit_test(sweep->starts, at); at = step.next) {
		if (!decode(decoder, sweep->image, at, end, &step))
			return;
		note(sweep, &step);
	}
}

static bool is_padding(const struct image *image, uint64_t at, uint64_t end)
{
	uint8_t fill = image->bytes[at];

	if (fill != 0 && fill != 0xcc)
		return false;
	while (at < end && image->bytes[at] == fill)
		at++;
	return at == end;
}

static bool is_privileged(ZydisMnemonic mnemonic)
{
	switch ((int)mnemonic) {
	case ZYDIS_MNEMONIC_IN:
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_INSD:
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_OUT:
	case ZYDIS_MNEMONIC_OUTSB:
	case ZYDIS_MNEMONIC_OUTSD:
	case ZYDIS_MNEMONIC_OUTSW:
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
		return true;
	}
	return false;
}

/* Marks the starts in [start, end) when all of it decodes; clears them again otherwise. */
static bool mark_piece(struct sweep *sweep, const ZydisDecoder *decoder, uint64_t start, uint64_t end)
{
	const struct image *image = sweep->image;
	uint64_t at = start;
	struct step step;

	while (at < end && !is_padding(image, at, end)) {
		if (!decode(decoder, image, at, end, &step) || is_privileged(step.instruction.mnemonic))
			break;
		bit_set(sweep->starts, at);
		at = step.next;
	}
	if (at == end || is_padding(image, at, end))
		return true;
	for (uint64_t undo = start; undo < at; undo++)
		bit_clear(sweep->starts, undo);
	return false;
}

static bool branches_agree(struct sweep *sweep, const ZydisDecoder *decoder, uint64_t start, uint64_t end)
{
	struct step step;
	uint64_t target;

	for (uint64_t at = start; at < end && bit_test(sweep->starts, at); at = step.next) {
		if (!decode(decoder, sweep->image, at, end, &step))
			return false;
		if (branch_target(&step, &target) &&
		    (!image_text_at(sweep->image, target) ||
		     (target >= start && target < end && !bit_test(sweep->starts, target))))
			return false;
	}
	return true;
}

static void sweep_piece(struct sweep *sweep, const ZydisDecoder *decoder, uint64_t start, uint64_t end)
{
	struct step step;

	if (start == end || !mark_piece(sweep, decoder, start, end))
		return;
	if (!branches_agree(sweep, decoder, start, end)) {
		for (uint64_t undo = start; undo < end; undo++)
			bit_clear(sweep->starts, undo);
		return;
	}
	for (uint64_t at = start; at < end && bit_test(sweep->starts, at); at = step.next) {
		if (!decode(decoder, sweep->image, at, end, &step))
			return;
		note(sweep, &step);
		bit_set(sweep->inferred, at);
	}
}

/* [start, end) lies between known functions. */
static void sweep_gap(struct sweep *sweep, const ZydisDecoder *decoder, uint64_t start, uint64_t end)
{
	uint64_t from = start;

	for (uint64_t at = start; at < end; at++) {
		if (at + 1 < end && !bit_test(sweep->certain, at + 1))
			continue;
		if (!bit_test(sweep->starts, from))
			sweep_piece(sweep, decoder, from, at + 1);
		from = at + 1;
	}
}

/* Calls `visit` for what lies between the functions of each text; the sum of it. */
static uint64_t for_each_gap(struct sweep *sweep, const struct functions *functions, const ZydisDecoder *decoder,
			     void (*visit)(struct sweep *, const ZydisDecoder *, uint64_t start, uint64_t end))
{
	const struct image *image = sweep->image;
	uint64_t sum = 0;

	for (int i = 0; i < image->text_count; i++) {
		uint64_t seen = sweep->hulls[i].start;

		for (size_t row = 0; row <= functions->count; row++) {
			struct function end = { sweep->hulls[i].end, sweep->hulls[i].end };
			const struct function *next = row < functions->count ? &functions->rows[row] : &end;

			if (next != &end && image_text_at(image, next->start) != &image->texts[i])
				continue;
			if (next->start > seen) {
				sum += next->start - seen;
				visit(sweep, decoder, seen, next->start);
			}
			if (next->end > seen)
				seen = next->end;
		}
	}
	return sum;
}

static void visit_nothing(struct sweep *sweep, const ZydisDecoder *decoder, uint64_t start, uint64_t end)
{
	(void)sweep, (void)decoder, (void)start, (void)end;
}

/* What code takes the address of may be a jump table: 32-bit distances from its own start, as compilers write for
 * position-independent code. Anything else gives an address outside code at once, nearly always. */
static bool table_entry(const struct image *image, uint64_t table, uint64_t at, uint64_t *target)
{
	int32_t distance;

	if (at >= image->size || image->size - at < 4)
		return false;
	memcpy(&distance, image->bytes + at, 4);
	*target = table + (uint64_t)(int64_t)distance;
	return image_text_at(image, *target);
}

static void table_targets(struct sweep *sweep, uint64_t table, uint64_t end)
{
	uint64_t target;

	for (uint64_t at = table; at < end && table_entry(sweep->image, table, at, &target); at += 4)
		bit_set(sweep->targets, target);
}

bool sweep_is_table(const struct sweep *sweep, uint64_t table)
{
	uint64_t target;

	return !image_text_at(sweep->image, table) && table_entry(sweep->image, table, table, &target);
}

static int by_start(const void *a, const void *b)
{
	const struct function *one = a, *two = b;

	return one->start < two->start ? -1 : one->start > two->start;
}

/* Last, and each only as far as the next: a table read too far would give targets where there are none. */
static void sweep_tables(struct sweep *sweep)
{
	const struct functions *tables = &sweep->tables;

	if (tables->count)
		qsort(tables->rows, tables->count, sizeof(*tables->rows), by_start);
	for (size_t i = 0; i < tables->count; i++) {
		uint64_t start = tables->rows[i].start, end = start + TABLE_BYTES_MAX;

		if (i + 1 < tables->count && tables->rows[i + 1].start < end)
			end = tables->rows[i + 1].start;
		table_targets(sweep, start, end);
	}
}

/* Read-only data may share a segment with the code (libLLVM: 50 MB of it). Where functions are known, it lies outside. */
static void find_hulls(struct sweep *sweep, const struct functions *functions)
{
	const struct image *image = sweep->image;

	for (int i = 0; i < image->text_count; i++) {
		struct range *hull = &sweep->hulls[i];
		size_t count = 0;

		*hull = (struct range){ UINT64_MAX, 0 };
		for (size_t row = 0; row < functions->count; row++) {
			const struct function *function = &functions->rows[row];

			if (image_text_at(image, function->start) != &image->texts[i])
				continue;
			hull->start = function->start < hull->start ? function->start : hull->start;
			hull->end = function->end > hull->end ? function->end : hull->end;
			count++;
		}
		if (count < HULL_FUNCTIONS_MIN)
			*hull = image->texts[i];
	}
}

uint64_t sweep_next_bytes(const struct sweep *sweep, int text, uint64_t from)
{
	const struct range *hull = &sweep->hulls[text];

	if (from < hull->start)
		from = hull->start;
	if (from >= hull->end)
		return 0;
	const uint8_t *found = memmem(sweep->image->bytes + from, hull->end - from, "\x0f\x05", SITE_SYSCALL_BYTES);

	return found ? (uint64_t)(found - sweep->image->bytes) : 0;
}

/* Whether the bytes at `at` are a syscall instruction when their function is decoded; also true in no function. */
static bool may_be_site(const struct sweep *sweep, const ZydisDecoder *decoder, const struct functions *functions,
			uint64_t at)
{
	size_t low = 0, high = functions->count;
	bool inside = false;
	struct step step;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (functions->rows[middle].start <= at)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t row = low; row-- > 0 && low - row <= NESTED_FUNCTIONS_MAX;) {
		uint64_t next = functions->rows[row].start, end = functions->rows[row].end;

		if (end <= at)
			continue;
		inside = true;
		for (; next <= at && decode(decoder, sweep->image, next, end, &step); next = step.next)
			if (step.instruction.mnemonic == ZYDIS_MNEMONIC_SYSCALL && step.next == at + SITE_SYSCALL_BYTES)
				return true;
	}
	return !inside;
}

/* Most libraries have the bytes somewhere and no syscall: they need not be decoded. */
static bool is_worth_it(struct sweep *sweep, const ZydisDecoder *decoder, const struct functions *functions)
{
	if (for_each_gap(sweep, functions, decoder, visit_nothing) > GAP_BYTES_MAX)
		return false;
	for (int i = 0; i < sweep->image->text_count; i++)
		for (uint64_t at = 0; (at = sweep_next_bytes(sweep, i, at)); at++)
			if (may_be_site(sweep, decoder, functions, at))
				return true;
	return false;
}

int sweep_run(struct sweep *sweep, const struct image *image, const struct image_facts *facts)
{
	size_t words = image->size / 64 + 1;
	ZydisDecoder decoder;

	*sweep = (struct sweep){ .image = image };
	decoder_init(&decoder);
	find_hulls(sweep, &facts->functions);
	for (size_t i = 0; i < facts->functions.count; i++)
		sweep->functions += facts->functions.rows[i].end > facts->functions.rows[i].start;
	if (!is_worth_it(sweep, &decoder, &facts->functions))
		return 0;
	uint64_t **maps[] = { &sweep->starts, &sweep->targets, &sweep->certain, &sweep->entries,
			      &sweep->sites, &sweep->inferred };

	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		*maps[i] = calloc(words, sizeof(uint64_t));
		if (!*maps[i])
			return -ENOMEM;
	}
	for (size_t i = 0; i < facts->pointers.count; i++)
		bit_set(sweep->targets, facts->pointers.rows[i].start);
	for (size_t i = 0; i < facts->functions.count; i++) {
		const struct function *function = &facts->functions.rows[i];

		bit_set(sweep->targets, function->start);
		bit_set(sweep->certain, function->start);
		bit_set(sweep->entries, function->start);
	}
	for (size_t i = 0; i < facts->functions.count; i++)
		sweep_function(sweep, &decoder, facts->functions.rows[i].start, facts->functions.rows[i].end);
	/* Again while it brings something: a round knows where the pieces of the one before lead to. */
	for (int round = 0; round < GAP_ROUNDS_MAX; round++) {
		uint64_t before = sweep->decoded_bytes;

		for_each_gap(sweep, &facts->functions, &decoder, sweep_gap);
		if (sweep->decoded_bytes == before)
			break;
	}
	sweep_tables(sweep);
	return sweep->err;
}

bool sweep_covers(const struct sweep *sweep, uint64_t at)
{
	ZydisDecoder decoder;
	struct step step;

	decoder_init(&decoder);
	for (uint64_t back = 0; back < ZYDIS_MAX_INSTRUCTION_LENGTH && back <= at; back++)
		if (bit_test(sweep->starts, at - back) &&
		    decode(&decoder, sweep->image, at - back, sweep->image->size, &step) && step.next > at)
			return true;
	return false;
}

void sweep_destroy(struct sweep *sweep)
{
	free(sweep->starts);
	free(sweep->targets);
	free(sweep->certain);
	free(sweep->entries);
	free(sweep->sites);
	free(sweep->inferred);
	free(sweep->tables.rows);
	*sweep = (struct sweep){ 0 };
}
