/* Dispatch by kind of argument. */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include "decode.h"
#include "sets.h"
#include "structs.h"

static const struct syscall_row *command_row(const struct command_group *group, uint64_t command)
{
	uint32_t low = 0, high = group->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (group->rows[middle].command < command)
			low = middle + 1;
		else
			high = middle;
	}
	return low < group->count && group->rows[low].command == command ? &group->rows[low].row : NULL;
}

const struct syscall_row *decode_row(const struct record *rec)
{
	uint32_t nr = (uint32_t)rec->nr;
	const struct syscall_row *row, *inner;

	if (rec->abi == ABI_I386 || nr >= syscalls_x86_64_count || !syscalls_x86_64[nr].name)
		return NULL;
	row = &syscalls_x86_64[nr];
	while (row->commands) {
		inner = command_row(row->commands, rec->args[row->commands->lead % 6] & row->commands->mask);
		if (!inner)
			return row;
		row = inner;
	}
	return row;
}

const uint8_t *decode_mem(struct decode *d, int arg, size_t size, int phase)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, phase);

	return piece && piece->status == PIECE_OK && piece->size >= size ? piece_data(piece) : NULL;
}

struct value *decode_address(struct decode *d, int arg)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	bool fault = piece && piece->status == PIECE_FAULT;

	return value_new(d->arena, d->rec->args[arg] ? fault ? VALUE_FAULT : VALUE_ADDR : VALUE_NULL, d->rec->args[arg]);
}

struct value *decode_bytes(struct decode *d, const uint8_t *bytes, size_t size, uint64_t full, uint64_t limit)
{
	struct value *value = value_new(d->arena, VALUE_BYTES, 0);

	value->bytes = bytes;
	value->size = size < limit ? size : limit;
	value->cut = full > value->size;
	value->full = full == UINT64_MAX ? 0 : full;
	return value;
}

static struct value *string_piece(struct decode *d, const struct piece *piece, uint64_t limit)
{
	size_t size = strnlen(piece_data(piece), piece->size);
	uint64_t full = size < piece->size ? size : piece->full > size ? piece->full : size;

	return decode_bytes(d, piece_data(piece), size, full, limit);
}

static int phase_of(struct decode *d, int arg)
{
	return d->row->args[arg].direction == DIR_OUT ? PHASE_EXIT : d->row->args[arg].direction == DIR_IN ? PHASE_ENTRY : -1;
}

const struct piece *decode_piece(struct decode *d, int arg)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, phase_of(d, arg));

	if ((d->rec->nr == SYS_nanosleep || d->rec->nr == SYS_clock_nanosleep) && d->row->args[arg].direction == DIR_OUT) {
		/* the kernel writes what remains only when it was interrupted */
		if (d->rec->ret != -516 && d->rec->ret != -4)
			return NULL;
	} else if (d->row->args[arg].direction == DIR_OUT && (d->failed || !d->exiting)) {
		return NULL;
	}
	return piece && piece->status == PIECE_OK ? piece : NULL;
}

static struct value *decode_string(struct decode *d, int arg)
{
	const struct piece *piece = decode_piece(d, arg);
	bool path = d->row->args[arg].kind == ARG_PATH;

	if (!piece)
		return decode_address(d, arg);
	return string_piece(d, piece, path ? 4095 : d->row->args[arg].size ? d->row->args[arg].size : d->options->string_limit);
}

/* What was written is no longer than there was room for. */
static uint64_t room_or_less(struct decode *d, int arg, uint32_t length)
{
	const struct piece *room = piece_find(d->rec, arg, PIECE_LEN, 0, -1);
	uint32_t most = room && !room->status && room->size >= 4 ? get_u32(piece_data(room)) : length;

	return length < most || d->row->args[arg].kind != ARG_SOCKLEN_PTR ? length : most;
}

uint64_t decode_length(struct decode *d, int arg)
{
	const struct arg_row *row = &d->row->args[arg];
	const struct piece *piece;

	switch (row->len_from) {
	case LEN_ARG:
		if (d->row->args[row->len_arg % 6].kind == ARG_UINT || d->row->args[row->len_arg % 6].kind == ARG_INT)
			return (uint32_t)d->rec->args[row->len_arg % 6];
		return d->rec->args[row->len_arg % 6];
	case LEN_RET: return d->rec->ret < 0 ? 0 : (uint64_t)d->rec->ret;
	case LEN_FIXED: return row->kind == ARG_ARRAY ? row->len_arg : row->size;
	case LEN_ARG_PTR:
		piece = piece_find(d->rec, row->len_arg, PIECE_MEM, 0, PHASE_EXIT);
		if (!piece || piece->status || piece->size < 4)
			piece = piece_find(d->rec, row->len_arg, PIECE_LEN, 0, -1);
		return room_or_less(d, row->len_arg, piece && !piece->status && piece->size >= 4 ? get_u32(piece_data(piece)) : 0);
	}
	return UINT64_MAX;
}

