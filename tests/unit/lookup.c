/* loader-patch: the lookup function is found in this host's loader, which is stripped or not, and not in musl's. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lookup.h"

#define CHECK(what) do { if (!(what)) { printf("%s:%d: %s\n", __FILE__, __LINE__, #what); failures++; } } while (0)
static int failures;

/* The file laid out as the kernel maps it. NULL when there is no such file. */
static uint8_t *load(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	uint8_t *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *image;
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)file;
	const Elf64_Phdr *rows = (const Elf64_Phdr *)(file + head->e_phoff);

	*bytes = 0;
	for (int i = 0; i < head->e_phnum; i++)
		if (rows[i].p_type == PT_LOAD && rows[i].p_vaddr + rows[i].p_memsz > *bytes)
			*bytes = rows[i].p_vaddr + rows[i].p_memsz;
	image = calloc(1, *bytes + 64);
	for (int i = 0; i < head->e_phnum; i++)
		if (rows[i].p_type == PT_LOAD)
			memcpy(image + rows[i].p_vaddr, file + rows[i].p_offset, rows[i].p_filesz);
	close(fd);
	return image;
}

static void found_in_the_hosts_loader(void)
{
	const char *why = "";
	size_t bytes;
	uint8_t *image = load("/lib64/ld-linux-x86-64.so.2", &bytes);

	CHECK(image != NULL);
	uint64_t function = lookup_find(image, bytes, &why);

	if (!function)
		printf("reason: %s\n", why);
	CHECK(function > 0x1000 && function < bytes);
	CHECK(lookup_prologue(image + function, 64) >= LOOKUP_JUMP_BYTES);
	free(image);
}

static void not_found_with_a_reason(const uint8_t *image, size_t bytes)
{
	const char *why = NULL;

	CHECK(lookup_find(image, bytes, &why) == 0);
	CHECK(why && *why);
}

static void damaged_images_are_refused(void)
{
	size_t bytes;
	uint8_t *image = load("/lib64/ld-linux-x86-64.so.2", &bytes);

	for (size_t cut = 0; cut < 4096; cut += 7)
		not_found_with_a_reason(image, cut);
	srand(1);
	for (int round = 0; round < 200; round++) {
		const char *why;

		for (int i = 0; i < 8; i++)
			image[rand() % 1024] = (uint8_t)rand();
		lookup_find(image, bytes, &why); /* any answer, no crash */
	}
	free(image);
}

static void prologues_that_cannot_be_moved_are_refused(void)
{
	static const uint8_t rip_relative[32] = { 0x48, 0x8d, 0x05, 1, 2, 3, 4, 0x90 };
	static const uint8_t returns[32] = { 0x55, 0xc3 };
	static const uint8_t pushes[32] = { 0x41, 0x57, 0x41, 0x56, 0x41, 0x55, 0x41, 0x54, 0x55, 0x48, 0x89, 0xe5, 0x90 };

	CHECK(lookup_prologue(rip_relative, sizeof(rip_relative)) == 0);
	CHECK(lookup_prologue(returns, sizeof(returns)) == 0);
	CHECK(lookup_prologue(pushes, sizeof(pushes)) == 12);
}

int main(void)
{
	size_t bytes;
	uint8_t *musl = load("/lib/ld-musl-x86_64.so.1", &bytes);

	found_in_the_hosts_loader();
	damaged_images_are_refused();
	prologues_that_cannot_be_moved_are_refused();
	if (musl)
		not_found_with_a_reason(musl, bytes);
	free(musl);
	return failures != 0;
}
