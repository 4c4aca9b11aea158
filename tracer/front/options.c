/* One table of options: how each is written, what it sets, its line of help. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "memory.h"
#include "nearest.h"
#include "options.h"

enum argument { ARGUMENT_NONE, ARGUMENT_NEEDED, ARGUMENT_OPTIONAL /* long form only: --name=value */ };
struct option_row;
typedef bool apply_function(struct options *options, const struct option_row *row, const char *value, char *error);
struct option_row {
	char letter;               /* 0: no short form */
	const char *name;          /* NULL: no long form */
	enum argument argument;
	apply_function *apply;
	size_t field;              /* for apply_flag, apply_text, apply_number: offset in struct options */
	const char *help;          /* NULL: not listed */
};
#define FIELD(name) offsetof(struct options, name)

static bool bad_value(char *error, const struct option_row *row, const char *value)
{
	if (row->name)
		snprintf(error, OPTIONS_ERROR, "bad value for --%s: '%.80s'", row->name, value);
	else
		snprintf(error, OPTIONS_ERROR, "bad value for -%c: '%.80s'", row->letter, value);
	return false;
}

static bool apply_flag(struct options *options, const struct option_row *row, const char *value, char *error)
{
	(void)value, (void)error;
	*(bool *)((char *)options + row->field) = true;
	return true;
}

static bool apply_text(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (!*value)
		return bad_value(error, row, value);
	*(const char **)((char *)options + row->field) = value;
	return true;
}

static bool apply_number(struct options *options, const struct option_row *row, const char *value, char *error)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || number > INT_MAX)
		return bad_value(error, row, value);
	*(uint32_t *)((char *)options + row->field) = (uint32_t)number;
	return true;
}

static bool apply_count(struct options *options, const struct option_row *row, const char *value, char *error)
{
	(void)value, (void)error;
	++*(int *)((char *)options + row->field);
	return true;
}

static bool apply_hex(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (!value || !strcmp(value, "all"))
		options->hex_strings = value ? 2 : options->hex_strings + 1;
	else if (!strcmp(value, "non-ascii"))
		options->hex_strings = 1;
	else
		return bad_value(error, row, value);
	return true;
}

static bool apply_relative(struct options *options, const struct option_row *row, const char *value, char *error)
{
	(void)row, (void)value, (void)error;
	options->time_style = TIME_RELATIVE;
	return true;
}

static bool apply_clock(struct options *options, const struct option_row *row, const char *value, char *error)
{
	static const struct { const char *value; int count; } rows[] = {
		{ "none", 0 }, { "time", 1 }, { "s", 1 }, { "us", 2 }, { "time,us", 2 }, { "unix", 3 }, { "unix,us", 3 },
		{ "format:time", 1 }, { "format:unix", 3 }, { "format:none", 0 },
	};

	if (!value)
		return apply_count(options, row, value, error);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].value, value)) {
			options->time_count = rows[i].count;
			return true;
		}
	return bad_value(error, row, value);
}

static bool apply_summary(struct options *options, const struct option_row *row, const char *value, char *error)
{
	enum summary_mode mode = row->letter == 'c' ? SUMMARY_ONLY : SUMMARY_ALSO;

	(void)value;
	if (options->summary != SUMMARY_OFF && options->summary != mode) {
		snprintf(error, OPTIONS_ERROR, "-c and -C cannot be combined");
		return false;
	}
	options->summary = mode;
	return true;
}

static bool apply_sort(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (!summary_sort_valid(value))
		return bad_value(error, row, value);
	options->sort = value;
	return true;
}