/* Buffers that strace does not print when they are too long; and those of which only the length was asked for. */
static const struct { int32_t nr; int arg; uint32_t max; } buffer_limits[] = {
	{ SYS_sethostname, 0, 64 }, { SYS_setdomainname, 0, 64 }, { SYS_setxattr, 2, 65536 }, { SYS_lsetxattr, 2, 65536 },
	{ SYS_fsetxattr, 2, 65536 }, { SYS_getxattr, 2, 65536 }, { SYS_lgetxattr, 2, 65536 }, { SYS_fgetxattr, 2, 65536 },
	{ SYS_listxattr, 1, 65536 }, { SYS_llistxattr, 1, 65536 }, { SYS_flistxattr, 1, 65536 }, { SYS_fsconfig, 3, 1048576 },
};

static bool is_limited(const struct decode *d, int arg, uint32_t *max)
{
	for (size_t i = 0; i < sizeof(buffer_limits) / sizeof(*buffer_limits); i++)
		if (buffer_limits[i].nr == d->rec->nr && buffer_limits[i].arg == arg) {
			*max = buffer_limits[i].max;
			return true;
		}
	return false;
}

static bool not_looked_at(const struct decode *d, int arg, uint64_t length)
{
	bool out = d->row->args[arg].direction == DIR_OUT;
	uint32_t max;

	return is_limited(d, arg, &max) && (length > max || (out && arg == 1 && !d->rec->args[2])); /* a list's size 0: only its length was asked for */
}

/* Values of extended attributes often end with a NUL, which does not print. */
static void drop_last_nul(const struct decode *d, int arg, struct value *value)
{
	uint32_t max;

	if (arg != 2 || !value->size || value->bytes[value->size - 1] || !is_limited(d, arg, &max) || max != 65536)
		return;
	value->size--;
	value->cut = false;
}

static struct value *decode_buffer(struct decode *d, int arg)
{
	const struct piece *piece = decode_piece(d, arg);
	uint64_t length = decode_length(d, arg);
	struct value *value;

	if (!d->rec->args[arg] || (!piece && (length || d->failed || !d->exiting)) || not_looked_at(d, arg, length))
		return decode_address(d, arg);
	if (length == UINT64_MAX)
		length = piece->size;
	value = decode_bytes(d, piece ? piece_data(piece) : (const uint8_t *)"", piece && piece->size < length ? piece->size : length,
		length, d->options->string_limit);
	value->hex = d->rec->nr == SYS_getrandom;
	drop_last_nul(d, arg, value);
	return value;
}

static struct value *decode_fd(struct decode *d, int arg)
{
	const struct piece *piece = d->options->fd_paths ? piece_find(d->rec, arg, PIECE_FDPATH, 0, -1) : NULL;
	struct value *value = value_new(d->arena, VALUE_FD, d->rec->args[arg]);

	if (d->row->args[arg].kind != ARG_DIRFD && (int32_t)value->number == -100)
		value->text = "-100";
	if (d->rec->nr == SYS_fanotify_mark && d->row->args[arg].kind == ARG_DIRFD && (int32_t)value->number == -1)
		value->text = "FAN_NOFD";
	if (piece && piece->status == PIECE_OK && piece->size)
		value->path = arena_printf(d->arena, "%.*s", (int)piece->size, (const char *)piece_data(piece));
	return value;
}

/* "TEXT|NAME|0x10" */
static void add_flags(struct decode *d, struct value *value, uint64_t number, const struct constant_set *set)
{
	struct constant_set bare = *set;
	struct buf *text = arena_text(d->arena);
	const char *lead = value->text;

	bare.unknown = NULL;
	buf_puts(text, lead);
	buf_putc(text, '|');
	text_flags(text, number, &bare);
	value->text = arena_keep(d->arena, text);
}

static struct value *join_flags(struct decode *d, const struct constant_set *base, uint64_t mask,
	const struct constant_set *set, uint64_t number, bool always)
{
	struct value *value = value_set(d->arena, VALUE_FLAGS, number, set);
	const char *name = constant_name(base, number & mask);

	if (!name && always && number & mask) {
		value->text = arena_printf(d->arena, "%#llx /* %s */", (unsigned long long)(number & mask), base->unknown);
		if (number & ~mask)
			add_flags(d, value, number & ~mask, set);
		return value;
	}
	if (!name)
		return value;
	value->first_name = name;
	value->first_mask = mask;
	if (!(number & ~mask)) {
		value->text = name;
		return value;
	}
	value->text = name;
	add_flags(d, value, number & ~mask, set);
	return value;
}

struct value *decode_open_flags(struct decode *d, uint64_t flags)
{
	return join_flags(d, &set_access_modes, 3, &set_open_flags, flags, false);
}

