/* Kinds of arguments that are not simply numbers, strings or structs. */
#include <stdlib.h>
#include <string.h>
#include "decode.h"
#include "sets.h"

/* What a pointer to a number of a set, or to an address or signal, points to. */
struct value *decode_named(struct decode *d, int arg)
{
	const struct arg_row *row = &d->row->args[arg];
	const struct piece *piece = decode_piece(d, arg);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0), *value;
	uint64_t number;

	if (!piece || piece->size < (row->size == 8 ? 8u : 4u))
		return decode_address(d, arg);
	number = row->size == 8 ? get_u64(piece_data(piece)) : get_u32(piece_data(piece));
	if (row->kind == ARG_HEX_PTR)
		value = value_new(d->arena, VALUE_HEX, number);
	else if (row->kind == ARG_ULONG_PTR)
		value = value_new(d->arena, VALUE_UDECIMAL, number);
	else if (row->kind == ARG_DATE_PTR)
		value = decode_date(d, number);
	else if (row->kind == ARG_SIGNAL_PTR)
		value = decode_signal_number(d, (int)number);
	else
		value = row->kind == ARG_ENUM_PTR ? decode_one_of(d, number, row->set) : decode_several_of(d, number, row->set);
	value_add(list, NULL, value);
	return list;
}

struct value *decode_network_number(struct decode *d, int arg)
{
	uint32_t number = (uint32_t)d->rec->args[arg], host = (number & 0xff) << 8 | (number >> 8 & 0xff);
	struct value *value = value_set(d->arena, VALUE_ENUM, host, d->row->args[arg].set);
	struct buf text = { 0 };

	render_text(&text, value, d->options);
	value->text = arena_printf(d->arena, "htons(%s)", text.data);
	free(text.data);
	return value;
}

struct value *decode_errno(struct decode *d, uint32_t number)
{
	struct value *value = value_new(d->arena, VALUE_INT, number);

	value->text = errno_name((int)number);
	return value;
}

/* "8*RIP", or with the bytes beyond it. */
struct value *decode_user_register(struct decode *d, uint64_t offset)
{
	static const char *const names[] = { "R15", "R14", "R13", "R12", "RBP", "RBX", "R11", "R10", "R9", "R8", "RAX", "RCX", "RDX", "RSI",
		"RDI", "ORIG_RAX", "RIP", "CS", "EFLAGS", "RSP", "SS", "FS_BASE", "GS_BASE", "DS", "ES", "FS", "GS" };
	struct value *value = value_new(d->arena, VALUE_HEX, offset);

	if (offset / 8 < sizeof(names) / sizeof(*names))
		value->text = offset % 8 ? arena_printf(d->arena, "8*%s+%u", names[offset / 8], (unsigned)(offset % 8)) :
			arena_printf(d->arena, "8*%s", names[offset / 8]);
	return value;
}

/* "{sigmask=[USR1], sigsetsize=8}" */
struct value *decode_sigset_pair(struct decode *d, int arg)
{
	const struct piece *pair = decode_piece(d, arg), *mask = piece_find(d->rec, arg, PIECE_ELEMENT, 0, -1);
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *set = NULL;
	uint64_t address;

	if (!pair || pair->size < 16)
		return decode_address(d, arg);
	address = get_u64(piece_data(pair));
	if (mask && !mask->status)
		set = decode_sigset(d, piece_data(mask), mask->size);
	value_add(value, "sigmask", set ? set : value_new(d->arena, address ? VALUE_ADDR : VALUE_NULL, address));
	value_add(value, "sigsetsize", value_new(d->arena, VALUE_UINT, get_u64((const uint8_t *)piece_data(pair) + 8)));
	return value;
}

/* "[0x0000000000000001]": words of bits. */
struct value *decode_nodemask(struct decode *d, int arg)
{
	const struct piece *piece = decode_piece(d, arg);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0), *word;
	uint64_t bits = decode_length(d, arg);

	if (!d->rec->args[arg] || (!piece && (bits || d->failed != (d->row->args[arg].direction == DIR_OUT))) || (piece && piece->full * 8 < bits))
		return bits || !d->rec->args[arg] ? decode_address(d, arg) : list;
	for (uint32_t i = 0; piece && i + 8 <= piece->size; i += 8) {
		word = value_add(list, NULL, value_new(d->arena, VALUE_HEX, get_u64((const uint8_t *)piece_data(piece) + i)));
		word->text = arena_printf(d->arena, "0x%016llx", (unsigned long long)word->number);
	}
	return list;
}

/* "QCMD(Q_GETQUOTA, USRQUOTA)" */
struct value *decode_quota_command(struct decode *d, int arg)
{
	uint32_t word = (uint32_t)d->rec->args[arg];
	struct value *value = value_new(d->arena, VALUE_HEX, word);
	struct buf text = { 0 };

	buf_puts(&text, "QCMD(");
	render_text(&text, value_set(d->arena, VALUE_ENUM, word >> 8, d->row->args[arg].set), d->options);
	buf_puts(&text, ", ");
	render_text(&text, value_set(d->arena, VALUE_ENUM, word & 255, &set_quota_types), d->options);
	buf_putc(&text, ')');
	value->text = arena_printf(d->arena, "%s", text.data);
	free(text.data);
	return value;
}

/* "{mtype=1, mtext="..."}" */
struct value *decode_message_buffer(struct decode *d, int arg)
{
	const struct piece *type = decode_piece(d, arg), *bytes = piece_find(d->rec, arg, PIECE_ELEMENT, 0, type ? type->phase : -1);
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0);
	uint64_t length = decode_length(d, arg);

	if (!type || type->size < 8 || !bytes || bytes->status)
		return decode_address(d, arg);
	value_add(value, "mtype", value_new(d->arena, VALUE_INT, get_u64(piece_data(type))));
	value_add(value, "mtext", decode_bytes(d, piece_data(bytes), bytes->size, length, d->options->string_limit));
	return value;
}

/* "{handle_bytes=128 => 8, handle_type=1, f_handle="\x01..."}"; a call that returns one is told how much room there is. */
struct value *decode_file_handle(struct decode *d, int arg)
{
	bool returns = d->row->args[arg].direction == DIR_INOUT;
	const uint8_t *before = decode_mem(d, arg, 8, PHASE_ENTRY), *after = returns && d->exiting ? decode_mem(d, arg, 8, PHASE_EXIT) : NULL;
	const struct piece *bytes = piece_find(d->rec, arg, PIECE_ELEMENT, 0, after ? PHASE_EXIT : PHASE_ENTRY);
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *size, *data;

	if (!before)
		return decode_address(d, arg);
	size = value_add(value, "handle_bytes", value_new(d->arena, VALUE_UINT, get_u32(before)));
	if (after && get_u32(after) != get_u32(before))
		size->text = arena_printf(d->arena, "%u => %u", get_u32(before), get_u32(after));
	if (returns && (!after || d->failed))
		return value;
	value_add(value, "handle_type", value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32((after ? after : before) + 4)));
	data = bytes && !bytes->status ? decode_bytes(d, piece_data(bytes), bytes->size, bytes->full, bytes->size) : decode_address(d, arg);
	data->hex = true;
	value_add(value, "f_handle", data);
	return value;
}
