/* Arguments that another argument makes meaningless do not print. */
#include <string.h>
#include <sys/mount.h>
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
	{ SYS_mremap, 4, 3, false, 3, { 3, END_VALUES } },
	{ SYS_membarrier, 2, 1, true, 1, { 0 } },
};

/* Strings that are not read when (args[lead] & mask): where they are prints. */
static const struct { int32_t nr; int arg, lead; uint64_t mask; } unread[] = {
	{ SYS_mount, 2, 3, MS_REMOUNT | MS_BIND | MS_MOVE | MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED },
	{ SYS_mount, 4, 3, MS_BIND | MS_MOVE | MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED },
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

/* Whether there are rules about a system call; looked for once for each number. */
static bool has_rules(const struct decode *d)
{
	enum { UNKNOWN, NONE, SOME };
	static uint8_t known[1024];
	size_t nr = (uint32_t)d->rec->nr % sizeof(known); /* there is a row: it is small */

	if (known[nr] == UNKNOWN) {
		known[nr] = d->rec->nr == unread[0].nr ? SOME : NONE;
		for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
			if (rules[i].nr == d->rec->nr)
				known[nr] = SOME;
	}
	return known[nr] == SOME;
}

void decode_hide_unused(struct decode *d, int count, struct value *args[6])
{
	if (!has_rules(d))
		return;
	for (size_t i = 0; i < sizeof(unread) / sizeof(*unread); i++) {
		uint64_t raw = d->rec->args[unread[i].arg];

		if (unread[i].nr != d->rec->nr || unread[i].arg >= count || !(d->rec->args[unread[i].lead] & unread[i].mask))
			continue;
		args[unread[i].arg]->type = raw ? VALUE_ADDR : VALUE_NULL;
		args[unread[i].arg]->number = raw;
	}
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (rules[i].nr == d->rec->nr && !holds(&rules[i], d->rec->args[rules[i].lead]))
			hide_from(args, rules[i].first, count);
}