/* Sets of flags some bits of which are a number with names of its own. `always`: a number without a name prints, too. */
static const struct { const struct constant_set *set, *numbers; uint64_t mask; bool always; } flags_with_number[] = {
	{ &set_mmap_flags, &set_mmap_types, 0xf, true }, { &set_fanotify_init_flags, &set_fanotify_class, 0xc, true },
	{ &set_mempolicy_modes, &set_mempolicy_numbers, ~0xe000ull, false },
	{ &set_statx_flags, &set_at_statx_sync, 0x6000, false }, { &set_personality, &set_personality_types, 0xff, true },
};
/* Sets of flags whose upper bits are the size of a huge page. */
static const struct { const struct constant_set *set; const char *shift; } flags_with_size[] = {
	{ &set_mmap_flags, "MAP_HUGE_SHIFT" }, { &set_memfd_flags, "MFD_HUGE_SHIFT" },
};
#define HUGE_SHIFT 26
#define HUGE_MASK (63ull << HUGE_SHIFT)

static void put_size(struct decode *d, struct value *value, uint64_t number, const char *shift)
{
	const char *text = value->text;
	struct buf plain = { 0 };

	if (!text)
		render_text(&plain, value, d->options);
	value->text = arena_printf(d->arena, "%s%s%u<<%s", number & ~HUGE_MASK ? text ? text : plain.data : "", number & ~HUGE_MASK ? "|" : "",
		(unsigned)(number >> HUGE_SHIFT & 63), shift);
	value->number = number;
	free(plain.data);
}

#define SWAP_PRIORITY 0x7fff

/* "SWAP_FLAG_PREFER|1" */
static void put_priority(struct decode *d, struct value *value, uint64_t number)
{
	unsigned priority = (unsigned)(number & SWAP_PRIORITY);
	struct buf text = { 0 };

	if (number & ~(uint64_t)SWAP_PRIORITY) {
		text_flags(&text, number & ~(uint64_t)SWAP_PRIORITY, value->set);
		buf_putc(&text, '|');
	}
	buf_printf(&text, "%u", priority);
	value->text = arena_printf(d->arena, "%s", text.data);
	free(text.data);
}

static struct value *flags_value(struct decode *d, uint64_t number, const struct constant_set *set)
{
	const char *shift = NULL;
	struct value *value = NULL;
	uint64_t rest;

	for (size_t i = 0; i < sizeof(flags_with_size) / sizeof(*flags_with_size); i++)
		if (flags_with_size[i].set == set && number & HUGE_MASK)
			shift = flags_with_size[i].shift;
	rest = shift ? number & ~HUGE_MASK : number;
	if (set == &set_personality && (uint32_t)number == UINT32_MAX) /* asks for what it is */
		return value_new(d->arena, VALUE_HEX, number);
	if (set == &set_open_flags)
		value = decode_open_flags(d, rest);
	for (size_t i = 0; !value && i < sizeof(flags_with_number) / sizeof(*flags_with_number); i++)
		if (flags_with_number[i].set == set)
			value = join_flags(d, flags_with_number[i].numbers, flags_with_number[i].mask, set, rest, flags_with_number[i].always);
	value = value ? value : decode_several_of(d, rest, set);
	if (shift)
		put_size(d, value, number, shift);
	if (set == &set_swap_flags)
		put_priority(d, value, number);
	return value;
}

static struct value *decode_flags(struct decode *d, int arg)
{
	uint64_t number = d->rec->args[arg];

	const char *type = d->row->args[arg].type ? d->row->args[arg].type : "";

	if ((strcmp(type, "unsigned long") && strcmp(type, "__u64")) || d->row->args[arg].set == &set_mmap_flags)
		number = (uint32_t)number;
	return flags_value(d, number, d->row->args[arg].set == &set_mmap_types ? &set_mmap_flags : d->row->args[arg].set);
}

struct value *decode_one_of(struct decode *d, uint64_t number, const struct constant_set *set)
{
	const char *name = constant_name(set, number), *comment = name ? name : set->unknown;
	struct value *value;

	if (!name && set->style & SET_DECIMAL) {
		number = (uint64_t)(int32_t)number; /* names of negative numbers are 64 bits wide */
		name = constant_name(set, number);
		comment = name ? name : set->unknown;
	}
	value = value_set(d->arena, VALUE_ENUM, number, set);
	if (name && !(set->style & SET_NUMBERED))
		return value;
	if (set->style & SET_DECIMAL && comment)
		value->text = arena_printf(d->arena, "%lld /* %s */", (long long)number, comment);
	else if (set->style & SET_DECIMAL)
		value->text = arena_printf(d->arena, "%lld", (long long)number);
	else if (set->style & SET_NUMBERED)
		value->text = arena_printf(d->arena, "%#llx /* %s */", (unsigned long long)number, comment ? comment : "?");
	return value;
}

struct value *decode_several_of(struct decode *d, uint64_t number, const struct constant_set *set)
{
	struct value *value = value_set(d->arena, VALUE_FLAGS, number, set);
	struct buf text = { 0 };

	if (!(set->style & SET_NUMBERED) || !number)
		return value;
	text_flags(&text, number, set);
	value->text = arena_printf(d->arena, "%#llx /* %s */", (unsigned long long)number, text.data);
	free(text.data);
	return value;
}

