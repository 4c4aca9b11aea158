/* The executable mappings of a process: from an address to a file and an offset in it. */
#ifndef VTRACE_FRONT_MAPS_H
#define VTRACE_FRONT_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "format.h"

enum object_kind { OBJECT_OTHER, OBJECT_LIBC, OBJECT_LOADER };
struct map { uint64_t start, end, offset; const char *object; /* interned */ enum object_kind kind; /* maps_add() finds it */ };
/* What was found at an address; addr 0: nothing yet. */
struct known_place { struct place place; enum raw_state raw; };
#define MAPS_KNOWN 32u /* a power of two; a process makes its calls from few places */

/* Items sorted by start, without overlaps. `known` is forgotten when they change. */
struct maps { struct map *items; size_t count, capacity; bool has_loader; struct known_place known[MAPS_KNOWN]; };

void maps_close(struct maps *maps);
void maps_clear(struct maps *maps);
void maps_copy(struct maps *to, const struct maps *from);
/* Replaces what it overlaps. An empty object only removes. */
void maps_add(struct maps *maps, struct map map);
void maps_remove(struct maps *maps, uint64_t start, uint64_t end);
/* object NULL where nothing is known to be mapped. */
struct place maps_find(struct maps *maps, uint64_t addr);
/* Did a syscall at that address escape libc and its loader? */
enum raw_state maps_raw(struct maps *maps, uint64_t addr);

#endif