static bool apply_format(struct options *options, const struct option_row *row, const char *value, char *error)
{
	static const char *const names[] = { [FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", [FORMAT_JSONL] = "jsonl" };

	for (int i = FORMAT_TEXT; i <= FORMAT_JSONL; i++)
		if (!strcmp(names[i], value)) {
			options->format = (enum trace_format)i;
			return true;
		}
	return bad_value(error, row, value);
}

static bool apply_environment(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (!*value || *value == '=')
		return bad_value(error, row, value);
	options->environment =
		reallocate(options->environment, (options->environment_count + 1) * sizeof(*options->environment));
	options->environment[options->environment_count++] = value;
	return true;
}

static void remember_filter(struct options *options, const char *text)
{
	options->filter_texts =
		reallocate(options->filter_texts, (options->filter_count + 1) * sizeof(*options->filter_texts));
	options->filter_texts[options->filter_count++] = text;
}

static bool apply_path(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (!*value)
		return bad_value(error, row, value);
	filter_path(&options->filter, value);
	remember_filter(options, value);
	return true;
}

static bool apply_results(struct options *options, const struct option_row *row, const char *value, char *error)
{
	(void)value, (void)error;
	options->filter.status = row->letter == 'z' ? STATUS_SUCCESSFUL : STATUS_FAILED;
	remember_filter(options, row->letter == 'z' ? "status=successful" : "status=failed");
	return true;
}

/* ---- -e NAME=LIST ---- */

typedef bool list_function(struct filter *filter, const char *list, char error[FILTER_ERROR]);
static const struct { const char *name; list_function *parse; } qualifiers[] = {
	{ "trace", filter_trace }, { "t", filter_trace }, { "status", filter_status }, { "signal", filter_signal },
	{ "signals", filter_signal }, { "s", filter_signal }, { "quiet", filter_quiet }, { "silent", filter_quiet },
	{ "silence", filter_quiet }, { "q", filter_quiet }, { "caught", filter_caught },
};

static bool apply_list(struct options *options, list_function *parse, const char *list, char *error)
{
	char reason[FILTER_ERROR] = "";

	if (parse(&options->filter, list, reason)) {
		options->quiet_given = options->quiet_given || parse == filter_quiet;
		return true;
	}
	snprintf(error, OPTIONS_ERROR, "%s", reason);
	return false;
}

static bool apply_abbrev(struct options *options, const char *list)
{
	options->verbose = !strcmp(list, "none");
	return options->verbose || !strcmp(list, "all");
}

static bool apply_expression(struct options *options, const struct option_row *row, const char *value, char *error)
{
	const char *equals = strchr(value, '=');
	size_t length = equals ? (size_t)(equals - value) : 0;
	struct nearest nearest = { .wanted = value };
	char name[32];

	(void)row;
	remember_filter(options, value);
	if (!equals)
		return apply_list(options, filter_trace, value, error);
	snprintf(name, sizeof(name), "%.*s", (int)length, value);
	nearest.wanted = name;
	for (size_t i = 0; i < sizeof(qualifiers) / sizeof(qualifiers[0]); i++) {
		if (!strcmp(qualifiers[i].name, name))
			return apply_list(options, qualifiers[i].parse, equals + 1, error);
		nearest_offer(&nearest, qualifiers[i].name);
	}
	if (!strcmp(name, "abbrev") && apply_abbrev(options, equals + 1))
		return true;
	const char *best = nearest_found(&nearest);

	snprintf(error, OPTIONS_ERROR, best ? "unknown expression '%s' in -e: did you mean '%s'?" :
		 "unknown expression '%s' in -e", name, best);
	return false;
}

static bool apply_long_list(struct options *options, const struct option_row *row, const char *value, char *error)
{
	static const struct { const char *name; list_function *parse; } rows[] = {
		{ "trace", filter_trace }, { "status", filter_status }, { "signal", filter_signal },
		{ "quiet", filter_quiet }, { "silent", filter_quiet }, { "caught", filter_caught },
	};

	remember_filter(options, value);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].name, row->name))
			return apply_list(options, rows[i].parse, value, error);
	return false;
}

static bool apply_quiet(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (value)
		return apply_long_list(options, row, value, error);
	return apply_count(options, row, value, error);
}

static bool apply_fd_paths(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (value && strcmp(value, "path") && strcmp(value, "all") && strcmp(value, "none"))
		return bad_value(error, row, value);
	options->fd_paths = !value || strcmp(value, "none");
	return true;
}

