#include <string.h>
#include "maps.h"
#include "memory.h"

/* Prefixes of base names; the first word of a row tells what they are. */
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
	map.kind = kind_of(map.object);
	insert(maps, first_after(maps, map.start), map);
	if (map.kind == OBJECT_LOADER)
		maps->has_loader = true;
}

static struct known_place look_up(const struct maps *maps, uint64_t addr)
{
	size_t at = addr ? first_after(maps, addr) : maps->count;
	struct known_place found = { .place.addr = addr, .raw = maps->has_loader ? RAW_YES : RAW_UNKNOWN };

	if (at == maps->count || maps->items[at].start > addr)
		return found;
	found.place.object = maps->items[at].object;
	found.place.offset = addr - maps->items[at].start + maps->items[at].offset;
	if (maps->items[at].kind != OBJECT_OTHER)
		found.raw = RAW_NO;
	return found;
}

static const struct known_place *known_at(struct maps *maps, uint64_t addr)
{
	struct known_place *known = &maps->known[addr * 0x9e3779b97f4a7c15ull >> 32 & (MAPS_KNOWN - 1)];

	if (known->place.addr != addr || !addr)
		*known = look_up(maps, addr);
	return known;
}

struct place maps_find(struct maps *maps, uint64_t addr)
{
	return known_at(maps, addr)->place;
}

enum raw_state maps_raw(struct maps *maps, uint64_t addr)
{
	return known_at(maps, addr)->raw;
}
