#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "choose.h"

#define IMAGE_MAX (1ull << 30)

static size_t candidates(const struct sweep *sweep, struct site_plan *plan)
{
	size_t count = 0;

	if (!sweep->sites)
		return 0;
	for (int i = 0; i < sweep->image->text_count; i++)
		for (uint64_t at = 0; (at = sweep_next_bytes(sweep, i, at)); at++) {
			if (!bit_test(sweep->sites, at) && sweep_covers(sweep, at))
				continue; /* part of some other instruction */
			if (plan)
				choose_before(sweep, at, &plan->sites[count]);
			count++;
		}
	return count;
}

static int make_plan(const struct sweep *sweep, const struct image_facts *facts, struct site_plan **plan)
{
	size_t count = candidates(sweep, NULL);

	if (count > SITES_MAX)
		return -E2BIG;
	*plan = calloc(1, sizeof(**plan) + count * sizeof(struct site));
	if (!*plan)
		return -ENOMEM;
	image_key(sweep->image, &(*plan)->key);
	(*plan)->count = (uint32_t)count;
	(*plan)->functions = sweep->functions;
	(*plan)->decoded_bytes = sweep->decoded_bytes;
	candidates(sweep, *plan);
	for (size_t i = 0; i < count; i++) {
		const struct site *next = i + 1 < count ? &(*plan)->sites[i + 1] : NULL;

		choose_after(sweep, facts, next ? next->patch : UINT64_MAX, &(*plan)->sites[i]);
	}
	return 0;
}

static int analyse(const uint8_t *bytes, size_t size, const uint8_t *file, size_t file_size, struct site_plan **plan)
{
	struct image image;
	struct image_facts facts = { 0 };
	struct sweep sweep = { 0 };
	int err = image_open(&image, bytes, size, file, file_size);

	*plan = NULL;
	if (err)
		return err;
	err = image_facts(&image, &facts);
	if (!err)
		err = sweep_run(&sweep, &image, &facts);
	if (!err)
		err = make_plan(&sweep, &facts, plan);
	sweep_destroy(&sweep);
	free(facts.functions.rows);
	free(facts.pointers.rows);
	return err;
}

int sites_analyse(const uint8_t *image, size_t bytes, struct site_plan **plan)
{
	return analyse(image, bytes, NULL, 0, plan);
}

int sites_key(const uint8_t *bytes, size_t size, struct site_key *key)
{
	struct image image;
	int err = image_open(&image, bytes, size, NULL, 0);

	if (!err)
		image_key(&image, key);
	return err;
}

/* An object read from a file: its PT_LOADs in their places, and of the file itself what the image lacks (symbols and
 * section names; the rest is zeros). Read, not mapped: the file may be cut while we look at it. */
struct loaded {
	uint8_t *image, *file;
	size_t size, file_size;
};

static uint8_t *memory_map(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void loaded_destroy(struct loaded *loaded)
{
	if (loaded->image)
		munmap(loaded->image, loaded->size);
	if (loaded->file)
		munmap(loaded->file, loaded->file_size);
}

/* Fills part of the copy of the file. Short files leave zeros. */
static void file_part(int fd, struct loaded *loaded, uint64_t offset, uint64_t bytes)
{
	if (offset <= loaded->file_size && bytes <= loaded->file_size - offset &&
	    pread(fd, loaded->file + offset, bytes, (off_t)offset) < 0)
		return;
}

static void load_sections(int fd, struct loaded *loaded)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)loaded->file;

	if (head->e_shentsize != sizeof(Elf64_Shdr) || head->e_shoff % 8 || head->e_shoff > loaded->file_size ||
	    head->e_shnum * sizeof(Elf64_Shdr) > loaded->file_size - head->e_shoff)
		return;
	file_part(fd, loaded, head->e_shoff, head->e_shnum * sizeof(Elf64_Shdr));
	const Elf64_Shdr *rows = (const Elf64_Shdr *)(loaded->file + head->e_shoff);

	for (int i = 0; i < head->e_shnum; i++)
		if (rows[i].sh_type == SHT_SYMTAB || (rows[i].sh_type == SHT_STRTAB && !(rows[i].sh_flags & SHF_ALLOC)))
			file_part(fd, loaded, rows[i].sh_offset, rows[i].sh_size);
}

