/* Gathers what the footer tells. */
#ifndef VTRACE_FRONT_STATS_COLLECT_H
#define VTRACE_FRONT_STATS_COLLECT_H

#include "format.h"

#define STATS_TRAPS_MAX 3072u   /* places that are told apart */
#define STATS_TRAPS_PLACES 4096u /* a power of two */

struct stats {
	struct trace_stats shown;
	struct object_sites *sites;
	uint16_t trap_places[STATS_TRAPS_PLACES]; /* open-addressed: index in `traps` and one, 0: free */
	struct trap traps[STATS_TRAPS_MAX];
	size_t trap_count;
};

/* A call that is shown. Names of objects are interned: equal when their pointers are. */
void stats_call(struct stats *stats, const struct record *record, const struct place *site);
void stats_sites(struct stats *stats, const struct control_sites *counts, const char *object);
void stats_cost(struct stats *stats, const struct control_cost *cost, double ns_per_tick);
/* Once, at the end. Valid until stats_close. */
const struct trace_stats *stats_finish(struct stats *stats);
void stats_close(struct stats *stats);

#endif
