/* One record from the input, made in one of three ways, then shown in every format:
 *   raw      the bytes are the record, if record_valid() says so
 *   pieces   a valid record: a header, then pieces whose data are the bytes
 *   capture  the capture interpreter itself makes it, of a memory that holds the bytes and ends where they end
 * With VTRACE_FUZZ_ALL_NUMBERS in the environment it is shown with every syscall number: too slow while searching. */
#include <stdlib.h>
#include <string.h>
#include "capture.h"
#include "driver.h"
#include "lines.h"
#include "render.h"

struct input { const uint8_t *at, *end; };

static uint64_t take(struct input *in, void *to, uint64_t bytes)
{
	uint64_t left = (uint64_t)(in->end - in->at);

	if (bytes > left)
		bytes = left;
	memcpy(to, in->at, bytes);
	in->at += bytes;
	return bytes;
}

static uint8_t take_byte(struct input *in)
{
	uint8_t byte = 0;

	take(in, &byte, 1);
	return byte;
}

/* What a record's head says, in few bytes: most arguments are small, or the result's. */
static void make_head(struct record *record, struct input *in)
{
	uint8_t wide = take_byte(in);
	uint16_t nr = 0;

	memset(record, 0, sizeof(*record));
	take(in, &nr, sizeof(nr));
	record->size = record->entry_size = sizeof(*record);
	record->kind = wide & 64 ? RECORD_VDSO : RECORD_SYSCALL;
	record->abi = nr >> 14 & 3;
	record->caught = nr >> 11 & 7;
	record->nr = nr & 1024 ? (int32_t)((uint32_t)nr << 16 | 0x40000000u) : nr & 511;
	take(in, &record->via, 2);
	take(in, &record->site, 3);
	for (int i = 0; i < 6; i++)
		take(in, &record->args[i], wide >> i & 1 ? 8 : 1);
	take(in, &record->start_tsc, 2);
	record->end_tsc = record->start_tsc + 1000;
	take(in, &record->ret, wide & 128 ? 8 : 1);
}

static void make_pieces(struct record *record, struct input *in)
{
	while (in->at < in->end && record->size + sizeof(struct piece) + 8 < RECORD_MAX) {
		struct piece *piece = (struct piece *)((char *)record + record->size);
		uint8_t what = take_byte(in), how = take_byte(in);
		uint64_t room = RECORD_MAX - record->size - sizeof(*piece), wanted = take_byte(in);

		memset(piece, 0, sizeof(*piece));
		piece->arg = what & 7;
		piece->kind = what >> 3 & 7;
		piece->phase = how & 1;
		piece->status = (how & 6) == 6;
		piece->index = how >> 3 & 3;
		wanted *= how & 32 ? 64 : 1;
		piece->size = (uint32_t)take(in, piece + 1, wanted < room ? wanted : room);
		piece->full = how & 64 ? UINT64_MAX : how & 128 ? piece->size + 1 : piece->size;
		piece->addr = 0x1000;
		memset((char *)(piece + 1) + piece->size, 0, WIRE_ALIGN8(piece->size) - piece->size);
		record->size += (uint32_t)(sizeof(*piece) + WIRE_ALIGN8(piece->size));
		if (!piece->phase)
			record->entry_size = record->size;
	}
}

/* Memory at 0..: the input once, then nothing. */
static uint64_t copy_input(void *context, void *to, uint64_t from, uint64_t bytes)
{
	const struct input *in = context;
	uint64_t size = (uint64_t)(in->end - in->at);

	if (from >= size)
		return 0;
	bytes = bytes < size - from ? bytes : size - from;
	memcpy(to, in->at + from, bytes);
	return bytes;
}

static long fd_path(void *context, int fd, char *to, uint64_t bytes)
{
	return fd & 1 ? -1 : (long)copy_input(context, to, (uint64_t)(fd & 255), bytes);
}

static void make_captured(struct record *record, struct input *in, uint8_t way)
{
	static const uint32_t limits[] = { 0, 32, 4096, UINT32_MAX };
	struct capture_source from = { .copy = copy_input, .fd_path = way & 4 ? fd_path : NULL, .context = in,
				       .string_limit = limits[way >> 3 & 3] };

	capture_run(record, &from, PHASE_ENTRY);
	record->entry_size = record->size;
	capture_run(record, &from, PHASE_EXIT);
	if (!record_valid(record, record->size))
		fuzz_failed("the capture interpreter made a record that is not valid", "", 0);
}

static bool make_record(struct record *record, struct input *in)
{
	uint8_t way = take_byte(in);

	if (!(way & 3)) {
		uint64_t bytes = take(in, record, RECORD_MAX) & ~7ull;

		if (bytes >= sizeof(*record))
			record->size = (uint32_t)bytes;
		return record_valid(record, bytes);
	}
	make_head(record, in);
	if (way & 1)
		make_pieces(record, in);
	else
		make_captured(record, in, way);
	return record_valid(record, record->size);
}

/* In a block of exactly its size, so that a read behind its end is noticed. */
static void show_exactly(const struct record *record, const struct show *show, const char *name)
{
	struct record *exact = malloc(record->size);

	memcpy(exact, record, record->size);
	render_everywhere(exact, show, name);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static _Alignas(8) char buffer[RECORD_MAX];
	struct record *record = (struct record *)buffer;
	struct input in = { data, data + bytes };
	struct show show = { 0 };
	char name[24] = "";

	take(&in, &show, sizeof(show));
	take(&in, name, show.where >> 3 & 15);
	if (!make_record(record, &in))
		return 0;
	if (getenv("VTRACE_FUZZ_ALL_NUMBERS") && record->abi == ABI_X86_64)
		for (record->nr = 0; record->nr < 512; record->nr++)
			show_exactly(record, &show, name);
	else
		show_exactly(record, &show, name);
	return 0;
}
