/* Arguments whose meaning another argument decides: ioctl, fcntl, futex, prctl; and clone's own order. */
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include "decode.h"
#include "sets.h"

static struct value *ioctl_request(struct decode *d, uint32_t request)
{
	static const char *const ways[] = { "_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE" };
	static const char *const both[] = { "SNDCTL_TMR_START or TCSETS", "SNDCTL_TMR_STOP or TCSETSW", "SNDCTL_TMR_CONTINUE or TCSETSF" };
	struct value *value = value_set(d->arena, VALUE_ENUM, request, &set_ioctls);

	/* strace names every request a number may be */
	if (request >= 0x5402 && request <= 0x5404)
		value->text = both[request - 0x5402];
	else if (request == 0x40049409)
		value->text = "BTRFS_IOC_CLONE or FICLONE";
	else if (request == 0x4020940d)
		value->text = "BTRFS_IOC_CLONE_RANGE or FICLONERANGE";
	else if (request == 0xc0189436)
		value->text = "BTRFS_IOC_FILE_EXTENT_SAME or FIDEDUPERANGE";
	else if (!constant_name(&set_ioctls, request))
		value->text = arena_printf(d->arena, "_IOC(%s, %#x, %#x, %#x)", ways[request >> 30], request >> 8 & 255,
			request & 255, request >> 16 & 0x3fff);
	return value;
}

#define BIT(name) { name, #name }
#define TERM_SET(set, ...) static const struct constant set##_items[] = { __VA_ARGS__ }; \
	static const struct constant_set set = { #set, set##_items, sizeof(set##_items) / sizeof(*set##_items), NULL }
TERM_SET(term_iflags, BIT(IGNBRK), BIT(BRKINT), BIT(IGNPAR), BIT(PARMRK), BIT(INPCK), BIT(ISTRIP), BIT(INLCR), BIT(IGNCR),
	BIT(ICRNL), BIT(IUCLC), BIT(IXON), BIT(IXANY), BIT(IXOFF), BIT(IMAXBEL), BIT(IUTF8));
TERM_SET(term_oflags, BIT(OPOST), BIT(OLCUC), BIT(ONLCR), BIT(OCRNL), BIT(ONOCR), BIT(ONLRET), BIT(OFILL), BIT(OFDEL));
TERM_SET(term_cflags, BIT(CSTOPB), BIT(CREAD), BIT(PARENB), BIT(PARODD), BIT(HUPCL), BIT(CLOCAL), BIT(CMSPAR), BIT(CRTSCTS));
TERM_SET(term_lflags, BIT(ISIG), BIT(ICANON), BIT(ECHO), BIT(ECHOE), BIT(ECHOK), BIT(ECHONL), BIT(NOFLSH), BIT(TOSTOP),
	BIT(IEXTEN), BIT(XCASE), BIT(ECHOCTL), BIT(ECHOPRT), BIT(ECHOKE), BIT(FLUSHO), BIT(EXTPROC));
TERM_SET(term_speeds, BIT(B0), BIT(B50), BIT(B75), BIT(B110), BIT(B134), BIT(B150), BIT(B200), BIT(B300), BIT(B600), BIT(B1200),
	BIT(B1800), BIT(B2400), BIT(B4800), BIT(B9600), BIT(B19200), BIT(B38400), BIT(B57600), BIT(B115200), BIT(B230400),
	BIT(B460800), BIT(B500000), BIT(B576000), BIT(B921600), BIT(B1000000), BIT(B1152000), BIT(B1500000), BIT(B2000000),
	BIT(B2500000), BIT(B3000000), BIT(B3500000), BIT(B4000000));
TERM_SET(term_sizes, BIT(CS5), BIT(CS6), BIT(CS7), BIT(CS8));

/* A flag word whose low fields are numbers: their names stand in `fields`. */
static void term_word(struct decode *d, struct value *to, const char *name, uint32_t word, const char *fields, uint32_t mask,
	const struct constant_set *set)
{
	struct value *value = value_add(to, name, value_set(d->arena, VALUE_FLAGS, word, set));
	struct buf text = { 0 };

	buf_puts(&text, fields);
	buf_puts(&text, *fields ? "|" : ""); /* strace puts it even when nothing follows */
	if (word & ~mask) {
		text_flags(&text, word & ~mask, set);
	}
	value->text = arena_printf(d->arena, "%.*s", (int)text.len, text.len ? text.data : ""); /* strace prints nothing for 0 */
	free(text.data);
}

static struct value *termios_value(struct decode *d, const uint8_t *at)
{
	static const char *const tabs[] = { "TAB0", "TAB1", "TAB2", "TAB3" };
	uint32_t out = get_u32(at + 4), control = get_u32(at + 8);
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0);
	const char *speed = constant_name(&term_speeds, control & CBAUD);

	term_word(d, value, "c_iflag", get_u32(at), "", 0, &term_iflags);
	term_word(d, value, "c_oflag", out, arena_printf(d->arena, "NL%d|CR%u|%s|BS%d|VT%d|FF%d", !!(out & NLDLY),
		(out & CRDLY) >> 9, tabs[(out & TABDLY) >> 11], !!(out & BSDLY), !!(out & VTDLY), !!(out & FFDLY)),
		NLDLY | CRDLY | TABDLY | BSDLY | VTDLY | FFDLY, &term_oflags);
	term_word(d, value, "c_cflag", control, arena_printf(d->arena, "%s|%s", speed ? speed : "B???",
		constant_name(&term_sizes, control & CSIZE)), CBAUD | CSIZE, &term_cflags);
	term_word(d, value, "c_lflag", get_u32(at + 12), "", 0, &term_lflags);
	value->elided = 1;
	return value;
}

