#include "objects.h"
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "keeper.h"
#include "../../sites/cache.h"

#define PHDR_MAX 64
#define PAGE_BITS 4095ull

struct object *object_at(struct keeper *k, uint32_t index)
{
	return &k->objects[index];
}

/* Which bytes of the file are executable, and where they lie in the image. False: not an object we understand. */
static bool read_segments(int fd, struct object *object)
{
	Elf64_Ehdr head;
	Elf64_Phdr rows[PHDR_MAX];
	uint64_t first = UINT64_MAX;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || memcmp(head.e_ident, ELFMAG, SELFMAG) ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_machine != EM_X86_64 || head.e_phnum > PHDR_MAX ||
	    head.e_phentsize != sizeof(rows[0]))
		return false;
	ssize_t bytes = (ssize_t)(head.e_phnum * sizeof(rows[0]));

	if (pread(fd, rows, (size_t)bytes, (off_t)head.e_phoff) != bytes)
		return false;
	for (int i = 0; i < head.e_phnum; i++)
		if (rows[i].p_type == PT_LOAD && rows[i].p_vaddr < first)
			first = rows[i].p_vaddr;
	for (int i = 0; i < head.e_phnum && object->segment_count < OBJECT_SEGMENTS; i++)
		if (rows[i].p_type == PT_LOAD && rows[i].p_flags & PF_X) {
			object->segments[object->segment_count].file_offset = rows[i].p_offset;
			object->segments[object->segment_count].bytes = rows[i].p_filesz;
			object->segments[object->segment_count++].image_offset = rows[i].p_vaddr - (first & ~PAGE_BITS);
		}
	return object->segment_count;
}

/* The plan from the cache on disk, or made and put there; it does without a cache as well. NULL: there is none. */
static struct site_plan *plan_of(int fd)
{
	struct site_plan *plan = NULL;
	struct site_key key;

	if (!sites_key_fd(fd, &key) && !site_cache_load(&key, &plan))
		return plan;
	if (sites_analyse_fd(fd, &plan) < 0)
		return NULL;
	site_cache_store(plan);
	return plan;
}

static char *name_of(int fd)
{
	char link[64], name[4097];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t got = readlink(link, name, sizeof(name) - 1);

	if (got < 0)
		return NULL;
	name[got] = 0;
	return strdup(name);
}

static void learn(int fd, struct object *object)
{
	if (!read_segments(fd, object))
		return;
	object->plan = plan_of(fd);
	if (!object->plan)
		return;
	object->hot = calloc(object->plan->count + 1u, 1);
	object->written = calloc(object->plan->count + 1u, 1);
	object->name = name_of(fd);
	if (object->plan->count && object->hot && object->written) {
		heat_open(&object->heat, object->plan);
		return;
	}
	sites_destroy(object->plan);
	free(object->hot);
	free(object->written);
	object->plan = NULL;
}

static bool is_file(const struct object *object, const struct stat *file)
{
	return object->inode == file->st_ino && object->device == file->st_dev && object->bytes == file->st_size &&
	       object->changed_ns == file->st_mtim.tv_sec * 1000000000ll + file->st_mtim.tv_nsec;
}

static uint32_t find_or_learn(struct keeper *k, const char *file)
{
	struct stat status;

	if (stat(file, &status) < 0 || !S_ISREG(status.st_mode))
		return NO_INDEX;
	for (uint32_t i = 0; i < k->object_count; i++)
		if (is_file(&k->objects[i], &status))
			return i;
	int fd = k->object_count < OBJECT_MAX ? open(file, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return NO_INDEX;
	struct object *object = &k->objects[k->object_count];

	*object = (struct object){ .device = status.st_dev, .inode = status.st_ino, .bytes = status.st_size,
				   .changed_ns = status.st_mtim.tv_sec * 1000000000ll + status.st_mtim.tv_nsec };
	send_queued(k);
	learn(fd, object);
	close(fd);
	return k->object_count++;
}

uint32_t object_open(struct keeper *k, const char *file, uint64_t offset, uint64_t *image_offset)
{
	uint32_t index = find_or_learn(k, file);
	const struct object *object = index == NO_INDEX ? NULL : &k->objects[index];

	if (!object || !object->plan)
		return NO_INDEX;
	for (uint32_t i = 0; i < object->segment_count; i++) {
		uint64_t start = object->segments[i].file_offset & ~PAGE_BITS;

		if (offset < start || offset >= object->segments[i].file_offset + object->segments[i].bytes)
			continue;
		*image_offset = (object->segments[i].image_offset & ~PAGE_BITS) + (offset - start);
		return index;
	}
	return NO_INDEX;
}

_Static_assert(SITE_WHY_COUNT < CONTROL_REASONS, "a row for each reason, and one for the way that is not used here");

/* Row 0 is for sites that could only be rewritten with the syscall itself. */
static void count_sites(const struct object *object, struct control_sites *counts)
{
	counts->found = object->plan->count;
	for (uint32_t i = 0; i < object->plan->count; i++) {
		const struct site *site = &object->plan->sites[i];

		if (object->written[i])
			counts->rewritten++;
		else if (rewrite_possible(site))
			counts->unused++;
		else
			counts->left[site->form == SITE_LEFT ? site->why : 0].count++;
	}
	for (uint8_t why = 0; why < SITE_WHY_COUNT; why++)
		snprintf(counts->left[why].why, sizeof(counts->left[why].why), "%s",
			 why ? site_why_text(why) : "the syscall itself would have to go");
}

void objects_close(struct keeper *k)
{
	for (uint32_t i = 0; i < k->object_count; i++) {
		struct object *object = &k->objects[i];
		char payload[sizeof(struct control_sites) + 4200];
		struct control_sites counts = { 0 };

		if (!object->plan)
			continue;
		heat_close(&object->heat, object->plan);
		count_sites(object, &counts);
		memcpy(payload, &counts, sizeof(counts));
		int name = snprintf(payload + sizeof(counts), sizeof(payload) - sizeof(counts), "%s", object->name ? object->name : "?");

		send_control(k, (struct control){ .type = MSG_SITES, .pid = k->program, .tid = k->program }, payload,
			     (uint32_t)sizeof(counts) + (uint32_t)name + 1, -1);
	}
}
