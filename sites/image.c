#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "image.h"

#ifndef DT_RELR
#define DT_RELR 36 /* glibc 2.36 */
#endif

#define PAGE 4096ull

bool image_headers(struct image *image, const uint8_t *bytes, size_t size)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)bytes;

	*image = (struct image){ .bytes = bytes, .size = size };
	if (size < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) || head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_machine != EM_X86_64 || (head->e_type != ET_DYN && head->e_type != ET_EXEC) ||
	    head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phoff > size || head->e_phoff % 8 ||
	    head->e_phnum * sizeof(Elf64_Phdr) > size - head->e_phoff)
		return false;
	image->fixed = head->e_type == ET_EXEC;
	image->rows = (const Elf64_Phdr *)(bytes + head->e_phoff);
	image->row_count = head->e_phnum;
	image->base = UINT64_MAX;
	for (int i = 0; i < image->row_count; i++)
		if (image->rows[i].p_type == PT_LOAD && image->rows[i].p_vaddr < image->base)
			image->base = image->rows[i].p_vaddr & ~(PAGE - 1);
	image->entry = head->e_entry ? head->e_entry - image->base : 0;
	return true;
}

int image_open(struct image *image, const uint8_t *bytes, size_t size, const uint8_t *file, size_t file_size)
{
	if (!image_headers(image, bytes, size))
		return -ENOEXEC;
	image->file = file;
	image->file_size = file_size;
	for (int i = 0; i < image->row_count; i++) {
		const Elf64_Phdr *row = &image->rows[i];
		uint64_t start = row->p_vaddr - image->base;

		if (row->p_type == PT_LOAD && (row->p_flags & PF_X) && row->p_filesz && start < size &&
		    row->p_filesz <= size - start && image->text_count < IMAGE_TEXTS)
			image->texts[image->text_count++] = (struct range){ start, start + row->p_filesz };
	}
	return image->text_count ? 0 : -ENOEXEC;
}

const struct range *image_text_at(const struct image *image, uint64_t at)
{
	for (int i = 0; i < image->text_count; i++)
		if (at - image->texts[i].start < image->texts[i].end - image->texts[i].start)
			return &image->texts[i];
	return NULL;
}

/* A bijection per word: a change of one word always changes the result. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

static uint64_t text_hash(const struct image *image, uint64_t hash)
{
	for (int i = 0; i < image->text_count; i++) {
		const uint8_t *at = image->bytes + image->texts[i].start;
		uint64_t left = image->texts[i].end - image->texts[i].start, word;

		for (; left; at += 8, left -= left < 8 ? left : 8) {
			word = 0;
			memcpy(&word, at, left < 8 ? left : 8);
			hash = mix(hash, word);
		}
	}
	return hash;
}

static bool build_id(const struct image *image, const Elf64_Phdr *row, struct site_key *key)
{
	uint64_t at = row->p_vaddr - image->base, end = at + row->p_filesz;

	if (at > image->size || row->p_filesz > image->size - at)
		return false;
	while (end - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;

		memcpy(&note, image->bytes + at, sizeof(note));
		uint64_t name = (note.n_namesz + 3ull) & ~3ull, content = (note.n_descsz + 3ull) & ~3ull;

		at += sizeof(note);
		if (name > end - at || content > end - at - name)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(image->bytes + at, "GNU", 4) &&
		    note.n_descsz && note.n_descsz <= SITES_BUILD_ID_MAX) {
			key->id_bytes = note.n_descsz;
			memcpy(key->id, image->bytes + at + name, note.n_descsz);
			return true;
		}
		at += name + content;
	}
	return false;
}

bool image_build_id(const struct image *image, struct site_key *key)
{
	*key = (struct site_key){ 0 };
	for (int i = 0; i < image->row_count; i++)
		if (image->rows[i].p_type == PT_LOAD && (image->rows[i].p_flags & PF_X))
			key->text_bytes += image->rows[i].p_filesz;
	for (int i = 0; i < image->row_count; i++)
		if (image->rows[i].p_type == PT_NOTE && build_id(image, &image->rows[i], key))
			return true;
	return false;
}

void image_key(const struct image *image, struct site_key *key)
{
	uint64_t hashes[2];

	if (image_build_id(image, key))
		return;
	hashes[0] = text_hash(image, 1);
	hashes[1] = text_hash(image, 0x243f6a8885a308d3ull);
	key->is_hash = 1;
	key->id_bytes = sizeof(hashes);
	memcpy(key->id, hashes, sizeof(hashes));
}

int functions_add(struct functions *functions, uint64_t start, uint64_t end)
{
	if (functions->count == functions->room) {
		size_t room = functions->room ? functions->room * 2 : 1024;
		struct function *rows = realloc(functions->rows, room * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		functions->rows = rows;
		functions->room = room;
	}
	functions->rows[functions->count++] = (struct function){ start, end };
	return 0;
}

/* Ends of the code in which a libc's cancellation looks for the interrupted thread: musl, glibc 2.41. */
static bool is_cancel_end(const char *name)
{
	return !strcmp(name, "__cp_end") || !strcmp(name, "__syscall_cancel_arch_end");
}