/* Requests with a number, and those with a pointer that is NULL when it is 0; of all others strace knows only the name. */
static const uint32_t ioctl_ints[] = {
	0x5409, 0x540e, 0x5425, 0x1262, 0x1264, 0x4c00, 0x4c06, 0x4c08, 0x4c09, 0x4c80, 0x4c81,
};
static const struct { uint32_t first, last; } ioctl_pointers[] = {
	{ 0x5401, 0x5408 }, { 0x540f, 0x541b }, { 0x5420, 0x5424 }, { 0x5429, 0x5432 }, { 0x5452, 0x5452 }, { 0x8901, 0x89ff },
	{ 0x1260, 0x127f }, { 0x4c02, 0x4c05 }, { 0x4c0a, 0x4c0a },
};

static bool is_pointer_ioctl(uint32_t request)
{
	for (size_t i = 0; i < sizeof(ioctl_pointers) / sizeof(*ioctl_pointers); i++)
		if (request >= ioctl_pointers[i].first && request <= ioctl_pointers[i].last)
			return true;
	return (request >> 8 & 255) == 'f' || (request >> 8 & 255) == 'X' || (request >> 8 & 255) == 0x94 ||
		((request >> 8 & 255) == 'T' && request >> 30) || ((request >> 8 & 255) == 0x12 && request >> 30);
}

static struct value *ioctl_plain(struct decode *d, uint32_t request, int arg)
{
	for (size_t i = 0; i < sizeof(ioctl_ints) / sizeof(*ioctl_ints); i++)
		if (ioctl_ints[i] == request)
			return value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)d->rec->args[arg]);
	return is_pointer_ioctl(request) ? decode_address(d, arg) : value_new(d->arena, VALUE_HEX, d->rec->args[arg]);
}

static struct value *ioctl_argument(struct decode *d, int arg)
{
	const uint8_t *at = d->failed || !d->exiting ? NULL : decode_mem(d, arg, 4, -1);
	uint32_t request = (uint32_t)d->rec->args[1];
	struct value *value;

	if (request == 0x40049409) /* FICLONE */
		return value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)d->rec->args[arg]);
	if ((request == 0x541b || request == 0x5421) && at) {
		value = value_new(d->arena, VALUE_ARRAY, 0);
		value_add(value, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at)));
		return value;
	}
	at = d->failed && request == 0x5401 ? NULL : decode_mem(d, arg, 36, -1);
	if (request >= 0x5401 && request <= 0x5404 && at) /* TCGETS, TCSETS.. */
		return termios_value(d, at);
	at = d->failed || !d->exiting ? NULL : decode_mem(d, arg, 8, -1);
	if (request != 0x5413 || !at)
		return ioctl_plain(d, request, arg);
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
	return value_new(d->arena, arg == 5 && (op == 9 || op == 10) ? VALUE_HEX : VALUE_UINT, (uint32_t)d->rec->args[arg]);
}

