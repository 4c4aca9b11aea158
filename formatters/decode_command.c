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
	static const struct constant_set set = { #set, set##_items, sizeof(set##_items) / sizeof(*set##_items), NULL, 0 }
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

static uint32_t get_word(const uint8_t *at, size_t size)
{
	return size == 2 ? get_u16(at) : get_u32(at);
}

/* struct termio has words of two bytes. */
struct value *decode_termios(struct decode *d, const uint8_t *at, size_t word)
{
	static const char *const tabs[] = { "TAB0", "TAB1", "TAB2", "TAB3" };
	uint32_t out = get_word(at + word, word), control = get_word(at + 2 * word, word);
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0);
	const char *speed = constant_name(&term_speeds, control & CBAUD);

	term_word(d, value, "c_iflag", get_word(at, word), "", 0, &term_iflags);
	term_word(d, value, "c_oflag", out, arena_printf(d->arena, "NL%d|CR%u|%s|BS%d|VT%d|FF%d", !!(out & NLDLY),
		(out & CRDLY) >> 9, tabs[(out & TABDLY) >> 11], !!(out & BSDLY), !!(out & VTDLY), !!(out & FFDLY)),
		NLDLY | CRDLY | TABDLY | BSDLY | VTDLY | FFDLY, &term_oflags);
	term_word(d, value, "c_cflag", control, arena_printf(d->arena, "%s|%s", speed ? speed : "B???",
		constant_name(&term_sizes, control & CSIZE)), CBAUD | CSIZE, &term_cflags);
	term_word(d, value, "c_lflag", get_word(at + 3 * word, word), "", 0, &term_lflags);
	value->elided = 1;
	return value;
}

/* Requests without a row in gen/commands: those with a pointer that is NULL when it is 0; of all others strace knows only the name. */
static const struct { uint32_t first, last; } ioctl_pointers[] = {
	{ 0x5401, 0x5408 }, { 0x540f, 0x541b }, { 0x5420, 0x5424 }, { 0x5429, 0x542d }, { 0x8901, 0x89ff },
	{ 0x4c02, 0x4c05 }, { 0x4c0a, 0x4c0a },
};

static bool is_pointer_ioctl(uint32_t request)
{
	for (size_t i = 0; i < sizeof(ioctl_pointers) / sizeof(*ioctl_pointers); i++)
		if (request >= ioctl_pointers[i].first && request <= ioctl_pointers[i].last)
			return true;
	return (request >> 8 & 255) == 'f' || (request >> 8 & 255) == 'X' || (request >> 8 & 255) == 0x94;
}

static struct value *ioctl_argument(struct decode *d, int arg)
{
	return is_pointer_ioctl((uint32_t)d->rec->args[1]) ? decode_address(d, arg) : value_new(d->arena, VALUE_HEX, d->rec->args[arg]);
}

/* FUTEX_WAKE_OP's last argument: an operation, its operand, a comparison and what with. */
static struct value *futex_operation(struct decode *d, uint32_t word)
{
	struct value *value = value_new(d->arena, VALUE_HEX, word);
	const char *op = constant_name(&set_futex_wake_ops, word >> 28 & 7), *compare = constant_name(&set_futex_wake_cmps, word >> 24 & 15);
	const char *shift = word >> 31 ? "FUTEX_OP_OPARG_SHIFT<<28|" : "";

	value->text = arena_printf(d->arena, "%s%s<<28|%#x<<12|%s<<24|%#x", shift, op ? op : arena_printf(d->arena, "%#x", word >> 28 & 7),
		word >> 12 & 0xfff, compare ? compare : arena_printf(d->arena, "%#x", word >> 24 & 15), word & 0xfff);
	return value;
}

static struct value *futex_argument(struct decode *d, int arg)
{
	uint32_t word = (uint32_t)d->rec->args[arg];

	return (d->rec->args[1] & 127) == 5 ? futex_operation(d, word) : value_new(d->arena, VALUE_HEX, word); /* FUTEX_WAKE_OP */
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

struct value *decode_ioprio(struct decode *d, uint32_t priority)
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
	if (!strcmp(name, "futex"))
		return futex_argument(d, arg);
	if (strstr(name, "sockopt"))
		return decode_sockopt(d, arg);
	if (d->row->ret == RET_SELECT && !d->rec->args[arg]) /* pselect6 without a mask */
		return decode_address(d, arg);
	if (!strncmp(name, "sched_", 6))
		return affinity_argument(d, arg);
	if (!strncmp(name, "ioprio_", 7))
		return decode_ioprio(d, (uint32_t)d->rec->args[arg]);
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