struct symbols {
	const Elf64_Sym *rows;
	uint64_t count;
	const char *names;
	uint64_t name_bytes;
};

static int symbols_collect(const struct image *image, struct symbols symbols, struct image_facts *facts)
{
	bool named = symbols.name_bytes && symbols.names[symbols.name_bytes - 1] == 0;

	for (uint64_t i = 0; i < symbols.count; i++) {
		Elf64_Sym symbol;

		memcpy(&symbol, &symbols.rows[i], sizeof(symbol));
		unsigned type = ELF64_ST_TYPE(symbol.st_info);
		uint64_t at = symbol.st_value - image->base;

		if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= SHN_LORESERVE)
			continue;
		const char *name = named && symbol.st_name < symbols.name_bytes ? symbols.names + symbol.st_name : "";

		if (is_cancel_end(name) && facts->cancel_end_count < IMAGE_CANCEL_ENDS)
			facts->cancel_ends[facts->cancel_end_count++] = at;
		facts->has_cancel |= !strcmp(name, "pthread_cancel");
		if (type != STT_FUNC && type != STT_GNU_IFUNC)
			continue;
		int err = functions_add(&facts->functions, at, at + symbol.st_size);

		if (err)
			return err;
	}
	return 0;
}

const Elf64_Shdr *image_section(const struct image *image, uint64_t index)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)image->file;

	if (!image->file || image->file_size < sizeof(*head) || head->e_shentsize != sizeof(Elf64_Shdr) || head->e_shoff % 8 ||
	    head->e_shoff > image->file_size || index >= head->e_shnum ||
	    head->e_shnum * sizeof(Elf64_Shdr) > image->file_size - head->e_shoff)
		return NULL;
	const Elf64_Shdr *row = (const Elf64_Shdr *)(image->file + head->e_shoff) + index;

	if (row->sh_type == SHT_NOBITS || row->sh_offset > image->file_size ||
	    row->sh_size > image->file_size - row->sh_offset)
		return NULL;
	return row;
}

static int file_symbols(const struct image *image, struct image_facts *facts)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)image->file;
	int err = 0;

	for (uint64_t i = 0; !err && i < head->e_shnum; i++) {
		const Elf64_Shdr *row = image_section(image, i), *names;

		if (!row || (row->sh_type != SHT_SYMTAB && row->sh_type != SHT_DYNSYM) || row->sh_offset % 8)
			continue;
		names = image_section(image, row->sh_link);
		err = symbols_collect(image, (struct symbols){
			(const Elf64_Sym *)(image->file + row->sh_offset), row->sh_size / sizeof(Elf64_Sym),
			names ? (const char *)image->file + names->sh_offset : NULL, names ? names->sh_size : 0 }, facts);
	}
	return err;
}

/* The dynamic section's value for `tag`, 0 when absent. Loaders may have relocated addresses in it already. */
static uint64_t dynamic(const struct image *image, int64_t tag)
{
	for (int i = 0; i < image->row_count; i++) {
		uint64_t at = image->rows[i].p_vaddr - image->base, bytes = image->rows[i].p_memsz;

		if (image->rows[i].p_type != PT_DYNAMIC || at > image->size || bytes > image->size - at)
			continue;
		for (; bytes >= sizeof(Elf64_Dyn); at += sizeof(Elf64_Dyn), bytes -= sizeof(Elf64_Dyn)) {
			Elf64_Dyn entry;

			memcpy(&entry, image->bytes + at, sizeof(entry));
			if (entry.d_tag == DT_NULL)
				break;
			if (entry.d_tag == tag)
				return entry.d_un.d_val;
		}
	}
	return 0;
}

