/* The command line: strace's letters and long names, and a few of our own. */
#ifndef VTRACE_FRONT_OPTIONS_H
#define VTRACE_FRONT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "filter.h"
#include "format.h"

enum trace_format { FORMAT_BY_NAME, FORMAT_TEXT, FORMAT_JSON, FORMAT_JSONL, FORMAT_VTR };
enum command { COMMAND_TRACE, COMMAND_RECORD, COMMAND_REPLAY };
enum summary_mode { SUMMARY_OFF, SUMMARY_ONLY, SUMMARY_ALSO };

#define OPTIONS_ERROR 512

/* One -o: a file, '|CMD', or (name NULL) the terminal. */
struct output_option { const char *name; enum trace_format format; };

struct options {
	enum command command;
	bool follow, append, call_times, fd_paths, verbose, wall_clock, via, vdso, no_agent, no_patch, no_net, no_sites;
	bool remote_dispatch, help, version;
	bool quiet_given, fd_paths_given, string_limit_given, zstd;
	int hex_strings, quiet_count, time_count;
	enum time_style time_style;
	enum trace_format format;
	enum summary_mode summary;
	uint32_t string_limit, columns, ring_bytes;
	const char *sort, *summary_columns;
	struct output_option *outputs; /* at least one */
	uint32_t output_count;
	bool to_file;              /* they were given with -o */
	struct filter filter;
	const char **environment; /* VAR=VALUE sets, VAR removes; in order */
	size_t environment_count;
	const char **filter_texts; /* as given, for the JSON header */
	uint32_t filter_count;
	char **program;           /* NULL-terminated; borrowed from argv. NULL for replay */
	const char *recording;    /* replay: the file, or "-" */
};

/* argv is borrowed. False with one line in `error`. */
bool options_parse(struct options *options, int argc, char **argv, char error[OPTIONS_ERROR]);
void options_close(struct options *options);
void options_help(FILE *out);
/* How the formatters are to print; what the trace is of is not filled in. */
struct format_options options_format(const struct options *options);

#endif
