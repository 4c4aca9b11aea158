/* All outputs of a run, and what writes to each: opened before the program starts, closed whatever happened to it. */
#ifndef VTRACE_FRONT_SINKS_H
#define VTRACE_FRONT_SINKS_H

#include <stdbool.h>
#include <stdint.h>
#include "options.h"
#include "output.h"
#include "report.h"

struct sinks {
	uint32_t count;
	struct output *outputs;
	struct sink *items;  /* for the report; they write to the outputs */
	int *fds;            /* of the outputs */
};

/* Dies when an output cannot be opened: nothing has been started yet. */
void sinks_open(struct sinks *sinks, const struct options *options);
/* Writes what stands before the events. `recorded`: for recordings. Both are borrowed until sinks_close. */
void sinks_begin(struct sinks *sinks, const struct options *options, const struct tsc_clock *clock,
		 const struct format_options *format, const struct vtr_header *recorded);
/* What was reported can be read from now on. `idle`: nothing more is at hand. */
void sinks_flush(struct sinks *sinks, bool idle);
/* No call that was reported is looked at any more. */
void sinks_settle(struct sinks *sinks);
/* Writes what stands after the events, the summary too (NULL: none). */
void sinks_end(struct sinks *sinks, const struct options *options, struct summary *summary, const struct vtr_end *end,
	       const struct trace_stats *stats);
/* False when not everything could be written. */
bool sinks_close(struct sinks *sinks);

#endif