static struct value *prctl_argument(struct decode *d, int arg)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	uint32_t option = (uint32_t)d->rec->args[0];

	if ((option == 15 || option == 16) && arg == 1 && piece && !piece->status)
		return decode_bytes(d, piece_data(piece), strnlen(piece_data(piece), piece->size), 0, 16);
	if (option == 2 && arg == 1 && d->exiting && !d->failed && decode_mem(d, arg, 4, PHASE_EXIT)) { /* PR_GET_PDEATHSIG */
		struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

		value_add(list, NULL, decode_signal_number(d, (int)get_u32(decode_mem(d, arg, 4, PHASE_EXIT))));
		return list;
	}
	if (option == 4 && arg == 1 && d->rec->args[1] < 3) { /* PR_SET_DUMPABLE */
		static const char *const names[] = { "SUID_DUMP_DISABLE", "SUID_DUMP_USER", "SUID_DUMP_ROOT" };
		struct value *value = value_new(d->arena, VALUE_UINT, d->rec->args[1]);

		value->text = names[d->rec->args[1]];
		return value;
	}
	if (option == 38 && arg == 1) /* PR_SET_NO_NEW_PRIVS */
		return value_new(d->arena, VALUE_UINT, d->rec->args[1]);
	if (option == 1 && arg == 1)
		return decode_signal_number(d, (int)d->rec->args[1]);
	if ((option == 23 || option == 24) && arg == 1)
		return value_set(d->arena, VALUE_ENUM, d->rec->args[1], &set_capabilities);
	return value_new(d->arena, VALUE_HEX, d->rec->args[arg]);
}

static struct value *socket_protocol(struct decode *d, int arg)
{
	uint64_t family = d->rec->args[0], number = (uint32_t)d->rec->args[arg];

	if (family == 2 || family == 10) /* AF_INET, AF_INET6 */
		return value_set(d->arena, VALUE_ENUM, number, &set_ip_protocols);
	if (family == 16) /* AF_NETLINK */
		return value_set(d->arena, VALUE_ENUM, number, &set_netlink_protocols);
	return value_new(d->arena, VALUE_UINT, number);
}

static struct value *network_argument(struct decode *d, int arg)
{
	return !strncmp(d->row->name, "socket", 6) ? socket_protocol(d, arg) : decode_sockopt(d, arg);
}

/* A set of CPUs: "[0 1]". */
static struct value *affinity_argument(struct decode *d, int arg)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	bool out = d->row->args[arg].direction == DIR_OUT;
	struct buf text = { 0 };

	if (!piece || piece->status || (out && (d->failed || !d->exiting)))
		return decode_address(d, arg);
	buf_putc(&text, '[');
	for (uint32_t cpu = 0; cpu / 8 < piece->size; cpu++)
		if (((const uint8_t *)piece_data(piece))[cpu / 8] & 1 << cpu % 8) {
			buf_printf(&text, list->child ? " %u" : "%u", cpu);
			value_add(list, NULL, value_new(d->arena, VALUE_UINT, cpu));
		}
	buf_putc(&text, ']');
	list->text = arena_printf(d->arena, "%.*s", (int)text.len, text.data);
	free(text.data);
	return list;
}

static struct value *ioprio_value(struct decode *d, uint32_t priority)
{
	static const char *const classes[] = { "IOPRIO_CLASS_NONE", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE" };
	struct value *value = value_new(d->arena, VALUE_UINT, priority);
	uint32_t class = priority >> 13, level = priority & 0x1fff;

	value->text = class < 4 ? arena_printf(d->arena, "IOPRIO_PRIO_VALUE(%s, %u)", classes[class], level) :
		arena_printf(d->arena, "IOPRIO_PRIO_VALUE(%#x /* IOPRIO_CLASS_??? */, %u)", class, level);
	return value;
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
	if (!strncmp(name, "socket", 6) || strstr(name, "sockopt"))
		return network_argument(d, arg);
	if (d->row->ret == RET_SELECT && !d->rec->args[arg]) /* pselect6 without a mask */
		return decode_address(d, arg);
	if (!strncmp(name, "sched_", 6))
		return affinity_argument(d, arg);
	if (!strcmp(name, "prctl"))
		return prctl_argument(d, arg);
	if (!strcmp(name, "ptrace") || !strcmp(name, "arch_prctl")) /* gen/commands knows better for most commands */
		return value_new(d->arena, VALUE_ADDR, d->rec->args[arg]);
	if (!strncmp(name, "ioprio_", 7))
		return ioprio_value(d, (uint32_t)d->rec->args[arg]);
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
