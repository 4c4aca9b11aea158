/* -c, -C: counts, errors and times per syscall, laid out as strace does. The time of a call is what passed between its
 * entry and its end (strace's -w): the CPU time strace counts without -w would need two more system calls each. */
#include <stdlib.h>
#include <string.h>
#include "format.h"

#define NUMBERS 1024
#define ROWS (2 * NUMBERS + 1) /* x86-64 and x32, i386, and all we have no name for */
struct tally { const char *name; uint64_t calls, errors, ns, least_ns, most_ns; };

typedef void print_function(FILE *out, const struct tally *row, const struct tally *total);
typedef int compare_function(const void *a, const void *b);
struct column { const char *title; int width; print_function *print; compare_function *compare; };

struct summary { const struct column *columns[8]; uint32_t count; struct tally rows[ROWS]; };

/* ---- columns ---- */

static void print_percent(FILE *out, const struct tally *row, const struct tally *total)
{
	fprintf(out, "%6.2f", total->ns ? 100.0 * (double)row->ns / (double)total->ns : 0.0);
}

static void print_seconds(FILE *out, const struct tally *row, const struct tally *total)
{
	(void)total;
	fprintf(out, "%11.6f", (double)row->ns / 1e9);
}

static void print_least(FILE *out, const struct tally *row, const struct tally *total)
{
	(void)total;
	fprintf(out, "%8.6f", (double)row->least_ns / 1e9);
}

static void print_most(FILE *out, const struct tally *row, const struct tally *total)
{
	(void)total;
	fprintf(out, "%8.6f", (double)row->most_ns / 1e9);
}

static void print_average(FILE *out, const struct tally *row, const struct tally *total)
{
	(void)total;
	fprintf(out, "%11llu", (unsigned long long)(row->calls ? row->ns / row->calls / 1000 : 0));
}

static void print_calls(FILE *out, const struct tally *row, const struct tally *total)
{
	(void)total;
	fprintf(out, "%9llu", (unsigned long long)row->calls);
}

static void print_errors(FILE *out, const struct tally *row, const struct tally *total)
{
	(void)total;
	if (row->errors)
		fprintf(out, "%9llu", (unsigned long long)row->errors);
	else
		fprintf(out, "%9s", "");
}

static int more(uint64_t a, uint64_t b) { return a < b ? 1 : a > b ? -1 : 0; }
#define ROW(p) ((const struct tally *)(p))
static int by_time(const void *a, const void *b) { return more(ROW(a)->ns, ROW(b)->ns); }
static int by_least(const void *a, const void *b) { return more(ROW(a)->least_ns, ROW(b)->least_ns); }
static int by_most(const void *a, const void *b) { return more(ROW(a)->most_ns, ROW(b)->most_ns); }
static int by_average(const void *a, const void *b) { return more(ROW(a)->ns / ROW(a)->calls, ROW(b)->ns / ROW(b)->calls); }
static int by_calls(const void *a, const void *b) { return more(ROW(a)->calls, ROW(b)->calls); }
static int by_errors(const void *a, const void *b) { return more(ROW(a)->errors, ROW(b)->errors); }
static int by_name(const void *a, const void *b) { return strcmp(ROW(a)->name, ROW(b)->name); }

enum column_index { PERCENT, SECONDS, LEAST, MOST, AVERAGE, CALLS, ERRORS, NAME };
static const struct column columns[] = {
	[PERCENT] = { "% time", 6, print_percent, by_time }, [SECONDS] = { "seconds", 11, print_seconds, by_time },
	[LEAST] = { "shortest", 8, print_least, by_least }, [MOST] = { "longest", 8, print_most, by_most },
	[AVERAGE] = { "usecs/call", 11, print_average, by_average }, [CALLS] = { "calls", 9, print_calls, by_calls },
	[ERRORS] = { "errors", 9, print_errors, by_errors }, [NAME] = { "syscall", -16, NULL, by_name },
};

/* As -S and -U take them; `_` is as good as `-`. */
static const struct { const char *name; enum column_index column; } names[] = {
	{ "time", PERCENT }, { "time-percent", PERCENT }, { "time-total", SECONDS }, { "total-time", SECONDS },
	{ "min-time", LEAST }, { "time-min", LEAST }, { "shortest", LEAST }, { "max-time", MOST }, { "time-max", MOST },
	{ "longest", MOST }, { "avg-time", AVERAGE }, { "time-avg", AVERAGE }, { "calls", CALLS }, { "count", CALLS },
	{ "errors", ERRORS }, { "error", ERRORS }, { "name", NAME }, { "syscall", NAME }, { "syscall-name", NAME },
};

static bool same_name(const char *known, const char *given, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (known[i] != (given[i] == '_' ? '-' : given[i]))
			return false;
	return !known[length];
}

static int column_named(const char *given, size_t length)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (same_name(names[i].name, given, length))
			return (int)names[i].column;
	return -1;
}

static bool unsorted(const char *sort)
{
	return !strcmp(sort, "nothing") || !strcmp(sort, "none");
}

int summary_sort_valid(const char *sort)
{
	return unsorted(sort) || column_named(sort, strlen(sort)) >= 0;
}