/* .dynsym has no size of its own in memory; every linker puts .dynstr right behind it or the hash tables before it, so
 * the next table's address bounds it. Entries that are not functions in code are dropped later. */
static int image_symbols(const struct image *image, struct image_facts *facts)
{
	uint64_t table = dynamic(image, DT_SYMTAB) - image->base, names = dynamic(image, DT_STRTAB) - image->base;
	uint64_t name_bytes = dynamic(image, DT_STRSZ);

	facts->has_cancel = !dynamic(image, DT_NEEDED); /* a static program may hold a libc, stripped of names */
	if (table % 8 || table >= image->size || names <= table || names > image->size ||
	    (names - table) / sizeof(Elf64_Sym) > 1u << 20)
		return 0;
	return symbols_collect(image, (struct symbols){
		(const Elf64_Sym *)(image->bytes + table), (names - table) / sizeof(Elf64_Sym),
		(const char *)image->bytes + names, name_bytes <= image->size - names ? name_bytes : 0 }, facts);
}

static int pointer_found(const struct image *image, uint64_t address, struct image_facts *facts)
{
	uint64_t at = address - image->base;

	return image_text_at(image, at) ? functions_add(&facts->pointers, at, at) : 0;
}

/* The addends of R_X86_64_RELATIVE (and IRELATIVE): every pointer to code that sits in data. */
static int relative_pointers(const struct image *image, struct image_facts *facts)
{
	uint64_t table = dynamic(image, DT_RELA) - image->base, bytes = dynamic(image, DT_RELASZ);
	int err = 0;

	if (table >= image->size || bytes > image->size - table)
		return 0;
	for (uint64_t i = 0; !err && i < bytes / sizeof(Elf64_Rela); i++) {
		Elf64_Rela row;

		memcpy(&row, image->bytes + table + i * sizeof(row), sizeof(row));
		if (ELF64_R_TYPE(row.r_info) == R_X86_64_RELATIVE || ELF64_R_TYPE(row.r_info) == R_X86_64_IRELATIVE)
			err = pointer_found(image, (uint64_t)row.r_addend, facts);
	}
	return err;
}

/* Objects at a fixed address, and DT_RELR, have the pointers in place. */
static int pointers_in_place(const struct image *image, struct image_facts *facts)
{
	int err = 0;

	if (!image->fixed && !dynamic(image, DT_RELR))
		return 0;
	for (int i = 0; i < image->row_count; i++) {
		const Elf64_Phdr *row = &image->rows[i];
		uint64_t at = (row->p_vaddr - image->base + 7) & ~7ull, end = row->p_vaddr - image->base + row->p_filesz;

		if (row->p_type != PT_LOAD || (row->p_flags & PF_X) || end > image->size || end < at)
			continue;
		for (; !err && at + 8 <= end; at += 8) {
			uint64_t word;

			memcpy(&word, image->bytes + at, 8);
			err = pointer_found(image, word, facts);
		}
	}
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct function *one = a, *two = b;

	if (one->start != two->start)
		return one->start < two->start ? -1 : 1;
	return one->end > two->end ? -1 : one->end < two->end;
}

/* Sorts, cuts to the text and drops doubles. */
static void functions_tidy(const struct image *image, struct functions *functions)
{
	size_t kept = 0;

	if (functions->count)
		qsort(functions->rows, functions->count, sizeof(*functions->rows), by_start);
	for (size_t i = 0; i < functions->count; i++) {
		struct function row = functions->rows[i];
		const struct range *text = image_text_at(image, row.start);

		if (!text || (kept && functions->rows[kept - 1].start == row.start))
			continue;
		if (row.end < row.start || row.end > text->end)
			row.end = text->end;
		functions->rows[kept++] = row;
	}
	functions->count = kept;
}

int image_facts(const struct image *image, struct image_facts *facts)
{
	int err = unwind_functions(image, &facts->functions);

	if (!err && image->entry)
		err = functions_add(&facts->functions, image->entry, image->entry);
	if (!err)
		err = image_symbols(image, facts);
	if (!err && image->file)
		err = file_symbols(image, facts);
	if (!err)
		err = relative_pointers(image, facts);
	if (!err)
		err = pointers_in_place(image, facts);
	functions_tidy(image, &facts->functions);
	return err;
}
