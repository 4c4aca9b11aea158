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
	size_t field;              /* for apply_flag, apply_number: offset in struct options */
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

static bool apply_output(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (!*value)
		return bad_value(error, row, value);
	options->outputs = reallocate(options->outputs, (options->output_count + 1) * sizeof(*options->outputs));
	options->outputs[options->output_count++] = (struct output_option){ .name = value };
	options->to_file = true;
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

static bool apply_string_limit(struct options *options, const struct option_row *row, const char *value, char *error)
{
	options->string_limit_given = true;
	return apply_number(options, row, value, error);
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

static bool apply_columns(struct options *options, const struct option_row *row, const char *value, char *error)
{
	if (!summary_columns_valid(value))
		return bad_value(error, row, value);
	options->summary_columns = value;
	return true;
}

static bool apply_format(struct options *options, const struct option_row *row, const char *value, char *error)
{
	static const char *const names[] = { [FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", [FORMAT_JSONL] = "jsonl",
					     [FORMAT_VTR] = "vtr" };

	for (int i = FORMAT_TEXT; i <= FORMAT_VTR; i++)
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
	options->fd_paths_given = true;
	return true;
}

static const struct option_row option_rows[] = {
	{ 'f', "follow-forks", ARGUMENT_NONE, apply_flag, FIELD(follow), "follow children and threads" },
	{ 'o', "output", ARGUMENT_NEEDED, apply_output, 0,
	  "FILE  write the trace to FILE, or to the command in '|CMD'; x.json, x.jsonl and x.vtr\n"
	  "                               (a recording) choose the format, x.zst compresses; may be given several times" },
	{ 'A', "output-append-mode", ARGUMENT_NONE, apply_flag, FIELD(append), "append to FILE" },
	{ 0, "format", ARGUMENT_NEEDED, apply_format, 0, "text|json|jsonl|vtr" },
	{ 0, "zstd", ARGUMENT_NONE, apply_flag, FIELD(zstd), "compress every FILE, whatever its name" },
	{ 'e', NULL, ARGUMENT_NEEDED, apply_expression, 0,
	  "EXPR  trace=LIST, status=LIST, signal=LIST, quiet=LIST, caught=raw" },
	{ 0, "trace", ARGUMENT_NEEDED, apply_long_list, 0, "LIST: [!]all|none|NAME,%CLASS,/REGEX,?NAME" },
	{ 0, "status", ARGUMENT_NEEDED, apply_long_list, 0, "LIST: successful,failed,unfinished" },
	{ 0, "signal", ARGUMENT_NEEDED, apply_long_list, 0, "LIST of signals to show" },
	{ 0, "caught", ARGUMENT_NEEDED, apply_long_list, 0, "raw: only calls made outside libc" },
	{ 'P', "trace-path", ARGUMENT_NEEDED, apply_path, 0, "PATH  only calls that name PATH" },
	{ 'z', "successful-only", ARGUMENT_NONE, apply_results, 0, "only calls that succeeded" },
	{ 'Z', "failed-only", ARGUMENT_NONE, apply_results, 0, "only calls that failed" },
	{ 's', "string-limit", ARGUMENT_NEEDED, apply_string_limit, FIELD(string_limit), "N  bytes of strings to show (32)" },
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
	{ 'w', "summary-wall-clock", ARGUMENT_NONE, apply_flag, FIELD(wall_clock), "the table with wall-clock time, which it always has" },
	{ 'S', "summary-sort-by", ARGUMENT_NEEDED, apply_sort, 0, "time|calls|errors|name|nothing or a column of -U" },
	{ 'U', "summary-columns", ARGUMENT_NEEDED, apply_columns, 0,
	  "LIST of time-percent,total-time,min-time,max-time,avg-time,calls,errors,name" },
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

/* How the program is run: what is recorded is recorded. */
static const char *const live_only[] = {
	"env", "vdso", "no-agent", "no-net", "no-loader-patch", "ring-bytes",
};

static bool apply(struct options *options, const struct option_row *row, const char *value, char *error)
{
	for (size_t i = 0; options->command == COMMAND_REPLAY && row->name && i < sizeof(live_only) / sizeof(live_only[0]); i++)
		if (!strcmp(row->name, live_only[i])) {
			snprintf(error, OPTIONS_ERROR, "--%s is for running a program: replay shows what was recorded", row->name);
			return false;
		}
	return row->apply(options, row, value, error);
}

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
	return apply(options, row, value, error);
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
			if (!apply(options, row, NULL, error))
				return false;
			continue;
		}
		const char *value = letters[1] ? letters + 1 : argv[*at];

		if (!value)
			return missing_value(written, error);
		*at += !letters[1];
		return apply(options, row, value, error);
	}
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && !strcmp(text + length - tail, end);
}

/* By its suffix, a last .zst aside; a command, or a name that tells nothing, gets `otherwise`. */
static enum trace_format format_of_name(const char *name, enum trace_format otherwise)
{
	static const struct { const char *end; enum trace_format format; } rows[] = {
		{ ".json", FORMAT_JSON }, { ".jsonl", FORMAT_JSONL }, { ".ndjson", FORMAT_JSONL }, { ".vtr", FORMAT_VTR }, { ".txt", FORMAT_TEXT },
	};
	size_t length = strlen(name) - (ends_with(name, ".zst") ? 4 : 0);

	for (size_t i = 0; *name != '|' && *name != '!' && i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t tail = strlen(rows[i].end);

		if (length > tail && !strncmp(name + length - tail, rows[i].end, tail))
			return rows[i].format;
	}
	return otherwise;
}

/* Where the trace goes. --format wins over names; `record` makes a recording of what has no other name. */
static bool settle_outputs(struct options *options, char *error)
{
	enum trace_format otherwise = options->command == COMMAND_RECORD ? FORMAT_VTR : FORMAT_TEXT;
	bool recorded = false;

	if (!options->output_count && options->command == COMMAND_RECORD) {
		apply_output(options, NULL, "trace.vtr", error);
	} else if (!options->output_count) {
		options->outputs = allocate(sizeof(*options->outputs));
		options->output_count = 1;
	}
	for (uint32_t i = 0; i < options->output_count; i++) {
		struct output_option *output = &options->outputs[i];

		output->format = options->format != FORMAT_BY_NAME ? options->format :
			output->name ? format_of_name(output->name, otherwise) : otherwise;
		recorded = recorded || output->format == FORMAT_VTR;
	}
	if (options->command == COMMAND_RECORD && !recorded)
		snprintf(error, OPTIONS_ERROR, "record: none of the outputs is a recording; name one FILE.vtr");
	else if (recorded && options->append)
		snprintf(error, OPTIONS_ERROR, "-A: nothing can be appended to a recording");
	else if (recorded && !options->to_file)
		snprintf(error, OPTIONS_ERROR, "--format=vtr needs -o FILE: a recording is not for a terminal");
	else
		return true;
	return false;
}

/* What is to be run, or replayed. */
static bool settle_subject(struct options *options, char **rest, char *error)
{
	if (options->help || options->version)
		return true;
	if (options->command == COMMAND_REPLAY) {
		options->recording = rest[0];
		if (rest[0] && !rest[1])
			return true;
		snprintf(error, OPTIONS_ERROR, rest[0] ? "replay reads one recording, and '%.80s' is a second" :
			 "no recording to read; usage: vtrace replay [options] FILE.vtr", rest[0] ? rest[1] : "");
		return false;
	}
	options->program = rest[0] ? rest : NULL;
	if (options->program)
		return true;
	snprintf(error, OPTIONS_ERROR, "no program to run; usage: vtrace %s[options] [--] PROGRAM [ARGUMENTS]",
		 options->command == COMMAND_RECORD ? "record " : "");
	return false;
}

/* What follows from several options together. As in strace, -o with a program implies -q. */
static void settle(struct options *options)
{
	static const enum time_style styles[] = { TIME_NONE, TIME_SECONDS, TIME_MICROS, TIME_UNIX };
	static const unsigned quiets[] = { 0, QUIET_ATTACH | QUIET_PERSONALITY,
					   QUIET_ATTACH | QUIET_PERSONALITY | QUIET_EXIT, QUIET_ALL };

	if (options->time_style == TIME_NONE)
		options->time_style = styles[options->time_count > 3 ? 3 : options->time_count];
	if (!options->quiet_given)
		options->filter.quiet = quiets[options->quiet_count > 3 ? 3 : options->quiet_count];
	if (options->to_file && !options->quiet_given && !options->quiet_count)
		options->filter.quiet |= QUIET_ATTACH | QUIET_PERSONALITY;
	options->hex_strings = options->hex_strings > 2 ? 2 : options->hex_strings;
}

static enum command command_of(const char *word)
{
	return word && !strcmp(word, "record") ? COMMAND_RECORD : word && !strcmp(word, "replay") ? COMMAND_REPLAY : COMMAND_TRACE;
}

bool options_parse(struct options *options, int argc, char **argv, char error[OPTIONS_ERROR])
{
	enum command command = command_of(argc > 1 ? argv[1] : NULL);
	int at = command == COMMAND_TRACE ? 1 : 2;

	*options = (struct options){ .command = command, .string_limit = 32, .columns = 40, .sort = "time",
				     .summary_columns = "time-percent,total-time,avg-time,calls,errors,name" };
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
	settle(options);
	return settle_outputs(options, error) && settle_subject(options, argv + at, error);
}

void options_close(struct options *options)
{
	filter_close(&options->filter);
	free(options->outputs);
	free(options->environment);
	free(options->filter_texts);
}

struct format_options options_format(const struct options *options)
{
	return (struct format_options){
		.string_limit = options->string_limit, .time_style = options->time_style, .call_times = options->call_times,
		.fd_paths = options->fd_paths, .verbose = options->verbose, .hex_strings = options->hex_strings,
		.hide_exec_thread = options->filter.quiet & QUIET_THREAD_EXECVE, .via = options->via,
		.columns = options->columns, .filters = options->filter_texts, .filter_count = options->filter_count,
	};
}

void options_help(FILE *out)
{
	fprintf(out, "Usage: vtrace [options] [--] PROGRAM [ARGUMENTS]\n"
		     "       vtrace record [options] [-o FILE.vtr] [--] PROGRAM [ARGUMENTS]   (without -o: trace.vtr)\n"
		     "       vtrace replay [options] FILE.vtr   shows a recording as if it were traced now; - reads stdin\n\n");
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
		     "125 cannot trace, 126 not executable, 127 not found. Of replay: 0, 1, 2, 3 the recording is\n"
		     "cut off, 125 it cannot be read.\n");
}
