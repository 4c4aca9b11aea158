#include <string.h>
#include "maps.h"
#include "memory.h"

/* Prefixes of base names; the first word of a row tells what they are. */
enum object_kind { OBJECT_OTHER, OBJECT_LIBC, OBJECT_LOADER };
struct object_row { enum object_kind kind; const char *prefix; };
static const struct object_row object_rows[] = {
	{ OBJECT_LIBC, "libc.so.6" }, { OBJECT_LIBC, "libc-2." }, { OBJECT_LIBC, "libpthread" },
	{ OBJECT_LIBC, "[vdso]" }, { OBJECT_LIBC, "libc.musl" },
	{ OBJECT_LOADER, "ld-linux" }, { OBJECT_LOADER, "ld-2." }, { OBJECT_LOADER, "ld-musl" },
};

static enum object_kind kind_of(const char *object)
{
	const char *slash = strrchr(object, '/'), *base = slash ? slash + 1 : object;

	for (size_t i = 0; i < sizeof(object_rows) / sizeof(object_rows[0]); i++)
		if (!strncmp(base, object_rows[i].prefix, strlen(object_rows[i].prefix)))
			return object_rows[i].kind;
	return OBJECT_OTHER;
}

void maps_close(struct maps *maps)
{
	free(maps->items);
	*maps = (struct maps){ 0 };
}

static void forget(struct maps *maps)
{
	memset(maps->known, 0, sizeof(maps->known));
}

void maps_clear(struct maps *maps)
{
	forget(maps);
	maps->count = 0;
	maps->has_loader = false;
}

static void reserve(struct maps *maps, size_t count)
{
	if (count <= maps->capacity)
		return;
	maps->capacity = count * 2;
	maps->items = reallocate(maps->items, maps->capacity * sizeof(*maps->items));
}

void maps_copy(struct maps *to, const struct maps *from)
{
	forget(to);
	reserve(to, from->count);
	if (from->count)
		memcpy(to->items, from->items, from->count * sizeof(*from->items));
	to->count = from->count;
	to->has_loader = from->has_loader;
}

/* First mapping that ends above addr. */
static size_t first_after(const struct maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->items[middle].end > addr)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void insert(struct maps *maps, size_t at, struct map map)
{
	reserve(maps, maps->count + 1);
	memmove(&maps->items[at + 1], &maps->items[at], (maps->count - at) * sizeof(*maps->items));
	maps->items[at] = map;
	maps->count++;
}

/* Parts of a mapping that lie outside the range stay. */
void maps_remove(struct maps *maps, uint64_t start, uint64_t end)
{
	size_t at = first_after(maps, start);

	forget(maps);
	while (start < end && at < maps->count && maps->items[at].start < end) {
		struct map old = maps->items[at], tail = old;

		if (old.start < start) {
			maps->items[at++].end = start;
		} else {
			memmove(&maps->items[at], &maps->items[at + 1], (maps->count - at - 1) * sizeof(old));
			maps->count--;
		}
		if (old.end > end) {
			tail.offset += end - tail.start;
			tail.start = end;
			insert(maps, at, tail);
			return;
		}
	}
}

void maps_add(struct maps *maps, struct map map)
{
	if (map.start >= map.end)
		return;
	maps_remove(maps, map.start, map.end);
	if (!map.object || !map.object[0])
		return;
	insert(maps, first_after(maps, map.start), map);
	if (kind_of(map.object) == OBJECT_LOADER)
		maps->has_loader = true;
}

static struct place look_up(const struct maps *maps, uint64_t addr)
{
	size_t at = first_after(maps, addr);
	struct place place = { .addr = addr };

	if (at == maps->count || maps->items[at].start > addr)
		return place;
	place.object = maps->items[at].object;
	place.offset = addr - maps->items[at].start + maps->items[at].offset;
	return place;
}

static enum raw_state raw_at(const struct maps *maps, const struct place *site)
{
	if (site->object && kind_of(site->object) != OBJECT_OTHER)
		return RAW_NO;
	return maps->has_loader ? RAW_YES : RAW_UNKNOWN;
}

static const struct known_place *known_at(struct maps *maps, uint64_t addr)
{
	struct known_place *known = &maps->known[addr * 0x9e3779b97f4a7c15ull >> 32 & (MAPS_KNOWN - 1)];

	if (known->place.addr != addr) {
		known->place = look_up(maps, addr);
		known->raw = raw_at(maps, &known->place);
	}
	return known;
}

struct place maps_find(struct maps *maps, uint64_t addr)
{
	return addr ? known_at(maps, addr)->place : (struct place){ 0 };
}

enum raw_state maps_raw(struct maps *maps, uint64_t addr)
{
	return addr ? known_at(maps, addr)->raw : raw_at(maps, &(struct place){ 0 });
}