static const struct option_row option_rows[] = {
	{ 'f', "follow-forks", ARGUMENT_NONE, apply_flag, FIELD(follow), "follow children and threads" },
	{ 'o', "output", ARGUMENT_NEEDED, apply_text, FIELD(output),
	  "FILE  write the trace to FILE, or to the command in '|CMD'; x.json and x.jsonl choose the format" },
	{ 'A', "output-append-mode", ARGUMENT_NONE, apply_flag, FIELD(append), "append to FILE" },
	{ 0, "format", ARGUMENT_NEEDED, apply_format, 0, "text|json|jsonl" },
	{ 'e', NULL, ARGUMENT_NEEDED, apply_expression, 0,
	  "EXPR  trace=LIST, status=LIST, signal=LIST, quiet=LIST, caught=raw" },
	{ 0, "trace", ARGUMENT_NEEDED, apply_long_list, 0, "LIST: [!]all|none|NAME,%CLASS,/REGEX,?NAME" },
	{ 0, "status", ARGUMENT_NEEDED, apply_long_list, 0, "LIST: successful,failed,unfinished" },
	{ 0, "signal", ARGUMENT_NEEDED, apply_long_list, 0, "LIST of signals to show" },
	{ 0, "caught", ARGUMENT_NEEDED, apply_long_list, 0, "raw: only calls made outside libc" },
	{ 'P', "trace-path", ARGUMENT_NEEDED, apply_path, 0, "PATH  only calls that name PATH" },
	{ 'z', "successful-only", ARGUMENT_NONE, apply_results, 0, "only calls that succeeded" },
	{ 'Z', "failed-only", ARGUMENT_NONE, apply_results, 0, "only calls that failed" },
	{ 's', "string-limit", ARGUMENT_NEEDED, apply_number, FIELD(string_limit), "N  bytes of strings to show (32)" },
	{ 'a', "columns", ARGUMENT_NEEDED, apply_number, FIELD(columns), "N  column of the results (40)" },
	{ 't', "absolute-timestamps", ARGUMENT_OPTIONAL, apply_clock, FIELD(time_count),
	  "time of day; -tt with microseconds, -ttt since the epoch" },
	{ 0, "timestamps", ARGUMENT_OPTIONAL, apply_clock, FIELD(time_count), NULL },
	{ 'r', "relative-timestamps", ARGUMENT_OPTIONAL, apply_relative, 0, "time since the call before" },
	{ 'T', "syscall-times", ARGUMENT_NONE, apply_flag, FIELD(call_times), "time spent in each call" },
	{ 'y', "decode-fds", ARGUMENT_OPTIONAL, apply_fd_paths, 0, "paths of file descriptors" },
	{ 'v', "no-abbrev", ARGUMENT_NONE, apply_flag, FIELD(verbose), "print structures in full" },
	{ 'x', "strings-in-hex", ARGUMENT_OPTIONAL, apply_hex, 0, "non-ASCII strings in hex; -xx all strings" },
	{ 'q', "quiet", ARGUMENT_OPTIONAL, apply_quiet, FIELD(quiet_count),
	  "no messages about new processes; -qq nor about exits" },
	{ 0, "silent", ARGUMENT_OPTIONAL, apply_quiet, FIELD(quiet_count), NULL },
	{ 'c', "summary-only", ARGUMENT_NONE, apply_summary, 0, "only a table of counts and times" },
	{ 'C', "summary", ARGUMENT_NONE, apply_summary, 0, "the table after the trace" },
	{ 'w', "summary-wall-clock", ARGUMENT_NONE, apply_flag, FIELD(wall_clock), "the table with wall-clock time" },
	{ 'S', "summary-sort-by", ARGUMENT_NEEDED, apply_sort, 0, "time|calls|errors|name|nothing" },
	{ 'E', "env", ARGUMENT_NEEDED, apply_environment, 0, "VAR=VALUE or VAR  set or remove it for the program" },
	{ 0, "via", ARGUMENT_NONE, apply_flag, FIELD(via), "the libc function of each call and its caller" },
	{ 0, "vdso", ARGUMENT_NONE, apply_flag, FIELD(vdso),
	  "also what the vDSO answers (clock_gettime ...), marked <vdso>; strace cannot see it" },
	{ 0, "no-agent", ARGUMENT_NONE, apply_flag, FIELD(no_agent), "everything by ptrace" },
	{ 0, "no-net", ARGUMENT_NONE, apply_flag, FIELD(no_net), "without the seccomp net" },
	{ 0, "no-loader-patch", ARGUMENT_NONE, apply_flag, FIELD(no_patch), "leave the program's loader alone" },
	{ 0, "ring-bytes", ARGUMENT_NEEDED, apply_number, FIELD(ring_bytes), NULL }, /* tests: rings that are always full */
	{ 'h', "help", ARGUMENT_NONE, apply_flag, FIELD(help), "this text" },
	{ 'V', "version", ARGUMENT_NONE, apply_flag, FIELD(version), "the version" },
};
#define OPTION_COUNT (sizeof(option_rows) / sizeof(option_rows[0]))

static const struct option_row *find_letter(char letter)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_rows[i].letter == letter)
			return &option_rows[i];
	return NULL;
}

/* Exact, or the only one that begins so. */
static const struct option_row *find_name(const char *name, size_t length)
{
	const struct option_row *found = NULL;
	int matches = 0;

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const char *known = option_rows[i].name;

		if (!known || strncmp(known, name, length))
			continue;
		if (!known[length])
			return &option_rows[i];
		found = &option_rows[i];
		matches++;
	}
	return matches == 1 ? found : NULL;
}

static bool unknown_name(const char *name, size_t length, char *error)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%.*s", (int)length, name);
	struct nearest nearest = { .wanted = copy };

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_rows[i].name)
			nearest_offer(&nearest, option_rows[i].name);
	const char *best = nearest_found(&nearest);

	if (best)
		snprintf(error, OPTIONS_ERROR, "unknown option '--%s': did you mean '--%s'?", copy, best);
	else
		snprintf(error, OPTIONS_ERROR, "unknown option '--%s'; 'vtrace -h' lists them", copy);
	return false;
}

