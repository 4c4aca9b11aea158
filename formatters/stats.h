/* What stands in a trace's footer: how its calls were caught, and what that cost. */
#ifndef VTRACE_FORMATTERS_STATS_H
#define VTRACE_FORMATTERS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "control.h"
#include "record.h"

#define STATS_TRAPS_SHOWN 50u

/* Calls of one syscall instruction that cost a stop each. */
struct trap { const char *object; uint64_t place; /* offset in the object; object NULL: address */ uint64_t count; };

/* The syscall instructions of one file. */
struct object_sites { const char *object; struct control_sites counts; };

struct trace_stats {
	uint64_t calls[CAUGHT_WRAPPER + 1];  /* system calls that are shown, by enum record_caught */
	const struct trap *traps;            /* the most frequent first, at most STATS_TRAPS_SHOWN */
	size_t trap_count;
	uint64_t other_traps;                /* calls of all other such places */
	const struct object_sites *sites;
	size_t site_count;
	uint64_t agent_ns, keeper_ns;        /* estimates: in all calls together, and how long the keeper was busy */
};

/* How a trace ends. */
struct trace_end {
	bool complete;                       /* false: the trace is known to be cut */
	uint64_t lost;
	const struct trace_stats *stats;     /* NULL: not known */
};

#endif
