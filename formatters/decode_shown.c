/* Arguments that another argument makes meaningless do not print. */
#include <string.h>
#include <sys/syscall.h>
#include "decode.h"

/* Arguments from `first` on print only when (args[lead] & mask) is one of `values`, or, with `any`, is not 0. */
struct shown_when { int32_t nr; int first, lead; bool any; uint64_t mask; int64_t values[8]; };
#define END_VALUES -1
static const struct shown_when rules[] = {
	{ SYS_open, 2, 1, true, 020000100, { 0 } }, { SYS_openat, 3, 2, true, 020000100, { 0 } },
	{ SYS_mq_open, 2, 1, true, 0100, { 0 } },
	{ SYS_mknod, 2, 1, false, 0170000, { 0020000, 0060000, END_VALUES } },
	{ SYS_mknodat, 3, 2, false, 0170000, { 0020000, 0060000, END_VALUES } },
	{ SYS_mremap, 4, 3, true, 6, { 0 } },
	{ SYS_syslog, 1, 0, false, 0xffffffff, { 2, 3, 4, 8, END_VALUES } },
};

/* How many arguments a command has, itself included; 0 or not there: all. */
struct shown_count { uint32_t command, count; };
static const struct shown_count fcntl_counts[] = {
	{ 1, 2 }, { 3, 2 }, { 9, 2 }, { 11, 2 }, { 1025, 2 }, { 1032, 2 }, { 1034, 2 },
};
static const struct shown_count kcmp_counts[] = { { 1, 3 }, { 2, 3 }, { 3, 3 }, { 4, 3 }, { 5, 3 }, { 6, 3 } };
static const struct shown_count futex_counts[] = {
	{ 0, 4 }, { 1, 3 }, { 2, 3 }, { 3, 5 }, { 4, 6 }, { 5, 6 }, { 6, 4 }, { 7, 2 }, { 8, 2 }, { 9, 5 }, { 10, 5 }, { 11, 5 }, { 12, 6 }, { 13, 4 },
};
static const struct shown_count ioctl_counts[] = {
	{ 0x5450, 2 }, { 0x5451, 2 }, { 0x540c, 2 }, { 0x540d, 2 }, { 0x5422, 2 }, { 0x5427, 2 }, { 0x5428, 2 }, { 0x5437, 2 }, { 0x541d, 2 },
	{ 0xc0045877, 2 }, { 0xc0045878, 2 }, { 0x125f, 2 }, { 0x1261, 2 }, { 0x1274, 2 }, { 0x1275, 2 }, { 0x1276, 2 }, { 0x4c01, 2 },
	{ 0x4c07, 2 }, { 0x4c82, 2 },
};
#define COUNTS(nr, lead, mask, rows) { nr, lead, mask, rows, sizeof(rows) / sizeof(*(rows)) }
static const struct { int32_t nr; int lead; uint32_t mask; const struct shown_count *rows; size_t count; } commands[] = {
	COUNTS(SYS_fcntl, 1, 0xffffffff, fcntl_counts), COUNTS(SYS_futex, 1, 127, futex_counts),
	COUNTS(SYS_kcmp, 2, 0xffffffff, kcmp_counts),
	COUNTS(SYS_ioctl, 1, 0xffffffff, ioctl_counts),
};

static bool holds(const struct shown_when *rule, uint64_t word)
{
	if (rule->any)
		return word & rule->mask;
	for (int i = 0; rule->values[i] != END_VALUES; i++)
		if ((word & rule->mask) == (uint64_t)rule->values[i])
			return true;
	return false;
}

static void hide_from(struct value *args[6], int first, int count)
{
	for (int i = first; i < count; i++)
		args[i]->hidden = true;
}

static void hide_by_command(struct decode *d, int count, struct value *args[6])
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (commands[i].nr != d->rec->nr)
			continue;
		for (size_t j = 0; j < commands[i].count; j++)
			if (commands[i].rows[j].command == ((uint32_t)d->rec->args[commands[i].lead] & commands[i].mask))
				hide_from(args, (int)commands[i].rows[j].count, count);
	}
}

/* A number nobody decoded further, as gen/commands has it. */
static void retype(struct value *value, char kind)
{
	if (kind == '-')
		value->hidden = true;
	if (value->text || (value->type != VALUE_HEX && value->type != VALUE_ADDR))
		return;
	if (kind == 'p')
		value->type = value->number ? VALUE_ADDR : VALUE_NULL;
	if (kind != 'd')
		return;
	value->type = VALUE_INT;
	value->number = (uint64_t)(int32_t)value->number;
}

static void apply_commands(struct decode *d, int count, struct value *args[6])
{
	for (uint32_t i = 0; i < command_row_count; i++) {
		const struct command_row *row = &command_rows[i];

		if (row->nr != d->rec->nr || row->command != (uint32_t)d->rec->args[0])
			continue;
		int kinds = (int)strlen(row->kinds);

		for (int at = 0; at < kinds && at + 1 < count; at++)
			retype(args[at + 1], row->kinds[at]);
		hide_from(args, kinds + 1, count);
		return;
	}
}

/* What of the above is about a system call. */
enum { BY_RULE = 1, BY_COMMAND = 2, KNOWN = 4 };

static unsigned find_rules(int32_t nr)
{
	unsigned found = nr == SYS_futex ? BY_RULE : 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		found |= rules[i].nr == nr ? BY_RULE : 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		found |= commands[i].nr == nr ? BY_RULE : 0;
	for (uint32_t i = 0; i < command_row_count; i++)
		found |= command_rows[i].nr == nr ? BY_COMMAND : 0;
	return found | KNOWN;
}

/* The same, looked for once for each number. */
static unsigned rules_of(const struct decode *d)
{
	static uint8_t known[1024];
	size_t nr = (uint32_t)d->rec->nr % sizeof(known); /* there is a row: it is small */

	if (!known[nr])
		known[nr] = (uint8_t)find_rules(d->rec->nr);
	return known[nr];
}

void decode_hide_unused(struct decode *d, int count, struct value *args[6])
{
	unsigned found = rules_of(d);

	if (found & BY_COMMAND)
		apply_commands(d, count, args);
	if (!(found & BY_RULE))
		return;
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (rules[i].nr == d->rec->nr && !holds(&rules[i], d->rec->args[rules[i].lead]))
			hide_from(args, rules[i].first, count);
	hide_by_command(d, count, args);
	/* FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET have the mask last */
	if (count > 5 && d->rec->nr == SYS_futex && ((d->rec->args[1] & 127) == 9 || (d->rec->args[1] & 127) == 10)) {
		args[5]->hidden = false;
		args[4]->hidden = true;
		args[3]->hidden = (d->rec->args[1] & 127) == 10;
	}
	if (count > 5 && d->rec->nr == SYS_futex && ((d->rec->args[1] & 127) == 6 || (d->rec->args[1] & 127) == 13))
		args[2]->hidden = true; /* FUTEX_LOCK_PI takes no value */
}