/* The span of the PT_LOADs in memory. */
static bool loads_span(const Elf64_Phdr *rows, int count, size_t file_size, uint64_t *low, uint64_t *high)
{
	*low = UINT64_MAX;
	*high = 0;
	for (int i = 0; i < count; i++) {
		const Elf64_Phdr *row = &rows[i];

		if (row->p_type != PT_LOAD)
			continue;
		if (row->p_vaddr + row->p_memsz < row->p_vaddr || row->p_filesz > row->p_memsz ||
		    row->p_offset > file_size || row->p_filesz > file_size - row->p_offset)
			return false;
		*low = row->p_vaddr < *low ? row->p_vaddr : *low;
		*high = row->p_vaddr + row->p_memsz > *high ? row->p_vaddr + row->p_memsz : *high;
	}
	*low &= ~4095ull;
	return *low < *high && *high - *low <= IMAGE_MAX;
}

/* `sections` false: the image only. loaded_destroy in any case. */
static int load(int fd, bool sections, struct loaded *loaded)
{
	struct stat st;
	uint64_t low, high;

	*loaded = (struct loaded){ 0 };
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr))
		return -ENOEXEC;
	loaded->file_size = (size_t)st.st_size;
	loaded->file = memory_map(loaded->file_size);
	if (!loaded->file)
		return -ENOMEM;
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)loaded->file;

	file_part(fd, loaded, 0, sizeof(*head));
	if (memcmp(head->e_ident, ELFMAG, SELFMAG) || head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phoff % 8 || head->e_phoff > loaded->file_size ||
	    head->e_phnum * sizeof(Elf64_Phdr) > loaded->file_size - head->e_phoff)
		return -ENOEXEC;
	file_part(fd, loaded, head->e_phoff, head->e_phnum * sizeof(Elf64_Phdr));
	const Elf64_Phdr *rows = (const Elf64_Phdr *)(loaded->file + head->e_phoff);

	if (!loads_span(rows, head->e_phnum, loaded->file_size, &low, &high))
		return -ENOEXEC;
	loaded->size = high - low;
	loaded->image = memory_map(loaded->size);
	if (!loaded->image)
		return -ENOMEM;
	for (int i = 0; i < head->e_phnum; i++)
		if (rows[i].p_type == PT_LOAD && pread(fd, loaded->image + (rows[i].p_vaddr - low), rows[i].p_filesz,
						       (off_t)rows[i].p_offset) != (ssize_t)rows[i].p_filesz)
			return -ENOEXEC;
	if (sections)
		load_sections(fd, loaded);
	return 0;
}

/* The key of an object whose headers and notes lie in its first page, as linkers put them: one read. -ENOENT: they
 * do not, or there is no build-id. */
static int key_of_headers(int fd, struct site_key *key)
{
	_Alignas(8) uint8_t page[4096];
	struct image image;
	ssize_t got = pread(fd, page, sizeof(page), 0);

	if (got < (ssize_t)sizeof(Elf64_Ehdr))
		return got < 0 ? -errno : -ENOEXEC;
	if (!image_headers(&image, page, (size_t)got))
		return -ENOENT;
	return image_build_id(&image, key) ? 0 : -ENOENT;
}

int sites_analyse_fd(int fd, struct site_plan **plan)
{
	struct loaded loaded;
	int err = load(fd, true, &loaded);

	*plan = NULL;
	if (!err)
		err = analyse(loaded.image, loaded.size, loaded.file, loaded.file_size, plan);
	loaded_destroy(&loaded);
	return err;
}

int sites_analyse_file(const char *path, struct site_plan **plan)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	*plan = NULL;
	if (fd < 0)
		return -errno;
	err = sites_analyse_fd(fd, plan);
	close(fd);
	return err;
}

int sites_key_fd(int fd, struct site_key *key)
{
	struct loaded loaded;
	int err = key_of_headers(fd, key);

	if (err != -ENOENT)
		return err;
	err = load(fd, false, &loaded);
	if (!err)
		err = sites_key(loaded.image, loaded.size, key);
	loaded_destroy(&loaded);
	return err;
}

void sites_destroy(struct site_plan *plan)
{
	free(plan);
}

const char *site_why_text(uint8_t why)
{
	static const char *const texts[SITE_WHY_COUNT] = {
		[SITE_WHY_NONE] = "rewritten",
		[SITE_WHY_NO_BOUNDS] = "not in a function whose start is known",
		[SITE_WHY_SIGRETURN] = "rt_sigreturn",
		[SITE_WHY_NO_ROOM] = "too few instructions around it can be moved",
		[SITE_WHY_BRANCH] = "a branch leads into the bytes around it",
		[SITE_WHY_RIP_RELATIVE] = "an operand around it is relative to RIP",
		[SITE_WHY_CANCEL] = "the libc's cancellation looks at the address behind it",
		[SITE_WHY_OVERLAP] = "the bytes around it can be read in two ways",
		[SITE_WHY_UNSEEN_JUMP] = "its function computes jumps in a way that is not followed",
	};

	return why < SITE_WHY_COUNT ? texts[why] : "?";
}