#define IPC_64 0x100u
static const struct constant_set *const ipc_commands[] = { &set_shm_cmds, &set_sem_cmds, &set_msg_cmds };

static struct value *ipc_command(struct decode *d, uint64_t number, const struct constant_set *set)
{
	struct value *value = value_set(d->arena, VALUE_ENUM, number & ~(uint64_t)IPC_64, set);
	struct buf text = { 0 };

	render_text(&text, value, d->options);
	value->text = arena_printf(d->arena, "IPC_64|%s", text.data);
	free(text.data);
	return value;
}

static struct value *decode_enum(struct decode *d, int arg)
{
	const struct constant_set *set = d->row->args[arg].set;
	const char *type = d->row->args[arg].type ? d->row->args[arg].type : "";
	uint64_t number = strcmp(type, "unsigned long") && strcmp(type, "long") ? (uint32_t)d->rec->args[arg] : d->rec->args[arg];

	for (size_t i = 0; number & IPC_64 && i < sizeof(ipc_commands) / sizeof(*ipc_commands); i++)
		if (ipc_commands[i] == set)
			return ipc_command(d, number, set);
	if (set == &set_socket_types) /* flags come in the type's upper bits */
		return join_flags(d, set, 0xf, &set_socket_flags, number, false);
	return decode_one_of(d, number, set);
}

static struct value *decode_mode(struct decode *d, int arg)
{
	uint64_t mode = d->rec->args[arg] & 0xffff;

	return d->row->args[arg].kind == ARG_MODET ? decode_file_mode(d, mode) : value_new(d->arena, VALUE_OCTAL, mode);
}

static struct value *decode_strings(struct decode *d, int arg)
{
	const struct piece *array = decode_piece(d, arg);
	struct value *list;
	uint32_t count;

	if (!array)
		return decode_address(d, arg);
	list = value_new(d->arena, VALUE_ARRAY, 0);
	count = array->size / 8;
	for (uint32_t i = 0; i < count; i++) {
		const struct piece *piece = piece_find(d->rec, arg, PIECE_ELEMENT, i, -1);
		uint64_t address = get_u64((const uint8_t *)piece_data(array) + i * 8u);

		if (!address)
			break;
		if (i >= d->options->string_limit && d->row->args[arg].kind == ARG_ARGV && !d->options->verbose) {
			list->elided = 1;
			break;
		}
		value_add(list, NULL, piece && !piece->status ? string_piece(d, piece, d->options->string_limit) :
			value_new(d->arena, VALUE_FAULT, address));
	}
	if (!list->elided && array->full != UINT64_MAX && array->full > count)
		list->elided = (uint32_t)(array->full - count);
	if (d->row->args[arg].kind == ARG_ENVP && !d->options->verbose) {
		uint64_t vars = array->full != UINT64_MAX && array->full ? array->full : count;
		list->text = arena_printf(d->arena, "%#llx /* %llu var%s */", (unsigned long long)d->rec->args[arg],
			(unsigned long long)vars, vars == 1 ? "" : "s");
	}
	return list;
}

/* So many elements do not fit between an address and the end of memory. */
static bool beyond_memory(uint64_t address, uint64_t count, size_t size)
{
	uint64_t bytes, end;

	return __builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(address, bytes, &end);
}

#define GROUPS_MAX 65536 /* strace does not look at more */

static struct value *decode_array(struct decode *d, int arg)
{
	const struct arg_row *row = &d->row->args[arg];
	const struct piece *piece = row->direction == DIR_INOUT ? piece_find(d->rec, arg, PIECE_MEM, 0, PHASE_ENTRY) :
		decode_piece(d, arg);
	size_t size = row->size ? row->size : struct_size(row->struct_id);
	uint64_t count = decode_length(d, arg);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	if (piece && piece->status != PIECE_OK)
		piece = NULL;
	if (size && (beyond_memory(d->rec->args[arg], count, size) || (d->rec->nr == SYS_setgroups && count > GROUPS_MAX)))
		return decode_address(d, arg);
	if (row->struct_id == STRUCT_DIRENT64 && d->exiting && d->rec->ret == 0) {
		list->text = arena_printf(d->arena, "%#llx /* 0 entries */", (unsigned long long)d->rec->args[arg]);
		return list;
	}
	if (row->struct_id == STRUCT_DIRENT64)
		return decode_struct(d, STRUCT_DIRENT64, piece ? piece_data(piece) : NULL, piece ? piece->size : 0) ?: decode_address(d, arg);
	if (!d->rec->args[arg] || !size || (!piece && (count || (d->failed && row->len_from != LEN_ARG))))
		return decode_address(d, arg);
	for (uint64_t i = 0; piece && i < count; i++) {
		struct value *item = (i + 1) * size <= piece->size ?
			decode_struct(d, row->struct_id, (const uint8_t *)piece_data(piece) + i * size, size) : NULL;

		if (!item || i >= d->options->string_limit) {
			list->elided = (uint32_t)(count - i);
			break;
		}
		value_add(list, NULL, item);
	}
	return list;
}

