/* Entries are gathered to a block, which goes out when it is large or when the round ends. The ENTER of a call is kept back to
 * see whether its EXIT follows at once: then both are one entry. */
#include <string.h>
#include "memory.h"
#include "processes.h"
#include "vtr_write.h"

#define BLOCK_BYTES (64u << 10)

struct vtr_writer {
	FILE *out;
	const struct tsc_clock *clock;
	uint64_t anchor_tsc;       /* of the clock that was told last */
	double slope;
	char *block;               /* struct vtr_block, then the entries */
	size_t used, capacity;     /* with the head */
	struct call *pending;      /* its ENTER is kept back; a reference */
	bool *named;               /* by a record's `via` */
};

static void put_block(struct vtr_writer *writer)
{
	struct vtr_block *head = (struct vtr_block *)writer->block;

	if (writer->used == sizeof(*head))
		return;
	head->magic = VTR_BLOCK_MAGIC;
	head->bytes = (uint32_t)(writer->used - sizeof(*head));
	head->check = vtr_check(head + 1, head->bytes);
	fwrite(writer->block, 1, writer->used, writer->out);
	writer->used = sizeof(*head);
}

/* Room for an entry with `bytes` behind its head, to be filled. The padding is zero. */
static void *add_entry(struct vtr_writer *writer, struct vtr_entry entry, size_t bytes)
{
	size_t all = sizeof(entry) + WIRE_ALIGN8(bytes);

	if (writer->used + all > BLOCK_BYTES)
		put_block(writer);
	if (writer->used + all > writer->capacity) {
		writer->capacity = writer->used + all;
		writer->block = reallocate(writer->block, writer->capacity);
	}
	char *at = writer->block + writer->used;

	entry.bytes = (uint32_t)all;
	memcpy(at, &entry, sizeof(entry));
	memset(at + all - 8, 0, bytes ? 8 : 0);
	writer->used += all;
	return at + sizeof(entry);
}

static bool clock_is_told(const struct vtr_writer *writer)
{
	return writer->clock->anchor.tsc == writer->anchor_tsc && writer->clock->slope == writer->slope;
}

static void put_clock(struct vtr_writer *writer)
{
	const struct tsc_clock *clock = writer->clock;
	struct vtr_clock told = { clock->anchor.tsc, clock->anchor.ns, clock->slope };

	if (clock_is_told(writer))
		return;
	writer->anchor_tsc = told.anchor_tsc;
	writer->slope = told.slope;
	memcpy(add_entry(writer, (struct vtr_entry){ .type = VTR_CLOCK }, sizeof(told)), &told, sizeof(told));
}

static void put_name(struct vtr_writer *writer, const struct call *call)
{
	uint64_t number = call->record->via;

	if (!call->via || writer->named[number])
		return;
	size_t bytes = strlen(call->via) + 1;
	char *at = add_entry(writer, (struct vtr_entry){ .type = VTR_NAME }, sizeof(number) + bytes);

	writer->named[number] = true;
	memcpy(at, &number, sizeof(number));
	memcpy(at + sizeof(number), call->via, bytes);
}

/* ---- calls ---- */

static uint16_t flags_of(const struct call *call)
{
	return call->shown ? 0 : VTR_HIDDEN;
}

static bool is_written(const struct call *call)
{
	return call->shown || processes_need(call->record);
}

static void put_call(struct vtr_writer *writer, const struct call *call, bool shown)
{
	struct vtr_entry entry = { .type = VTR_CALL, .state = (uint8_t)call->state, .flags = shown ? 0 : VTR_HIDDEN };

	put_name(writer, call);
	memcpy(add_entry(writer, entry, call->record->size), call->record, call->record->size);
}

static void put_enter(struct vtr_writer *writer, struct call *call)
{
	struct vtr_enter enter = { .id = call->id, .pid = call->pid, .tid = call->tid };
	struct vtr_entry entry = { .type = VTR_ENTER, .flags = flags_of(call) };

	put_name(writer, call);
	char *at = add_entry(writer, entry, sizeof(enter) + call->record->size);

	memcpy(at, &enter, sizeof(enter));
	memcpy(at + sizeof(enter), call->record, call->record->size);
	call->renewed = false;
}

