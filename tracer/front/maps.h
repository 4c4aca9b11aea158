/* The executable mappings of a process: from an address to a file and an offset in it. */
#ifndef VTRACE_FRONT_MAPS_H
#define VTRACE_FRONT_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "format.h"

struct map { uint64_t start, end, offset; const char *object; /* interned */ };
/* Sorted by start, without overlaps. */
struct maps { struct map *items; size_t count, capacity; bool has_loader; };

void maps_close(struct maps *maps);
void maps_clear(struct maps *maps);
void maps_copy(struct maps *to, const struct maps *from);
/* Replaces what it overlaps. An empty object only removes. */
void maps_add(struct maps *maps, struct map map);
void maps_remove(struct maps *maps, uint64_t start, uint64_t end);
/* object NULL where nothing is known to be mapped. */
struct place maps_find(const struct maps *maps, uint64_t addr);
/* Did a syscall at that place escape libc and its loader? */
enum raw_state maps_raw(const struct maps *maps, struct place site);

#endif