/* sendfile's offset: "[0] => [3]" when the call moved it. */
static struct value *offset_change(struct decode *d, int arg)
{
	const uint8_t *before = decode_mem(d, arg, 8, PHASE_ENTRY), *after = decode_mem(d, arg, 8, PHASE_EXIT);
	struct value *change = value_new(d->arena, VALUE_CHANGE, 0), *list;

	if (!before || !after || d->failed || !d->exiting || get_u64(before) == get_u64(after))
		return NULL;
	for (int i = 0; i < 2; i++) {
		list = value_add(change, NULL, value_new(d->arena, VALUE_ARRAY, 0));
		value_add(list, NULL, value_new(d->arena, VALUE_UDECIMAL, get_u64(i ? after : before)));
	}
	return change;
}

static struct value *decode_number(struct decode *d, int arg, size_t size, enum value_type type)
{
	const struct piece *piece = decode_piece(d, arg);
	struct value *list;
	uint64_t number;

	if (!piece || piece->size < size)
		return decode_address(d, arg);
	number = size == 8 ? get_u64(piece_data(piece)) : size == 2 ? get_u16(piece_data(piece)) : get_u32(piece_data(piece));
	list = value_new(d->arena, VALUE_ARRAY, 0);
	value_add(list, NULL, value_new(d->arena, type, type == VALUE_INT ? (uint64_t)(int32_t)number : number));
	return list;
}

static struct value *decode_socklen(struct decode *d, int arg)
{
	const struct piece *before = piece_find(d->rec, arg, PIECE_LEN, 0, -1);
	const struct piece *after = piece_find(d->rec, arg, PIECE_MEM, 0, PHASE_EXIT);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0), *change;
	uint32_t in, out;

	if (!before || before->status || before->size < 4 || (arg && d->row->args[arg - 1].kind == ARG_SOCKADDR && !d->rec->args[arg - 1]))
		return decode_address(d, arg);
	in = get_u32(piece_data(before));
	out = after && !after->status && after->size >= 4 && !d->failed ? get_u32(piece_data(after)) : in;
	if (in == out) {
		value_add(list, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)in));
		return list;
	}
	change = value_new(d->arena, VALUE_CHANGE, 0);
	value_add(change, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)in));
	value_add(change, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)out));
	value_add(list, NULL, change);
	return list;
}

static struct value *decode_pair(struct decode *d, int arg)
{
	const struct piece *piece = decode_piece(d, arg);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	if (!piece || piece->size < 8)
		return decode_address(d, arg);
	for (int i = 0; i < 2; i++)
		value_add(list, NULL, value_new(d->arena, VALUE_FD, get_u32((const uint8_t *)piece_data(piece) + i * 4)));
	return list;
}

#define FDSET_BITS 1024 /* as many as are captured */

static struct value *decode_fdset(struct decode *d, int arg, int phase)
{
	const uint8_t *bits = decode_mem(d, arg, 0, phase);
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, phase);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	struct buf text = { 0 };

	if (!bits || !piece || (int32_t)d->rec->args[0] <= 0 || (uint32_t)d->rec->args[0] > FDSET_BITS)
		return decode_address(d, arg);
	buf_putc(&text, '[');
	for (uint32_t fd = 0; fd < d->rec->args[0] && fd / 8 < piece->size; fd++)
		if (bits[fd / 8] & 1 << fd % 8) {
			buf_printf(&text, list->child ? " %u" : "%u", fd);
			value_add(list, NULL, value_new(d->arena, VALUE_FD, fd));
		}
	buf_putc(&text, ']');
	list->text = arena_printf(d->arena, "%s", text.data);
	free(text.data);
	return list;
}

/* What the kernel wrote back follows "=>": the new thread's id. */
static struct value *clone3_args(struct decode *d, const uint8_t *bytes, size_t size)
{
	struct value *before = decode_struct(d, STRUCT_CLONE_ARGS, bytes, size), *change, *after, *list;

	if (!d->exiting || d->rec->ret <= 0 || !(get_u64(bytes) & 0x00100000))
		return before;
	change = value_new(d->arena, VALUE_CHANGE, 0);
	after = value_new(d->arena, VALUE_STRUCT, 0);
	list = value_new(d->arena, VALUE_ARRAY, 0);
	value_add(list, NULL, value_new(d->arena, VALUE_INT, (uint64_t)d->rec->ret));
	value_add(after, "parent_tid", list);
	value_add(change, NULL, before);
	value_add(change, NULL, after);
	return change;
}

/* Of a set that was asked for only the first bytes are the kernel's. */
static struct value *part_of_sigset(struct decode *d, const uint8_t *bytes, uint64_t size)
{
	uint8_t part[8] = { 0 };

	memcpy(part, bytes, size < sizeof(part) ? size : sizeof(part));
	return decode_sigset(d, part, sizeof(part));
}