static void put_exit(struct vtr_writer *writer, const struct call *call, uint64_t tsc)
{
	struct vtr_exit leave = { .id = call->id, .tsc = tsc, .ret = call->record->ret, .exit_tid = call->exit_tid };
	struct vtr_entry entry = { .type = VTR_EXIT, .state = (uint8_t)call->state, .flags = flags_of(call) };
	size_t bytes = call->renewed ? call->record->size : 0;

	put_name(writer, call);
	char *at = add_entry(writer, entry, sizeof(leave) + bytes);

	memcpy(at, &leave, sizeof(leave));
	memcpy(at + sizeof(leave), call->record, bytes);
}

static void put_pending(struct vtr_writer *writer)
{
	struct call *call = writer->pending;

	if (!call)
		return;
	writer->pending = NULL;
	put_enter(writer, call);
	call_release(call);
}

void vtr_write_enter(struct vtr_writer *writer, struct call *call)
{
	put_pending(writer);
	put_clock(writer);
	if (!is_written(call))
		return;
	call->references++;
	writer->pending = call;
}

/* All that an entry of its own would say is in the record. */
static bool is_whole(const struct call *call, uint64_t tsc)
{
	const struct record *record = call->record;

	return record->pid == call->pid && record->tid == call->tid && call->exit_tid == call->tid && record->end_tsc == tsc;
}

void vtr_write_exit(struct vtr_writer *writer, struct call *call, uint64_t tsc, bool shown)
{
	bool follows = writer->pending == call && is_whole(call, tsc) && clock_is_told(writer); /* begin and end by one clock */

	if (!follows)
		put_pending(writer);
	put_clock(writer);
	if (!is_written(call))
		return;
	if (!follows) {
		put_exit(writer, call, tsc);
		return;
	}
	writer->pending = NULL;
	if (shown || processes_need(call->record))
		put_call(writer, call, shown);
	call_release(call);
}

void vtr_write_message(struct vtr_writer *writer, const struct control *head, const char *payload)
{
	put_pending(writer);
	put_clock(writer);
	char *at = add_entry(writer, (struct vtr_entry){ .type = VTR_MESSAGE }, sizeof(*head) + head->payload);

	memcpy(at, head, sizeof(*head));
	memcpy(at + sizeof(*head), payload, head->payload);
}

void vtr_writer_settle(struct vtr_writer *writer)
{
	put_pending(writer);
}

void vtr_writer_flush(struct vtr_writer *writer)
{
	put_pending(writer);
	put_block(writer);
}

/* ---- begin and end ---- */

static size_t text_bytes(const struct format_options *options)
{
	size_t bytes = strlen(options->version) + strlen(options->cwd) + strlen(options->kernel) + 3;

	for (int i = 0; i < options->argc; i++)
		bytes += strlen(options->argv[i]) + 1;
	for (uint32_t i = 0; i < options->filter_count; i++)
		bytes += strlen(options->filters[i]) + 1;
	return bytes;
}

static void put_header(struct vtr_writer *writer, struct vtr_header head, const struct format_options *options)
{
	char *at = add_entry(writer, (struct vtr_entry){ .type = VTR_HEADER }, sizeof(head) + text_bytes(options));

	head.argc = (uint32_t)options->argc;
	head.filter_count = options->filter_count;
	memcpy(at, &head, sizeof(head));
	at = stpcpy(at + sizeof(head), options->version) + 1;
	at = stpcpy(at, options->cwd) + 1;
	at = stpcpy(at, options->kernel) + 1;
	for (int i = 0; i < options->argc; i++)
		at = stpcpy(at, options->argv[i]) + 1;
	for (uint32_t i = 0; i < options->filter_count; i++)
		at = stpcpy(at, options->filters[i]) + 1;
}

struct vtr_writer *vtr_writer_open(FILE *out, const struct tsc_clock *clock, const struct vtr_header *head,
				   const struct format_options *options)
{
	struct vtr_file file = { .magic = VTR_MAGIC, .version = VTR_VERSION };
	struct vtr_writer *writer = allocate(sizeof(*writer));

	*writer = (struct vtr_writer){ .out = out, .clock = clock, .used = sizeof(struct vtr_block), .capacity = BLOCK_BYTES,
				       .block = allocate_unset(BLOCK_BYTES), .named = allocate(UINT16_MAX + 1u) };
	fwrite(&file, 1, sizeof(file), out);
	put_header(writer, *head, options);
	return writer;
}

void vtr_writer_close(struct vtr_writer *writer, const struct vtr_end *end)
{
	put_pending(writer);
	memcpy(add_entry(writer, (struct vtr_entry){ .type = VTR_END }, sizeof(*end)), end, sizeof(*end));
	put_block(writer);
	free(writer->block);
	free(writer->named);
	free(writer);
}
