/* From moments, in their order, to what the formatter and the summary see. Knows the processes as they were at each moment. */
#ifndef VTRACE_FRONT_REPORT_H
#define VTRACE_FRONT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include "clock.h"
#include "format.h"
#include "merge.h"
#include "names.h"
#include "options.h"
#include "processes.h"
#include "stats_collect.h"
#include "vtr_write.h"

/* Where events go: a formatter, or a recording. */
struct sink {
	const struct formatter_ops *ops;         /* NULL: the recording, or no trace is written (-c) */
	struct formatter *formatter;
	struct vtr_writer *writer;               /* NULL: no recording */
	FILE *out;
	bool text;
	bool file;                               /* named with -o */
};

struct report {
	const struct options *options;           /* borrowed, as all pointers here */
	struct tsc_clock *clock;
	struct sink *sinks;
	uint32_t sink_count;
	const char *const *functions;            /* what a record's `via` - 1 means; NULL entries are not known */
	uint32_t function_count;
	struct summary *summary;                 /* NULL: none */
	struct names names;
	struct processes processes;
	uint64_t lost;
	struct stats stats;
};

void report_moment(struct report *report, const struct moment *moment);
void report_close(struct report *report);

#endif
