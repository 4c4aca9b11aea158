/* Which sites of an object each program uses, remembered across sessions: they are rewritten when the object is mapped, so that a
 * short program need not be stopped once for each. A fixed number of programs, so the file on disk has a fixed size. */
#ifndef VTRACE_KEEPER_HEAT_H
#define VTRACE_KEEPER_HEAT_H

#include <stdbool.h>
#include <stdint.h>
#include "../../sites/plan.h"

#define HEAT_PROGRAMS 256u
#define HEAT_WAYS 4u /* rows a program may have: when all are taken, one is lost */
#define HEAT_SITES_MAX 4096u /* objects with more are not remembered */

struct heat {
	uint32_t words;                   /* per program */
	bool dirty;
	uint64_t *bits;                   /* [HEAT_PROGRAMS][1 + words]: the program (0: none), a bit per site */
};

/* A program, by the path of its executable; never 0. */
uint64_t heat_program(const char *path);
/* From the cache, or empty; without memory it remembers nothing. */
void heat_open(struct heat *heat, const struct site_plan *plan);
bool heat_knows(const struct heat *heat, uint64_t program);
bool heat_has(const struct heat *heat, uint64_t program, uint32_t site);
void heat_mark(struct heat *heat, uint64_t program, uint32_t site);
/* Into the cache, what another session has put there meanwhile included. */
void heat_close(struct heat *heat, const struct site_plan *plan);

#endif