/* The columns of a list, each once; the name is always there. 0: `list` is not valid. */
static uint32_t parse_columns(const char *list, const struct column *found[8])
{
	uint32_t count = 0, seen = 0;

	for (const char *at = list; ; at++) {
		size_t length = strcspn(at, ",");
		int column = column_named(at, length);

		if (column < 0 || seen & 1u << column)
			return 0;
		seen |= 1u << column;
		found[count++] = &columns[column];
		at += length;
		if (!*at)
			break;
	}
	if (!(seen & 1u << NAME))
		found[count++] = &columns[NAME];
	return count;
}

int summary_columns_valid(const char *list)
{
	const struct column *found[8];

	return parse_columns(list, found) > 0;
}

/* ---- counting ---- */

struct summary *summary_open(const char *list)
{
	struct summary *s = calloc(1, sizeof(*s));

	if (s)
		s->count = parse_columns(list, s->columns);
	return s;
}

static const char *name_of(const struct record *record, uint32_t nr)
{
	if (record->abi != ABI_I386)
		return nr < syscalls_x86_64_count ? syscalls_x86_64[nr].name : NULL;
	return nr < syscalls_i386_count ? syscalls_i386_names[nr] : NULL;
}

void summary_event(struct summary *s, const struct event *event)
{
	const struct record *record = event->record;
	uint64_t ns = event->ts_ns > event->start_ns ? event->ts_ns - event->start_ns : 0;

	if (event->type != EVENT_EXIT || event->state == CALL_UNFINISHED || record->kind != RECORD_SYSCALL)
		return;
	uint32_t nr = (uint32_t)(record->abi == ABI_X32 ? record->nr & ~0x40000000 : record->nr);
	const char *name = name_of(record, nr);
	struct tally *row = &s->rows[name && nr < NUMBERS ? nr + (record->abi == ABI_I386 ? NUMBERS : 0) : ROWS - 1];

	row->name = name ? name : "unknown";
	row->least_ns = !row->calls || ns < row->least_ns ? ns : row->least_ns;
	row->most_ns = ns > row->most_ns ? ns : row->most_ns;
	row->calls++;
	row->errors += event->state != CALL_UNAVAILABLE && record->ret < 0 && record->ret >= -4095;
	row->ns += ns;
}

/* ---- the table ---- */

static void put_rule(const struct summary *s, FILE *out)
{
	for (uint32_t i = 0; i < s->count; i++)
		fprintf(out, "%s%.*s", i ? " " : "", abs(s->columns[i]->width), "----------------");
	fputc('\n', out);
}

static void put_titles(const struct summary *s, FILE *out)
{
	for (uint32_t i = 0; i < s->count; i++)
		fprintf(out, "%s%*s", i ? " " : "", s->columns[i] == &columns[NAME] && i + 1 == s->count ? 0 : s->columns[i]->width,
			s->columns[i]->title);
	fputc('\n', out);
	put_rule(s, out);
}

static void put_row(const struct summary *s, FILE *out, const struct tally *row, const struct tally *total)
{
	for (uint32_t i = 0; i < s->count; i++) {
		fputs(i ? " " : "", out);
		if (s->columns[i]->print)
			s->columns[i]->print(out, row, total);
		else
			fprintf(out, "%*s", i + 1 == s->count ? 0 : s->columns[i]->width, row->name);
	}
	fputc('\n', out);
}

static void add_to_total(struct tally *total, const struct tally *row)
{
	total->least_ns = !total->calls || row->least_ns < total->least_ns ? row->least_ns : total->least_ns;
	total->most_ns = row->most_ns > total->most_ns ? row->most_ns : total->most_ns;
	total->calls += row->calls;
	total->errors += row->errors;
	total->ns += row->ns;
}

/* As strace, prints nothing when nothing was counted. */
/* Behind the table and an empty line, where whoever reads only that stops. */
static void put_stats(FILE *out, const struct trace_stats *stats)
{
	const uint64_t *calls = stats->calls;
	uint64_t all = calls[CAUGHT_SITE] + calls[CAUGHT_DISPATCH] + calls[CAUGHT_NET] + calls[CAUGHT_PTRACE];

	fprintf(out, "\nvtrace: %llu calls caught, %llu in rewritten sites, %llu by user dispatch, %llu by ptrace, %llu by the net\n"
		"vtrace: about %.6f s of its own time in the program, %.6f s in the keeper\n", (unsigned long long)all,
		(unsigned long long)calls[CAUGHT_SITE], (unsigned long long)calls[CAUGHT_DISPATCH],
		(unsigned long long)calls[CAUGHT_PTRACE], (unsigned long long)calls[CAUGHT_NET],
		(double)stats->agent_ns / 1e9, (double)stats->keeper_ns / 1e9);
}

void summary_close(struct summary *s, FILE *out, const char *sort, const struct trace_stats *stats)
{
	struct tally total = { "total", 0, 0, 0, 0, 0 };
	size_t count = 0;

	for (size_t i = 0; i < ROWS; i++)
		if (s->rows[i].calls) {
			add_to_total(&total, &s->rows[i]);
			s->rows[count++] = s->rows[i];
		}
	if (!unsorted(sort))
		qsort(s->rows, count, sizeof(*s->rows), columns[column_named(sort, strlen(sort))].compare);
	if (count) {
		put_titles(s, out);
		for (size_t i = 0; i < count; i++)
			put_row(s, out, &s->rows[i], &total);
		put_rule(s, out);
		put_row(s, out, &total, &total);
		if (stats)
			put_stats(out, stats);
	}
	fflush(out);
	free(s);
}
