#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "choose.h"

#define IMAGE_MAX (1ull << 32)

static bool is_candidate(const struct sweep *sweep, const struct range *text, uint64_t at)
{
	const uint8_t *bytes = sweep->image->bytes;

	if (bit_test(sweep->sites, at))
		return true;
	if (at + 1 >= text->end || bytes[at] != 0x0f || bytes[at + 1] != 0x05)
		return false;
	return !sweep_covers(sweep, at); /* else they are part of some instruction */
}

static size_t candidates(const struct sweep *sweep, struct site_plan *plan)
{
	size_t count = 0;

	for (int i = 0; i < sweep->image->text_count; i++) {
		const struct range *text = &sweep->image->texts[i];
		const uint8_t *bytes = sweep->image->bytes, *at = bytes + text->start, *end = bytes + text->end;

		for (; (at = memmem(at, (size_t)(end - at), "\x0f\x05", 2)); at++) {
			if (!is_candidate(sweep, text, (uint64_t)(at - bytes)))
				continue;
			if (plan)
				choose_before(sweep, (uint64_t)(at - bytes), &plan->sites[count]);
			count++;
		}
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

/* Lays the PT_LOADs out in memory as the kernel would. -ENOEXEC: no such thing can be done with this file. */
static int lay_out(const uint8_t *file, size_t file_size, uint8_t **bytes, size_t *size)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)file;
	uint64_t low = UINT64_MAX, high = 0;

	if (file_size < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) ||
	    head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phoff % 8 ||
	    head->e_phoff > file_size || head->e_phnum * sizeof(Elf64_Phdr) > file_size - head->e_phoff)
		return -ENOEXEC;
	const Elf64_Phdr *rows = (const Elf64_Phdr *)(file + head->e_phoff);

	for (int i = 0; i < head->e_phnum; i++) {
		const Elf64_Phdr *row = &rows[i];

		if (row->p_type != PT_LOAD)
			continue;
		if (row->p_vaddr + row->p_memsz < row->p_vaddr || row->p_filesz > row->p_memsz ||
		    row->p_offset > file_size || row->p_filesz > file_size - row->p_offset)
			return -ENOEXEC;
		low = row->p_vaddr < low ? row->p_vaddr : low;
		high = row->p_vaddr + row->p_memsz > high ? row->p_vaddr + row->p_memsz : high;
	}
	low &= ~4095ull;
	if (low >= high || high - low > IMAGE_MAX)
		return -ENOEXEC;
	*size = high - low;
	*bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*bytes == MAP_FAILED)
		return -ENOMEM;
	for (int i = 0; i < head->e_phnum; i++)
		if (rows[i].p_type == PT_LOAD)
			memcpy(*bytes + (rows[i].p_vaddr - low), file + rows[i].p_offset, rows[i].p_filesz);
	return 0;
}

int sites_analyse_file(const char *path, struct site_plan **plan)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct stat st;
	uint8_t *bytes;
	size_t size;

	*plan = NULL;
	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) || st.st_size == 0 ? -ENOEXEC : 0;
	if (err)
		goto close_fd;
	const uint8_t *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (file == MAP_FAILED) {
		err = -errno;
		goto close_fd;
	}
	err = lay_out(file, (size_t)st.st_size, &bytes, &size);
	if (err)
		goto unmap_file;
	err = analyse(bytes, size, file, (size_t)st.st_size, plan);
	munmap(bytes, size);
unmap_file:
	munmap((void *)file, (size_t)st.st_size);
close_fd:
	close(fd);
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