static bool missing_value(const char *option, char *error)
{
	snprintf(error, OPTIONS_ERROR, "option '%s' needs a value", option);
	return false;
}

/* --name, --name=value, --name value. Moves *at past what it used. */
static bool parse_long(struct options *options, char **argv, int *at, char *error)
{
	const char *name = argv[*at] + 2, *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_row *row = find_name(name, length);
	const char *value = equals ? equals + 1 : NULL;

	if (!row)
		return unknown_name(name, length, error);
	if (row->argument == ARGUMENT_NONE && value) {
		snprintf(error, OPTIONS_ERROR, "option '--%s' takes no value", row->name);
		return false;
	}
	if (row->argument == ARGUMENT_NEEDED && !value) {
		if (!argv[*at + 1])
			return missing_value(argv[*at], error);
		value = argv[++*at];
	}
	++*at;
	return row->apply(options, row, value, error);
}

/* -abc, -oFILE, -o FILE. */
static bool parse_short(struct options *options, char **argv, int *at, char *error)
{
	const char *letters = argv[(*at)++] + 1;

	for (; *letters; letters++) {
		const struct option_row *row = find_letter(*letters);
		char written[3] = { '-', *letters, 0 };

		if (!row) {
			snprintf(error, OPTIONS_ERROR, "unknown option '%s'; 'vtrace -h' lists them", written);
			return false;
		}
		if (row->argument != ARGUMENT_NEEDED) {
			if (!row->apply(options, row, NULL, error))
				return false;
			continue;
		}
		const char *value = letters[1] ? letters + 1 : argv[*at];

		if (!value)
			return missing_value(written, error);
		*at += !letters[1];
		return row->apply(options, row, value, error);
	}
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && !strcmp(text + length - tail, end);
}

static enum trace_format format_of_name(const char *output)
{
	if (!output || *output == '|' || *output == '!')
		return FORMAT_TEXT;
	if (ends_with(output, ".json"))
		return FORMAT_JSON;
	return ends_with(output, ".jsonl") || ends_with(output, ".ndjson") ? FORMAT_JSONL : FORMAT_TEXT;
}

/* What follows from several options together. As in strace, -o with a program implies -q. */
static bool settle(struct options *options, char *error)
{
	static const enum time_style styles[] = { TIME_NONE, TIME_SECONDS, TIME_MICROS, TIME_UNIX };
	static const unsigned quiets[] = { 0, QUIET_ATTACH | QUIET_PERSONALITY,
					   QUIET_ATTACH | QUIET_PERSONALITY | QUIET_EXIT, QUIET_ALL };

	if (options->format == FORMAT_BY_NAME)
		options->format = format_of_name(options->output);
	if (options->time_style == TIME_NONE)
		options->time_style = styles[options->time_count > 3 ? 3 : options->time_count];
	if (!options->quiet_given)
		options->filter.quiet = quiets[options->quiet_count > 3 ? 3 : options->quiet_count];
	if (options->output && !options->quiet_given && !options->quiet_count)
		options->filter.quiet |= QUIET_ATTACH | QUIET_PERSONALITY;
	options->hex_strings = options->hex_strings > 2 ? 2 : options->hex_strings;
	if (options->program || options->help || options->version)
		return true;
	snprintf(error, OPTIONS_ERROR, "no program to run; usage: vtrace [options] [--] PROGRAM [ARGUMENTS]");
	return false;
}

bool options_parse(struct options *options, int argc, char **argv, char error[OPTIONS_ERROR])
{
	int at = 1;

	*options = (struct options){ .string_limit = 32, .columns = 40, .sort = "time" };
	filter_open(&options->filter);
	while (at < argc && argv[at][0] == '-' && argv[at][1]) {
		bool is_long = argv[at][1] == '-';

		if (is_long && !argv[at][2]) {
			at++;
			break;
		}
		if (!(is_long ? parse_long : parse_short)(options, argv, &at, error))
			return false;
	}
	if (at < argc)
		options->program = argv + at;
	return settle(options, error);
}

void options_close(struct options *options)
{
	filter_close(&options->filter);
	free(options->environment);
	free(options->filter_texts);
}

void options_help(FILE *out)
{
	fprintf(out, "Usage: vtrace [options] [--] PROGRAM [ARGUMENTS]\n\n");
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];
		char written[64];

		if (!row->help)
			continue;
		snprintf(written, sizeof(written), "%c%c%s%s%s", row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
			 row->letter && row->name ? ", " : "  ", row->name ? "--" : "", row->name ? row->name : "");
		fprintf(out, "  %-28s %s\n", written, row->help);
	}
	fprintf(out, "\nExit status: the program's. vtrace's own: 1 the trace could not be written, 2 bad usage,\n"
		     "125 cannot trace, 126 not executable, 127 not found.\n");
}
