#include "heat.h"
#include <stdlib.h>
#include <string.h>
#include "../../sites/cache.h"

uint64_t heat_program(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */

	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 0x100000001b3ull;
	return hash | 1;
}

static size_t bytes_of(const struct heat *heat)
{
	return (size_t)HEAT_PROGRAMS * (1 + heat->words) * sizeof(*heat->bits);
}

static uint64_t *row_of(const struct heat *heat, uint64_t program)
{
	return heat->bits + (program >> 32) % HEAT_PROGRAMS * (1 + heat->words);
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
	return heat->bits && row_of(heat, program)[0] == program;
}

bool heat_has(const struct heat *heat, uint64_t program, uint32_t site)
{
	return heat_knows(heat, program) && row_of(heat, program)[1 + site / 64] >> site % 64 & 1;
}

void heat_mark(struct heat *heat, uint64_t program, uint32_t site)
{
	if (!heat->bits)
		return;
	uint64_t *row = row_of(heat, program);

	if (row[0] != program)
		memset(row, 0, (1 + heat->words) * sizeof(*row));
	row[0] = program;
	heat->dirty |= !(row[1 + site / 64] >> site % 64 & 1);
	row[1 + site / 64] |= 1ull << site % 64;
}

/* Rows that are free here are taken over; rows of the same program are joined. */
static void join(struct heat *heat, const uint64_t *other)
{
	for (uint32_t program = 0; program < HEAT_PROGRAMS; program++) {
		uint64_t *row = heat->bits + program * (1 + heat->words);
		const uint64_t *from = other + program * (1 + heat->words);

		if (row[0] && row[0] != from[0])
			continue;
		for (uint32_t i = 0; i <= heat->words; i++)
			row[i] |= from[i];
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