/* Bytes behind a struct as this program knows it print unless they are 0. */
static void add_rest(struct decode *d, struct value *value, const struct arg_row *row, const struct piece *piece)
{
	const uint8_t *bytes = piece_data(piece);
	struct buf text = { 0 };
	struct value *rest;
	size_t at = row->size;

	while (at < piece->size && !bytes[at])
		at++;
	if (row->struct_id == STRUCT_LANDLOCK_RULESET)
		value->elided++;
	if (row->struct_id == STRUCT_LANDLOCK_RULESET || at >= piece->size)
		return;
	rest = decode_bytes(d, bytes + row->size, piece->size - row->size, piece->size - row->size, piece->size);
	rest->hex = true;
	render_text(&text, rest, d->options);
	rest->text = arena_printf(d->arena, "/* bytes %u..%u */ %s", row->size, piece->size - 1, text.data);
	free(text.data);
	value_add(value, "rest", rest)->bare = true;
}

static struct value *decode_pointed(struct decode *d, int arg)
{
	const struct arg_row *row = &d->row->args[arg];
	const struct piece *piece = decode_piece(d, arg);
	struct value *value = NULL;

	if (d->row->ret == RET_SELECT || (d->row->ret == RET_LEFT && row->kind == ARG_STRUCT) || (d->row->ret == RET_POLL && row->kind == ARG_STRUCT) || row->struct_id == STRUCT_CLONE_ARGS)
		piece = piece_find(d->rec, arg, PIECE_MEM, 0, PHASE_ENTRY);
	if (row->kind == ARG_STRUCT && row->direction == DIR_INOUT && d->exiting && !d->failed && d->row->ret == RET_INT)
		piece = piece_find(d->rec, arg, PIECE_MEM, 0, PHASE_EXIT);
	if (row->kind == ARG_IOVEC && d->failed) /* where the data would have gone */
		piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	if (!piece || piece->status != PIECE_OK)
		return decode_address(d, arg);
	if (row->kind == ARG_SIGSET && row->len_from == LEN_ARG && d->rec->args[row->len_arg % 6] != 8)
		return row->direction == DIR_OUT && piece->size >= 8 && d->rec->args[row->len_arg % 6] ? part_of_sigset(d, piece_data(piece), d->rec->args[row->len_arg % 6]) :
			decode_address(d, arg);
	if (row->kind == ARG_SOCKADDR && row->len_from == LEN_ARG && (int32_t)d->rec->args[row->len_arg % 6] < 0)
		return decode_address(d, arg);
	if (row->struct_id == STRUCT_CLONE_ARGS && piece->size >= 64)
		return clone3_args(d, piece_data(piece), piece->size);
	if (row->kind == ARG_STRUCT && row->len_from == LEN_FIXED && piece->full != row->size)
		return decode_address(d, arg);
	if (row->kind == ARG_STRUCT && row->len_from == LEN_ARG && decode_length(d, arg) < row->size)
		return decode_address(d, arg);
	if (row->kind == ARG_IOVEC && beyond_memory(d->rec->args[arg], decode_length(d, arg), 16))
		return decode_address(d, arg);
	if (row->kind == ARG_STRUCT) {
		d->before = row->direction == DIR_INOUT && piece->phase == PHASE_ENTRY;
		value = decode_struct(d, row->struct_id, piece_data(piece), piece->size);
		d->before = false;
		if (value && row->len_from == LEN_ARG && decode_length(d, arg) > row->size)
			add_rest(d, value, row, piece);
	}
	else if (row->kind == ARG_SIGSET)
		value = decode_sigset(d, piece_data(piece), piece->size);
	else if (row->kind == ARG_SOCKADDR)
		value = decode_sockaddr(d, piece_data(piece), piece->size, decode_length(d, arg));
	else if (row->kind == ARG_IOVEC)
		value = decode_iovec(d, arg, 0, piece_data(piece), piece->size / 16,
			row->direction == DIR_OUT ? d->rec->ret : -1);
	else if (row->kind == ARG_WSTATUS && piece->size >= 4 && d->rec->ret > 0)
		value = decode_wstatus(d, get_u32(piece_data(piece)));
	return value ? value : decode_address(d, arg);
}

/* strace reads all of epoll_pwait's arguments at its end, and none when it failed. */
static bool unread(const struct decode *d, int arg)
{
	return d->failed && arg > 2 && !strncmp(d->row->name, "epoll_pwait", 11) && d->row->args[arg].kind != ARG_INT &&
		d->row->args[arg].kind != ARG_ULONG;
}

struct value *decode_arg(struct decode *d, int arg)
{
	const struct arg_row *row = &d->row->args[arg];
	uint64_t raw = d->rec->args[arg];

	if (unread(d, arg))
		return value_new(d->arena, raw ? VALUE_ADDR : VALUE_NULL, raw);

