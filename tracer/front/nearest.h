/* "Did you mean": the name closest to a mistyped one. */
#ifndef VTRACE_FRONT_NEAREST_H
#define VTRACE_FRONT_NEAREST_H

#include <stddef.h>

/* Insertions, deletions, replacements and swaps of neighbours. Names over 63 bytes count as far away. */
unsigned edit_distance(const char *a, const char *b);

struct nearest { const char *wanted, *best; unsigned distance; };
void nearest_offer(struct nearest *nearest, const char *name);
/* NULL when nothing is similar. */
const char *nearest_found(const struct nearest *nearest);

#endif
