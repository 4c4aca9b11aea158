/* What of the trace is shown: sets of syscalls, return statuses, signals and paths. */
#ifndef VTRACE_FRONT_FILTER_H
#define VTRACE_FRONT_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "format.h"

enum status_bit {
	STATUS_SUCCESSFUL = 1, STATUS_FAILED = 2, STATUS_UNFINISHED = 4, STATUS_UNAVAILABLE = 8, STATUS_DETACHED = 16,
	STATUS_ALL = 31
};
enum quiet_bit {
	QUIET_ATTACH = 1, QUIET_EXIT = 2, QUIET_PATHS = 4, QUIET_PERSONALITY = 8, QUIET_THREAD_EXECVE = 16, QUIET_ALL = 31
};
#define FILTER_NUMBERS 1024u
#define FILTER_ERROR 256

struct filter {
	bool by_abi[2][FILTER_NUMBERS]; /* x86-64 (and x32), i386 */
	bool others;                    /* numbers we know nothing of */
	uint64_t signals;               /* bit n: signal n */
	unsigned status;                /* enum status_bit */
	unsigned quiet;                 /* enum quiet_bit */
	bool raw_only;                  /* -e caught=raw */
	const char **paths;
	size_t path_count;
};

/* Shows everything. */
void filter_open(struct filter *filter);
void filter_close(struct filter *filter);
/* Each parses the right side of an option, replacing what was there; false with one line in `error`. */
bool filter_trace(struct filter *filter, const char *list, char error[FILTER_ERROR]);
bool filter_status(struct filter *filter, const char *list, char error[FILTER_ERROR]);
bool filter_signal(struct filter *filter, const char *list, char error[FILTER_ERROR]);
bool filter_quiet(struct filter *filter, const char *list, char error[FILTER_ERROR]);
bool filter_caught(struct filter *filter, const char *list, char error[FILTER_ERROR]);
void filter_path(struct filter *filter, const char *path);

bool filter_shows_call(const struct filter *filter, const struct record *record, enum raw_state raw);
bool filter_shows_result(const struct filter *filter, const struct record *record, enum call_state state);
bool filter_shows_signal(const struct filter *filter, int sig);

#endif