	switch ((enum arg_kind)row->kind) {
	case ARG_INT: case ARG_PID: return value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)raw);
	case ARG_UINT: return value_new(d->arena, VALUE_UINT, (uint32_t)raw);
	case ARG_LONG: return value_new(d->arena, VALUE_INT, raw);
	case ARG_ULONG: return value_new(d->arena, VALUE_UINT, raw);
	case ARG_OFFSET: return value_new(d->arena, VALUE_DECIMAL, raw);
	case ARG_UID: return (uint32_t)raw == UINT32_MAX ? value_new(d->arena, VALUE_INT, UINT64_MAX) :
			value_new(d->arena, VALUE_UINT, (uint32_t)raw);
	case ARG_FD: case ARG_DIRFD: return decode_fd(d, arg);
	case ARG_PATH: case ARG_STRING: return decode_string(d, arg);
	case ARG_BUFFER: return decode_buffer(d, arg);
	case ARG_FLAGS: return decode_flags(d, arg);
	case ARG_ENUM: return decode_enum(d, arg);
	case ARG_MODE: case ARG_MODET: return decode_mode(d, arg);
	case ARG_SIGNAL:
		if (!signal_name((int)raw) && row->type && !strcmp(row->type, "unsigned long"))
			return value_new(d->arena, VALUE_UINT, raw);
		return decode_signal_number(d, (int)raw);
	case ARG_ADDR: return value_new(d->arena, raw ? VALUE_ADDR : VALUE_NULL, raw);
	case ARG_ARGV: case ARG_ENVP: return decode_strings(d, arg);
	case ARG_ARRAY: return decode_array(d, arg);
	case ARG_STRUCT: case ARG_SIGSET: case ARG_SOCKADDR: case ARG_IOVEC: case ARG_WSTATUS: return decode_pointed(d, arg);
	case ARG_MSGHDR: return decode_msghdr(d, arg);
	case ARG_MMSGHDR: return decode_mmsghdr(d, arg);
	case ARG_FDSET: return decode_fdset(d, arg, PHASE_ENTRY);
	case ARG_FD_PAIR: return decode_pair(d, arg);
	case ARG_INT_PTR: return decode_number(d, arg, 4, VALUE_INT);
	case ARG_UINT_PTR: return decode_number(d, arg, 4, VALUE_UINT);
	case ARG_LONG_PTR:
		return decode_number(d, arg, 8, VALUE_DECIMAL);
	case ARG_SIGSET_PAIR: return decode_sigset_pair(d, arg);
	case ARG_NODEMASK: return decode_nodemask(d, arg);
	case ARG_QUOTA_CMD: return decode_quota_command(d, arg);
	case ARG_FILE_HANDLE: return decode_file_handle(d, arg);
	case ARG_MSGBUF: return decode_message_buffer(d, arg);
	case ARG_ULONG_PTR:
		if (d->rec->nr == SYS_sendfile && offset_change(d, arg))
			return offset_change(d, arg);
		return decode_named(d, arg);
	case ARG_USHORT_PTR: return decode_number(d, arg, 2, VALUE_UINT);
	case ARG_HTONS: return decode_network_number(d, arg);
	case ARG_USER_REG: return decode_user_register(d, raw);
	case ARG_ERRNO: return decode_errno(d, (uint32_t)raw);
	case ARG_ENUM_PTR: case ARG_FLAGS_PTR: case ARG_HEX_PTR: case ARG_SIGNAL_PTR: case ARG_DATE_PTR:
	 return decode_named(d, arg);
	case ARG_SOCKLEN_PTR: return decode_socklen(d, arg);
	case ARG_IOCTL_CMD: case ARG_BY_COMMAND: return decode_command(d, arg);
	case ARG_DEV: {
		struct value *value = value_new(d->arena, VALUE_HEX, raw);
		value->text = arena_printf(d->arena, "makedev(%#llx, %#llx)", (unsigned long long)(raw >> 8 & 0xfff),
			(unsigned long long)((raw & 0xff) | (raw >> 12 & 0xfff00)));
		return value;
	}
	case ARG_IPC_KEY: return decode_ipc_key(d, (uint32_t)raw);
	case ARG_IPC_FLAGS: return decode_ipc_flags(d, row->set, (uint32_t)raw);
	case ARG_NONE: break;
	case ARG_HEX:
		if (row->size == 4)
			raw = (uint32_t)raw;
	}
	return value_new(d->arena, VALUE_HEX, raw);
}

int decode_args(struct decode *d, struct value *args[6])
{
	int count = d->row->nargs < 6 ? d->row->nargs : 6;

	for (int i = 0; i < count; i++) {
		args[i] = decode_arg(d, i);
		args[i]->name = d->row->args[i].name;
		args[i]->bare = true;
		args[i]->hidden = args[i]->hidden || d->row->args[i].kind == ARG_NONE;
	}
	decode_hide_unused(d, count, args);
	return count;
}

