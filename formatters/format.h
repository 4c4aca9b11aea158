/* What the front hands to a formatter, and the formatters there are. Formatters know wire/ and the generated
 * tables only. Nothing here is trusted to be well-formed beyond record_valid(). */
#ifndef VTRACE_FORMATTERS_FORMAT_H
#define VTRACE_FORMATTERS_FORMAT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include "record.h"
#include "stats.h"
#include "tables.h"

/* A place in a mapped file. object NULL: not known. */
struct place { uint64_t addr; const char *object; uint64_t offset; };

enum event_type {
	EVENT_ENTER,   /* a syscall begins: its input arguments are there (text uses it for <unfinished ...>) */
	EVENT_EXIT,    /* the same syscall ends: record complete. No ENTER came before when it is `whole` */
	EVENT_SIGNAL, EVENT_STOP, EVENT_EXITED, EVENT_PROCESS, EVENT_NOTE, EVENT_LOST
};
enum call_state {
	CALL_DONE, CALL_UNFINISHED /* thread died in it: "= ?" */, CALL_INTERRUPTED /* ERESTART* */, CALL_DETACHED,
	CALL_UNAVAILABLE, /* it ended, but nobody saw its result */
	CALL_NOT_MADE    /* a signal came just before it was made: no event, only its ENTER may have been seen */
};
enum raw_state { RAW_NO, RAW_YES, RAW_UNKNOWN };

struct event {
	enum event_type type;
	int32_t pid, tid;
	bool show_pid;               /* text: prefix as strace does in an -o file: "%-5d "; on stderr "[pid %5d] " */
	/* Names of threads, objects and functions are interned: while a formatter lives, a pointer always means the same text. */
	const char *comm;            /* never NULL */
	uint64_t id;                 /* the same for ENTER and EXIT of one call */
	uint64_t ts_ns;              /* since trace start; of this moment (ENTER: start, EXIT: end) */
	uint64_t start_ns;           /* syscalls: when it began */
	/* syscalls */
	const struct record *record; /* validated copy */
	enum call_state state;       /* EXIT only */
	bool whole;                  /* EXIT: nothing happened since it began, so there was no ENTER; it has a result */
	struct place site, caller;
	const char *via;             /* the libc function that made it; NULL: not known */
	enum raw_state raw;
	/* others */
	const siginfo_t *siginfo;    /* SIGNAL */
	int status;                  /* EXITED: wait status; STOP: signal number */
	int32_t parent_tid;          /* PROCESS; of an exec: the calling thread's id before it */
	const char *what;            /* PROCESS: "start", "fork", "vfork", "clone", "exec"; NOTE: the text; exec's path is in `path` */
	const char *path;
	uint64_t count;              /* LOST */
};

enum time_style { TIME_NONE, TIME_SECONDS /* -t */, TIME_MICROS /* -tt */, TIME_UNIX /* -ttt */, TIME_RELATIVE /* -r */ };

struct format_options {
	uint32_t string_limit;       /* -s, 32 */
	enum time_style time_style;
	bool call_times;             /* -T */
	bool fd_paths;               /* -y */
	bool verbose;                /* -v */
	int hex_strings;             /* -x 1, -xx 2 */
	bool hide_exec_thread;       /* -e quiet=thread-execve: no line for an exec by a thread that is not the leader */
	bool output_is_file;         /* -o was given */
	bool via;                    /* --via: append via information */
	uint32_t columns;            /* -a, 40 */
	/* for the JSON header */
	int argc; char **argv;
	const char *version, *cwd, *kernel;
	uint64_t start_realtime_ns, start_monotonic_ns;
	const char *const *filters; uint32_t filter_count;
};

struct formatter; /* opaque */
struct formatter_ops {
	struct formatter *(*open)(FILE *out, const struct format_options *options); /* NULL: out of memory */
	void (*event)(struct formatter *f, const struct event *event);
	void (*flush)(struct formatter *f); /* what events made is handed to `out` */
	void (*close)(struct formatter *f, const struct trace_end *end);
};
extern const struct formatter_ops formatter_text, formatter_json, formatter_jsonl;

/* -c, -C */
struct summary;
/* `columns`: as strace -U, a valid list. NULL: out of memory. */
struct summary *summary_open(const char *columns);
int summary_columns_valid(const char *columns);
void summary_event(struct summary *s, const struct event *event);
/* sort: a column of -U, or "nothing"; as strace -S */
int summary_sort_valid(const char *sort);
/* `stats`: NULL, or what is told behind the table. */
void summary_close(struct summary *s, FILE *out, const char *sort, const struct trace_stats *stats);

#endif
