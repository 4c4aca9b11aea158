/* Allocation that does not fail: without memory the front can only stop; the keeper and the program go on. */
#ifndef VTRACE_FRONT_MEMORY_H
#define VTRACE_FRONT_MEMORY_H

#include <stdlib.h>
#include "die.h"

/* For what is filled before it is read: its pages are not touched yet. */
static inline void *allocate_unset(size_t bytes)
{
	void *at = malloc(bytes ? bytes : 1);

	if (!at)
		die(EXIT_CANNOT_TRACE, "out of memory");
	return at;
}

/* Zeroed. */
static inline void *allocate(size_t bytes)
{
	void *at = calloc(1, bytes ? bytes : 1);

	if (!at)
		die(EXIT_CANNOT_TRACE, "out of memory");
	return at;
}

static inline void *reallocate(void *old, size_t bytes)
{
	void *at = realloc(old, bytes);

	if (!at)
		die(EXIT_CANNOT_TRACE, "out of memory");
	return at;
}

#endif
