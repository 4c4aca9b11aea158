#include <stdlib.h>
#include <string.h>
#include "memory.h"
#include "stats_collect.h"

static uint16_t *place_of(struct stats *stats, const char *object, uint64_t offset)
{
	uint64_t at = (offset ^ (uint64_t)(uintptr_t)object * 31) * 0x9e3779b97f4a7c15ull >> 32;

	for (;; at++) {
		uint16_t *place = &stats->trap_places[at % STATS_TRAPS_PLACES];

		if (!*place || (stats->traps[*place - 1].object == object && stats->traps[*place - 1].place == offset))
			return place;
	}
}

static void count_trap(struct stats *stats, const struct place *site)
{
	uint64_t offset = site->object ? site->offset : site->addr;
	uint16_t *place = place_of(stats, site->object, offset);

	if (!*place && stats->trap_count == STATS_TRAPS_MAX) {
		stats->shown.other_traps++;
		return;
	}
	if (!*place) {
		stats->traps[stats->trap_count] = (struct trap){ .object = site->object, .place = offset };
		*place = (uint16_t)++stats->trap_count;
	}
	stats->traps[*place - 1].count++;
}

void stats_call(struct stats *stats, const struct record *record, const struct place *site)
{
	if (record->kind != RECORD_SYSCALL || record->caught > CAUGHT_WRAPPER)
		return;
	stats->shown.calls[record->caught]++;
	if (record->caught == CAUGHT_DISPATCH)
		count_trap(stats, site);
}

void stats_sites(struct stats *stats, const struct control_sites *counts, const char *object)
{
	stats->sites = reallocate(stats->sites, (stats->shown.site_count + 1) * sizeof(*stats->sites));
	stats->sites[stats->shown.site_count++] = (struct object_sites){ object, *counts };
}

/* The samples come from memory that the program may write: an estimate is none when they make no sense. */
void stats_cost(struct stats *stats, const struct control_cost *cost, double ns_per_tick)
{
	uint64_t calls = stats->shown.calls[CAUGHT_SITE] + stats->shown.calls[CAUGHT_DISPATCH];
	double each = cost->agent_calls ? (double)cost->agent_ticks / (double)cost->agent_calls * ns_per_tick : 0;

	stats->shown.agent_ns = each < 1e9 ? (uint64_t)(each * (double)calls) : 0;
	stats->shown.keeper_ns = (uint64_t)((double)cost->keeper_ticks * ns_per_tick);
}

static int by_count(const void *left, const void *right)
{
	const struct trap *a = left, *b = right;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return a->place < b->place ? -1 : a->place > b->place;
}

const struct trace_stats *stats_finish(struct stats *stats)
{
	size_t count = stats->trap_count;

	qsort(stats->traps, count, sizeof(stats->traps[0]), by_count);
	for (size_t i = STATS_TRAPS_SHOWN; i < count; i++)
		stats->shown.other_traps += stats->traps[i].count;
	stats->shown.traps = stats->traps;
	stats->shown.trap_count = count < STATS_TRAPS_SHOWN ? count : STATS_TRAPS_SHOWN;
	stats->shown.sites = stats->sites;
	return &stats->shown;
}

void stats_close(struct stats *stats)
{
	free(stats->sites);
	stats->sites = NULL;
}
