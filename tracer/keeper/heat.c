#include "heat.h"
#include <stdlib.h>
#include <string.h>
#include "../../sites/cache.h"

uint64_t heat_program(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */

	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 0x100000001b3ull;
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ull; /* paths that end differently differ in few bits */
	return (hash ^ hash >> 29) | 1;
}

static size_t bytes_of(const struct heat *heat)
{
	return (size_t)HEAT_PROGRAMS * (1 + heat->words) * sizeof(*heat->bits);
}

static uint64_t *row_at(const struct heat *heat, uint64_t program, uint32_t way)
{
	return heat->bits + ((program >> 8) % (HEAT_PROGRAMS / HEAT_WAYS) * HEAT_WAYS + way) * (1 + heat->words);
}

/* NULL: it has none. `program` 0 in a row: nobody's. */
static uint64_t *find(const struct heat *heat, uint64_t program, uint64_t holder)
{
	for (uint32_t way = 0; heat->bits && way < HEAT_WAYS; way++)
		if (row_at(heat, program, way)[0] == holder)
			return row_at(heat, program, way);
	return NULL;
}

void heat_open(struct heat *heat, const struct site_plan *plan)
{
	*heat = (struct heat){ .words = (plan->count + 63) / 64 };
	if (plan->count > HEAT_SITES_MAX)
		return;
	heat->bits = calloc(1, bytes_of(heat));
	if (heat->bits && site_cache_load_heat(plan, heat->bits, bytes_of(heat)) < 0)
		memset(heat->bits, 0, bytes_of(heat));
}

bool heat_knows(const struct heat *heat, uint64_t program)
{
	return find(heat, program, program);
}

bool heat_has(const struct heat *heat, uint64_t program, uint32_t site)
{
	const uint64_t *row = find(heat, program, program);

	return row && row[1 + site / 64] >> site % 64 & 1;
}

void heat_mark(struct heat *heat, uint64_t program, uint32_t site)
{
	uint64_t *row = find(heat, program, program);

	if (!heat->bits)
		return;
	if (!row)
		row = find(heat, program, 0);
	if (!row) {
		row = row_at(heat, program, (uint32_t)(program >> 40) % HEAT_WAYS);
		memset(row, 0, (1 + heat->words) * sizeof(*row));
	}
	row[0] = program;
	heat->dirty |= !(row[1 + site / 64] >> site % 64 & 1);
	row[1 + site / 64] |= 1ull << site % 64;
}

/* Into the program's row, or a free one. */
static void join(struct heat *heat, const uint64_t *other)
{
	for (uint32_t i = 0; i < HEAT_PROGRAMS; i++) {
		const uint64_t *from = other + i * (1 + heat->words);
		uint64_t *row = find(heat, from[0], from[0]);

		if (!row)
			row = find(heat, from[0], 0);
		for (uint32_t word = 0; from[0] && row && word <= heat->words; word++)
			row[word] |= from[word];
	}
}

void heat_close(struct heat *heat, const struct site_plan *plan)
{
	uint64_t *other = heat->dirty ? calloc(1, bytes_of(heat)) : NULL;

	if (other) {
		if (!site_cache_load_heat(plan, other, bytes_of(heat)))
			join(heat, other);
		site_cache_store_heat(plan, heat->bits, bytes_of(heat));
	}
	free(other);
	free(heat->bits);
	*heat = (struct heat){ 0 };
}
