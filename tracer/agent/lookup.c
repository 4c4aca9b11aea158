/* Runs in the tracee, called by its dynamic loader in place of _dl_lookup_symbol_x, on the program's stack: no libc,
 * no allocation, no locks (the loader holds its own). Answers a libc syscall function with its wrapper. */
#include <stdint.h>
#include <elf.h>
#include "wrappers.h"
#include "wrapper.h"

/* The public head of glibc's link_map (<link.h>). */
struct link_map_head { uint64_t base; const char *name; };

typedef struct link_map_head *(*lookup_function)(const char *name, void *from, const Elf64_Sym **found, void *scope,
						 const void *version, int type_class, int flags, void *skip);

extern const char redirect_names[];
extern const unsigned redirect_offsets[];
extern char agent_wrappers[];
extern char agent_export_lookup_original[];

uint64_t agent_real[WRAPPER_COUNT];
static Elf64_Sym answers[WRAPPER_COUNT];

static int compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

static int find_redirect(const char *name)
{
	int low = 0, high = WRAPPER_COUNT - 1;

	while (low <= high) {
		int middle = (low + high) / 2;
		int order = compare(name, redirect_names + redirect_offsets[middle]);

		if (!order)
			return middle;
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return -1;
}

static int is_libc(const char *path)
{
	const char *base = path;

	if (!path)
		return 0;
	for (; *path; path++)
		if (*path == '/')
			base = path + 1;
	return !compare(base, "libc.so.6") || !compare(base, "libpthread.so.0");
}

struct link_map_head *agent_export_lookup(const char *name, void *from, const Elf64_Sym **found, void *scope,
					  const void *version, int type_class, int flags, void *skip);

struct link_map_head *agent_export_lookup(const char *name, void *from, const Elf64_Sym **found, void *scope,
					  const void *version, int type_class, int flags, void *skip)
{
	lookup_function original = (lookup_function)(uint64_t)agent_export_lookup_original;
	struct link_map_head *map = original(name, from, found, scope, version, type_class, flags, skip);
	int index;

	if (!map || !found || !*found || ELF64_ST_TYPE((*found)->st_info) != STT_FUNC)
		return map;
	index = find_redirect(name);
	if (index < 0 || !is_libc(map->name))
		return map;
	uint64_t real = map->base + (*found)->st_value;

	/* Two versions of a name, or a second libc (dlmopen), have one wrapper only: the first keeps it. */
	if (agent_real[index] && agent_real[index] != real)
		return map;
	answers[index] = **found;
	answers[index].st_value = (uint64_t)agent_wrappers + (uint64_t)index * WRAPPER_BYTES - map->base;
	agent_real[index] = real;
	*found = &answers[index];
	return map;
}
