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

struct report {
	const struct options *options;           /* borrowed, as all pointers here */
	struct tsc_clock *clock;
	const struct formatter_ops *ops;         /* NULL: no trace is written (-c) */
	struct formatter *formatter;
	struct summary *summary;                 /* NULL: none */
	FILE *out;
	struct names names;
	struct processes processes;
	uint64_t lost;
};

void report_moment(struct report *report, const struct moment *moment);
void report_close(struct report *report);

#endif
