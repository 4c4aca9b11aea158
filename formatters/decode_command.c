/* Arguments whose meaning another argument decides: ioctl, fcntl, futex, prctl; and clone's own order. */
#include <stdlib.h>
#include <string.h>
#include "decode.h"
#include "sets.h"

static struct value *ioctl_request(struct decode *d, uint32_t request)
{
	static const char *const ways[] = { "_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE" };
	struct value *value = value_set(d->arena, VALUE_ENUM, request, &set_ioctls);

	if (!constant_name(&set_ioctls, request))
		value->text = arena_printf(d->arena, "_IOC(%s, %#x, %#x, %#x)", ways[request >> 30], request >> 8 & 255,
			request & 255, request >> 16 & 0x3fff);
	return value;
}

static struct value *ioctl_argument(struct decode *d, int arg)
{
	const uint8_t *at = d->failed || !d->exiting ? NULL : decode_mem(d, arg, 4, -1);
	uint32_t request = (uint32_t)d->rec->args[1];
	struct value *value;

	if ((request == 0x541b || request == 0x5421) && at) {
		value = value_new(d->arena, VALUE_ARRAY, 0);
		value_add(value, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at)));
		return value;
	}
	at = d->failed || !d->exiting ? NULL : decode_mem(d, arg, 8, -1);
	if (request != 0x5413 || !at)
		return decode_address(d, arg);
	value = value_new(d->arena, VALUE_STRUCT, 0);
	static const char *const names[] = { "ws_row", "ws_col", "ws_xpixel", "ws_ypixel" };
	for (int i = 0; i < 4; i++)
		value_add(value, names[i], value_new(d->arena, VALUE_UINT, get_u16(at + i * 2)));
	return value;
}

static struct value *fcntl_argument(struct decode *d, int arg)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	struct value *value = NULL;

	switch (d->rec->args[1]) {
	case 2: return value_set(d->arena, VALUE_FLAGS, (uint32_t)d->rec->args[arg], &set_fd_flags);
	case 4: return decode_open_flags(d, d->rec->args[arg]);
	case 0: case 1030: case 1031: case 8: return value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)d->rec->args[arg]);
	case 1033: return value_set(d->arena, VALUE_FLAGS, (uint32_t)d->rec->args[arg], &set_seals);
	case 5: case 6: case 7: case 36: case 37: case 38:
		if (piece && !piece->status && !(d->failed && (d->rec->args[1] == 5 || d->rec->args[1] == 36)))
			value = decode_struct(d, STRUCT_FLOCK, piece_data(piece), piece->size);
		if (value && (d->rec->args[1] == 5 || d->rec->args[1] == 36))
			value_add(value, "l_pid", value_new(d->arena, VALUE_INT,
				(uint64_t)(int32_t)get_u32((const uint8_t *)piece_data(piece) + 24)));
		return value ? value : decode_address(d, arg);
	}
	return value_new(d->arena, VALUE_HEX, d->rec->args[arg]);
}

static struct value *futex_argument(struct decode *d, int arg)
{
	uint32_t op = (uint32_t)d->rec->args[1] & 127;
	bool timed = op == 0 || op == 6 || op == 9 || op == 11 || op == 13;
	const uint8_t *at = decode_mem(d, arg, 16, PHASE_ENTRY);

	if (arg == 3 && !timed)
		return value_new(d->arena, VALUE_UINT, (uint32_t)d->rec->args[3]);
	if (arg == 3 && at)
		return decode_struct(d, STRUCT_TIMESPEC, at, 16);
	if (arg == 3 || arg == 4)
		return decode_address(d, arg);
	if (arg == 5 && (uint32_t)d->rec->args[5] == UINT32_MAX) {
		struct value *value = value_new(d->arena, VALUE_HEX, UINT32_MAX);
		value->text = "FUTEX_BITSET_MATCH_ANY";
		return value;
	}
	return value_new(d->arena, op == 9 || op == 10 ? VALUE_HEX : VALUE_UINT, (uint32_t)d->rec->args[arg]);
}

static struct value *prctl_argument(struct decode *d, int arg)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	uint32_t option = (uint32_t)d->rec->args[0];

	if ((option == 15 || option == 16) && arg == 1 && piece && !piece->status)
		return decode_bytes(d, piece_data(piece), strnlen(piece_data(piece), piece->size), 0, 16);
	if (option == 1 && arg == 1)
		return decode_signal_number(d, (int)d->rec->args[1]);
	if ((option == 23 || option == 24) && arg == 1)
		return value_set(d->arena, VALUE_ENUM, d->rec->args[1], &set_capabilities);
	return value_new(d->arena, VALUE_HEX, d->rec->args[arg]);
}

struct value *decode_command(struct decode *d, int arg)
{
	const char *name = d->row->name;

	if (d->row->args[arg].kind == ARG_IOCTL_CMD)
		return ioctl_request(d, (uint32_t)d->rec->args[arg]);
	if (!strcmp(name, "ioctl"))
		return ioctl_argument(d, arg);
	if (!strcmp(name, "fcntl"))
		return fcntl_argument(d, arg);
	if (!strcmp(name, "futex"))
		return futex_argument(d, arg);
	if (!strcmp(name, "prctl"))
		return prctl_argument(d, arg);
	return value_new(d->arena, VALUE_HEX, d->rec->args[arg]);
}

struct value *decode_clone(struct decode *d, struct value *args[6])
{
	const uint64_t *raw = d->rec->args;
	struct value *flags = value_set(d->arena, VALUE_FLAGS, raw[0], &set_clone_flags);
	struct buf text = { 0 };
	int count = 0;

	memset(args, 0, 6 * sizeof(*args));
	if (raw[0] & ~255ull)
		text_flags(&text, raw[0] & ~255ull, &set_clone_flags);
	if (raw[0] & 255)
		buf_printf(&text, "%s%s", text.len ? "|" : "", signal_name((int)(raw[0] & 255)) ?: "0xff");
	flags->text = arena_printf(d->arena, "%s", text.len ? text.data : "0");
	free(text.data);
	(args[count++] = value_new(d->arena, VALUE_ADDR, raw[1]))->name = "child_stack";
	(args[count++] = flags)->name = "flags";
	if (raw[0] & 0x00100000) {
		const uint8_t *at = d->exiting && !d->failed ? decode_mem(d, 2, 4, -1) : NULL;
		args[count] = value_new(d->arena, VALUE_ADDR, raw[2]);
		if (at)
			args[count]->text = arena_printf(d->arena, "[%d]", (int)get_u32(at));
		args[count++]->name = "parent_tid";
	}
	if (raw[0] & 0x00080000)
		(args[count++] = value_new(d->arena, VALUE_HEX, raw[4]))->name = "tls";
	if (raw[0] & 0x01200000)
		(args[count++] = value_new(d->arena, VALUE_ADDR, raw[3]))->name = "child_tidptr";
	return flags;
}
