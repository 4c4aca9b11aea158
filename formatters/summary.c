/* -c: counts, errors and times per syscall, laid out as strace does. */
#include <stdlib.h>
#include <string.h>
#include "format.h"

#define ROWS 1024
struct tally { const char *name; uint64_t calls, errors, ns; };
struct summary { bool wall_clock; struct tally rows[ROWS + 1]; };

struct summary *summary_open(bool wall_clock)
{
	struct summary *s = calloc(1, sizeof(*s));

	if (s)
		s->wall_clock = wall_clock;
	return s;
}

void summary_event(struct summary *s, const struct event *event)
{
	uint32_t nr;
	struct tally *row;

	if (event->type != EVENT_EXIT || event->state == CALL_UNFINISHED || event->record->kind != RECORD_SYSCALL)
		return;
	nr = (uint32_t)event->record->nr;
	row = &s->rows[nr < ROWS ? nr : ROWS];
	if (!row->name && event->record->abi != ABI_I386 && nr < syscalls_x86_64_count)
		row->name = syscalls_x86_64[nr].name;
	if (!row->name && event->record->abi == ABI_I386 && nr < syscalls_i386_count)
		row->name = syscalls_i386_names[nr];
	if (!row->name)
		row->name = "unknown";
	row->calls++;
	row->errors += event->record->ret < 0 && event->record->ret >= -4095;
	row->ns += event->ts_ns > event->start_ns ? event->ts_ns - event->start_ns : 0;
}

static int more(uint64_t a, uint64_t b) { return a < b ? 1 : a > b ? -1 : 0; }
static int by_time(const void *a, const void *b) { return more(((const struct tally *)a)->ns, ((const struct tally *)b)->ns); }
static int by_calls(const void *a, const void *b) { return more(((const struct tally *)a)->calls, ((const struct tally *)b)->calls); }
static int by_errors(const void *a, const void *b) { return more(((const struct tally *)a)->errors, ((const struct tally *)b)->errors); }
static int by_name(const void *a, const void *b) { return strcmp(((const struct tally *)a)->name, ((const struct tally *)b)->name); }

static const struct { const char *name; int (*compare)(const void *, const void *); } sorts[] = {
	{ "time", by_time }, { "calls", by_calls }, { "errors", by_errors }, { "name", by_name }, { "nothing", NULL },
};

static int sort_index(const char *sort)
{
	for (int i = 0; i < (int)(sizeof(sorts) / sizeof(*sorts)); i++)
		if (!strcmp(sorts[i].name, sort))
			return i;
	return -1;
}

int summary_sort_valid(const char *sort)
{
	return sort_index(sort) >= 0;
}

static void put_row(FILE *out, const struct tally *row, uint64_t total_ns)
{
	char errors[24] = "";

	if (row->errors)
		snprintf(errors, sizeof(errors), "%llu", (unsigned long long)row->errors);
	fprintf(out, "%6.2f %11.6f %11llu %9llu %9s %s\n", total_ns ? 100.0 * (double)row->ns / (double)total_ns : 0.0,
		(double)row->ns / 1e9, (unsigned long long)(row->calls ? row->ns / row->calls / 1000 : 0),
		(unsigned long long)row->calls, errors, row->name);
}

void summary_close(struct summary *s, FILE *out, const char *sort)
{
	static const char rule[] = "------ ----------- ----------- --------- --------- ----------------\n";
	struct tally total = { "total", 0, 0, 0 };
	size_t count = 0;
	int index = sort_index(sort);

	for (size_t i = 0; i <= ROWS; i++)
		if (s->rows[i].calls) {
			s->rows[count++] = s->rows[i];
			total.calls += s->rows[count - 1].calls;
			total.errors += s->rows[count - 1].errors;
			total.ns += s->rows[count - 1].ns;
		}
	if (index >= 0 && sorts[index].compare)
		qsort(s->rows, count, sizeof(*s->rows), sorts[index].compare);
	fprintf(out, "%% time     seconds  usecs/call     calls    errors syscall\n%s", rule);
	for (size_t i = 0; i < count; i++)
		put_row(out, &s->rows[i], total.ns);
	fputs(rule, out);
	put_row(out, &total, total.ns ? total.ns : 0);
	fflush(out);
	free(s);
}