/* "([{fd=3, revents=POLLIN}])" after poll's result. */
static const char *poll_note(struct decode *d)
{
	const struct piece *piece = piece_find(d->rec, 0, PIECE_MEM, 0, PHASE_EXIT);
	struct buf text = { 0 };
	bool any = false;
	char *note;

	if (!piece || piece->status)
		return NULL;
	for (uint32_t i = 0; (i + 1) * 8u <= piece->size; i++) {
		const uint8_t *at = (const uint8_t *)piece_data(piece) + i * 8u;

		if (!get_u16(at + 6))
			continue;
		buf_printf(&text, "%s{fd=%d, revents=", any ? ", " : "", (int)get_u32(at));
		text_flags(&text, get_u16(at + 6), &set_poll_events);
		buf_putc(&text, '}');
		any = true;
	}
	if (any)
		buf_putc(&text, ']');
	if (any && d->rec->nr == SYS_ppoll && decode_mem(d, 2, 16, PHASE_EXIT)) {
		buf_puts(&text, ", left ");
		render_text(&text, decode_struct(d, STRUCT_TIMESPEC, decode_mem(d, 2, 16, PHASE_EXIT), 16), d->options);
	}
	note = arena_printf(d->arena, " ([%s)", any ? text.data : "]");
	free(text.data);
	return note;
}

/* "(left {tv_sec=1, tv_nsec=0})" of the last argument, or "(Timeout)" */
static const char *left_note(struct decode *d)
{
	const uint8_t *at = decode_mem(d, d->row->nargs - 1, 16, PHASE_EXIT);
	struct buf text = { 0 };
	char *note;

	if (!d->rec->ret)
		return " (Timeout)";
	if (!at)
		return NULL;
	render_text(&text, decode_struct(d, STRUCT_TIMESPEC, at, 16), d->options);
	note = arena_printf(d->arena, " (left %s)", text.data);
	free(text.data);
	return note;
}

/* "(in [3], out [4], left {...})" after select's result. */
static const char *select_note(struct decode *d)
{
	static const char *const names[] = { NULL, "in", "out", "except" };
	int left = !strcmp(d->row->name, "select") ? STRUCT_TIMEVAL : STRUCT_TIMESPEC;
	const uint8_t *at = decode_mem(d, 4, 16, PHASE_EXIT);
	struct buf text = { 0 };
	char *note;

	for (int i = 1; i <= 3; i++) {
		struct value *set = decode_mem(d, i, 0, PHASE_EXIT) ? decode_fdset(d, i, PHASE_EXIT) : NULL;

		if (set && set->child)
			buf_printf(&text, "%s%s %s", text.len ? ", " : "", names[i], set->text);
	}
	if (at) {
		buf_puts(&text, text.len ? ", left " : "left ");
		render_text(&text, decode_struct(d, left, at, 16), d->options);
	}
	note = text.len ? arena_printf(d->arena, " (%s)", text.data) : NULL;
	free(text.data);
	return note;
}

/* "(SCHED_OTHER)" */
static const char *named_result(struct decode *d)
{
	uint64_t ret = (uint64_t)d->rec->ret;
	struct buf text = { 0 };
	struct value *value;
	char *note;

	switch ((enum ret_kind)d->row->ret) {
	case RET_SIGNAL: value = signal_name((int)ret) ? decode_signal_number(d, (int)ret) : NULL; break;
	case RET_IOPRIO: value = decode_ioprio(d, (uint32_t)ret); break;
	case RET_ENUM: case RET_HEXENUM: value = constant_name(d->row->ret_set, ret) ? value_set(d->arena, VALUE_ENUM, ret, d->row->ret_set) : NULL; break;
	case RET_FLAGS: value = ret || d->row->ret_set == &set_personality ? flags_value(d, ret, d->row->ret_set) : NULL; break;
	default: return NULL;
	}
	if (!value)
		return NULL;
	render_text(&text, value, d->options);
	note = arena_printf(d->arena, " (%s)", text.data);
	free(text.data);
	return note;
}

const char *decode_ret_note(struct decode *d)
{
	struct buf text = { 0 };
	char *note;

	if (d->failed)
		return NULL;
	if ((d->row->ret == RET_POLL || d->row->ret == RET_SELECT) && !d->rec->ret)
		return " (Timeout)";
	if (d->row->ret == RET_LEFT)
		return left_note(d);
	if (d->row->ret == RET_TIME)
		return arena_printf(d->arena, " (%s)", decode_date_text(d, (uint64_t)d->rec->ret, 0, 9));
	if (d->row->ret == RET_POLL)
		return poll_note(d);
	if (d->row->ret == RET_SELECT)
		return select_note(d);
	if (d->rec->nr == SYS_rt_sigtimedwait && signal_name((int)d->rec->ret))
		return arena_printf(d->arena, " (%s)", signal_name((int)d->rec->ret));
	if (d->row->ret != RET_FCNTL)
		return named_result(d);
	if (d->rec->args[1] == 1 && d->rec->ret == 1)
		return " (flags FD_CLOEXEC)";
	if (d->rec->args[1] != 3)
		return NULL;
	render_text(&text, decode_open_flags(d, (uint64_t)d->rec->ret), d->options);
	note = arena_printf(d->arena, " (flags %s)", text.data);
	free(text.data);
	return note;
}
