/* The dynamic loader's lookup function is detoured into the agent, so that libc's names are bound to wrappers. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include "agent_symbols.h"
#include "keeper.h"
#include "../../loader-patch/lookup.h"
#include "../../sites/cache.h"

/* Bytes the loader's image spans, from its program headers in memory; 0 when they make no sense. */
static size_t image_bytes(struct keeper *k, pid_t tid, uint64_t base)
{
	Elf64_Ehdr head;
	Elf64_Phdr rows[32];
	uint64_t end = 0;

	if (tracee_read(k, tid, base, &head, sizeof(head)) || head.e_phnum > 32 ||
	    tracee_read(k, tid, base + head.e_phoff, rows, head.e_phnum * sizeof(rows[0])))
		return 0;
	for (int i = 0; i < head.e_phnum; i++)
		if (rows[i].p_type == PT_LOAD && !(rows[i].p_flags & PF_W) && rows[i].p_vaddr + rows[i].p_memsz > end)
			end = rows[i].p_vaddr + rows[i].p_memsz;
	return end < 64u << 20 ? (size_t)end : 0;
}

/* Reads what is mapped of [base, base + bytes). A loader may have holes, and what the kernel copies ends with the last whole
 * piece before one: each page is a piece. */
static void read_image(pid_t tid, uint64_t base, uint8_t *image, size_t bytes)
{
	struct iovec pages[64];
	size_t at = 0;

	while (at < bytes) {
		size_t asked = 0, count = 0;

		for (; count < sizeof(pages) / sizeof(pages[0]) && at + asked < bytes; count++) {
			size_t part = bytes - at - asked < 4096 ? bytes - at - asked : 4096;

			pages[count] = (struct iovec){ (void *)(base + at + asked), part };
			asked += part;
		}
		ssize_t got = process_vm_readv(tid, &(struct iovec){ image + at, asked }, 1, pages, count, 0);

		at += got == (ssize_t)asked ? asked : (got > 0 ? (size_t)got : 0) + 4096;
	}
}

static int write_detour(struct keeper *k, pid_t tid, uint64_t function, const uint8_t *code)
{
	uint8_t moved[LOOKUP_MOVED_MAX + LOOKUP_JUMP_BYTES], jump[LOOKUP_JUMP_BYTES];
	size_t bytes = lookup_prologue(code, LOOKUP_MOVED_MAX + 15);

	memcpy(moved, code, bytes);
	lookup_jump(moved + bytes, function + bytes);
	lookup_jump(jump, AGENT_EXPORT_LOOKUP);
	int err = tracee_write(k, tid, AGENT_EXPORT_LOOKUP_ORIGINAL, moved, bytes + LOOKUP_JUMP_BYTES);

	return err ? err : tracee_write(k, tid, function, jump, sizeof(jump));
}

static void analyse_loader(struct keeper *k, pid_t tid, uint64_t base)
{
	struct loader *loader = &k->loader;
	size_t bytes = image_bytes(k, tid, base);
	uint8_t *image = bytes ? calloc(1, bytes + LOADER_CODE) : NULL;

	if (!image)
		return;
	read_image(tid, base, image, bytes);
	loader->facts.function = lookup_find(image, bytes, &loader->why);
	memcpy(loader->facts.code, image + loader->facts.function, sizeof(loader->facts.code));
	free(image);
	if (loader->facts.function)
		site_cache_store_facts(LOOKUP_VERSION, loader->page, sizeof(loader->page), &loader->facts, sizeof(loader->facts));
}

/* Knows the loader at `base` already, from the cache, or by analysis. */
static void know_loader(struct keeper *k, pid_t tid, uint64_t base)
{
	struct loader *loader = &k->loader;
	uint8_t page[LOADER_PAGE];
	bool read = !tracee_read(k, tid, base, page, sizeof(page));

	if (read && !memcmp(page, loader->page, sizeof(page)))
		return;
	memset(loader, 0, sizeof(*loader));
	loader->why = "its image cannot be read";
	if (!read)
		return;
	memcpy(loader->page, page, sizeof(page));
	if (!site_cache_load_facts(LOOKUP_VERSION, page, sizeof(page), &loader->facts, sizeof(loader->facts)))
		return;
	loader->facts = (struct loader_facts){ 0 };
	analyse_loader(k, tid, base);
}

void patch_loader(struct keeper *k, const struct task *task, uint64_t base)
{
	const struct loader *loader = &k->loader;
	uint8_t code[LOADER_CODE];
	const char *why;

	if (!base)
		return; /* static: there is no loader */
	know_loader(k, task->tid, base);
	why = loader->why;
	if (loader->facts.function) {
		why = "its text is not what was analysed, or cannot be written";
		if (!tracee_read(k, task->tid, base + loader->facts.function, code, sizeof(code)) &&
		    !memcmp(code, loader->facts.code, sizeof(code)) &&
		    !write_detour(k, task->tid, base + loader->facts.function, code))
			return;
	}
	send_note(k, task, "the dynamic loader of process %d is not patched: %s; libc function names are not recorded",
		  task->pid, why);
}
