/* Runs in the tracee, called by its dynamic loader in place of _dl_lookup_symbol_x, on the program's stack: no libc,
 * no allocation, no locks (the loader holds its own). Answers a libc syscall function with its wrapper. */
#include <stdint.h>
#include <elf.h>
#include "agent.h"
#include "wrappers.h"
#include "wrapper.h"

/* The public head of glibc's link_map (<link.h>). */
struct link_map_head { uint64_t base; const char *name; const Elf64_Dyn *dynamic; };

typedef struct link_map_head *(*lookup_function)(const char *name, void *from, const Elf64_Sym **found, void *scope,
						 const void *version, int type_class, int flags, void *skip);

extern const char redirect_names[];
extern const unsigned redirect_offsets[];
extern const char vdso_names[];
extern const unsigned vdso_offsets[];
extern char agent_wrappers[], agent_vdso_wrappers[];
extern struct agent_config agent_config;
extern char agent_export_lookup_original[];

uint64_t agent_real[WRAPPER_COUNT], agent_vdso_real[VDSO_COUNT + 1];
static Elf64_Sym answers[WRAPPER_COUNT], vdso_answers[VDSO_COUNT + 1];

static int compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

static int find_name(const char *name, const char *names, const unsigned *offsets, int count)
{
	int low = 0, high = count - 1;

	while (low <= high) {
		int middle = (low + high) / 2;
		int order = compare(name, names + offsets[middle]);

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

/* The loader relocates the addresses in the dynamic section of most objects in place. */
static uint64_t dynamic_address(const struct link_map_head *map, int64_t tag)
{
	for (const Elf64_Dyn *at = map->dynamic; at && at->d_tag != DT_NULL; at++)
		if (at->d_tag == tag)
			return at->d_un.d_ptr < map->base ? at->d_un.d_ptr + map->base : at->d_un.d_ptr;
	return 0;
}

static uint64_t dynamic_value(const struct link_map_head *map, int64_t tag)
{
	for (const Elf64_Dyn *at = map->dynamic; at && at->d_tag != DT_NULL; at++)
		if (at->d_tag == tag)
			return at->d_un.d_val;
	return 0;
}

/* Whether libc's GOT leads to the loader's data already, the one thing its resolvers for the vDSO functions need. Before
 * libc is relocated (the loader, too, may be asked to bind in such an order) they would crash. */
static int resolvers_work(const struct link_map_head *libc)
{
	const Elf64_Rela *rows = (const Elf64_Rela *)dynamic_address(libc, DT_RELA);
	const Elf64_Sym *symbols = (const Elf64_Sym *)dynamic_address(libc, DT_SYMTAB);
	const char *names = (const char *)dynamic_address(libc, DT_STRTAB);
	uint64_t count = dynamic_value(libc, DT_RELASZ) / sizeof(*rows);

	for (uint64_t i = 0; rows && symbols && names && i < count; i++)
		if (ELF64_R_TYPE(rows[i].r_info) == R_X86_64_GLOB_DAT &&
		    !compare(names + symbols[ELF64_R_SYM(rows[i].r_info)].st_name, "_rtld_global_ro"))
			return *(const uint64_t *)(libc->base + rows[i].r_offset) != 0;
	return 0;
}

/* Where calls of the symbol end: its value, or what its resolver chooses. 0: it stays as it is. */
static uint64_t real_address(const struct link_map_head *map, const Elf64_Sym *symbol)
{
	uint64_t address = map->base + symbol->st_value;

	if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC)
		return address;
	if (ELF64_ST_TYPE(symbol->st_info) != STT_GNU_IFUNC || !resolvers_work(map))
		return 0;
	return ((uint64_t (*)(void))address)();
}

/* Answers with the wrapper. Two versions of a name, or a second libc (dlmopen), have one wrapper only: the first keeps it. */
static void answer(const struct link_map_head *map, const Elf64_Sym **found, uint64_t real, uint64_t *known,
		   Elf64_Sym *symbol, const char *wrapper)
{
	if (!real || (*known && *known != real))
		return;
	*symbol = **found;
	symbol->st_info = ELF64_ST_INFO(ELF64_ST_BIND((*found)->st_info), STT_FUNC);
	symbol->st_value = (uint64_t)wrapper - map->base;
	*known = real;
	*found = symbol;
}

struct link_map_head *agent_export_lookup(const char *name, void *from, const Elf64_Sym **found, void *scope,
					  const void *version, int type_class, int flags, void *skip);

struct link_map_head *agent_export_lookup(const char *name, void *from, const Elf64_Sym **found, void *scope,
					  const void *version, int type_class, int flags, void *skip)
{
	lookup_function original = (lookup_function)(uint64_t)agent_export_lookup_original;
	struct link_map_head *map = original(name, from, found, scope, version, type_class, flags, skip);
	int index;

	if (!map || !found || !*found)
		return map;
	index = find_name(name, redirect_names, redirect_offsets, WRAPPER_COUNT);
	if (index >= 0 && is_libc(map->name))
		answer(map, found, real_address(map, *found), &agent_real[index], &answers[index],
		       agent_wrappers + index * WRAPPER_BYTES);
	if (index >= 0 || !agent_config.vdso)
		return map;
	/* libc, or the loader for it, asks for these once. */
	index = find_name(name, vdso_names, vdso_offsets, VDSO_COUNT);
	if (index >= 0 && ELF64_ST_TYPE((*found)->st_info) == STT_FUNC && (*found)->st_shndx != SHN_ABS)
		answer(map, found, map->base + (*found)->st_value, &agent_vdso_real[index], &vdso_answers[index],
		       agent_vdso_wrappers + index * WRAPPER_BYTES);
	return map;
}
