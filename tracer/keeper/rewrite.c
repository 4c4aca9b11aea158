#include "rewrite.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include "agent_symbols.h"
#include "keeper.h"
#include "objects.h"

#define SLOT_BYTES 48u
#define REGION_BYTES 0x20000u
#define REGION_SLOTS (REGION_BYTES / SLOT_BYTES)
#define LEA_BYTES 7u   /* lea resume(%rip), %rcx */
#define ENTER_BYTES 8u /* jmp *%gs:AGENT_ENTRY_OFFSET */
#define BEFORE_MAX (SLOT_BYTES - LEA_BYTES - ENTER_BYTES - 1u)
#define REACH 0x78000000ll

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Calls that the keeper must see before they are made (let_go.c, forced.c): their sites stay with user dispatch. */
static bool keeper_must_see(int32_t nr)
{
	switch (nr) {
	case SYS_ptrace:
	case SYS_prctl:
	case SYS_arch_prctl:
	case SYS_modify_ldt:
	case SYS_seccomp:
	case SYS_rt_sigaction:
	case SYS_rt_sigprocmask:
	case SYS_rt_sigreturn:
		return true;
	}
	return nr < 0;
}

static bool usable(const struct site *site)
{
	return site->form == SITE_MOV && site->before <= BEFORE_MAX && !keeper_must_see(site->nr);
}

/* ---- trampolines ---- */

static int64_t distance(uint64_t a, uint64_t b)
{
	int64_t far = (int64_t)(a - b);

	return far < 0 ? -far : far;
}

static struct region *region_for(struct rewriting *rewriting, uint64_t near)
{
	for (uint32_t i = 0; i < REGION_MAX; i++) {
		struct region *region = &rewriting->regions[i];

		if (region->start && region->used < REGION_SLOTS && distance(region->start, near) < REACH)
			return region;
	}
	return NULL;
}

/* Far enough below to be in nobody's way (libraries are mapped downwards from the loader on), near enough for a jump; for
 * programs at a low fixed address, under them. */
static const int64_t region_places[] = { -0x40000000, -0x1000000, 0x40000000, -0x200000 };

static int region_map(struct keeper *k, struct task *task, uint64_t near)
{
	struct rewriting *rewriting = &space_of(k, task)->rewriting;
	struct region *region = NULL;
	long got = -ENOMEM;

	for (uint32_t i = 0; i < REGION_MAX && !region; i++)
		if (!rewriting->regions[i].start)
			region = &rewriting->regions[i];
	if (!region)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(region_places) / sizeof(region_places[0]) && got < 0; i++) {
		uint64_t place = (near & ~(uint64_t)0xffff) + (uint64_t)region_places[i];

		if (place < 0x10000 || place >> 47)
			continue;
		got = remote_call(k, task, SYS_mmap, (uint64_t[6]){ place, REGION_BYTES, PROT_READ | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, (uint64_t)-1, 0 });
	}
	if (got < 0)
		return (int)got;
	region->start = (uint64_t)got;
	region->used = 0;
	return 0;
}

static void put_relative(uint8_t *at, uint64_t next, uint64_t to)
{
	int32_t displacement = (int32_t)(to - next);

	memcpy(at, &displacement, sizeof(displacement));
}

/* The moved instructions, then into the agent; the last byte says how long the moved part is. */
static void fill_slot(uint8_t slot[SLOT_BYTES], uint64_t address, const struct site *site, uint64_t base)
{
	static const uint8_t enter[4] = { 0x65, 0xff, 0x24, 0x25 };
	uint32_t offset = AGENT_ENTRY_OFFSET, at = site->before;

	memset(slot, 0xcc, SLOT_BYTES);
	memcpy(slot, site->original, site->before);
	memcpy(slot + at, "\x48\x8d\x0d", 3);
	put_relative(slot + at + 3, address + at + LEA_BYTES, base + site->resume);
	memcpy(slot + at + LEA_BYTES, enter, sizeof(enter));
	memcpy(slot + at + LEA_BYTES + sizeof(enter), &offset, sizeof(offset));
	slot[SLOT_BYTES - 1] = site->before;
}

/* ---- writing ---- */

/* The bytes must be those that were analysed. */
static bool is_original(struct keeper *k, pid_t tid, const struct site *site, uint64_t base)
{
	uint8_t found[SITE_BYTES];

	return !tracee_read(k, tid, base + site->patch, found, site->verify) && !memcmp(found, site->original, site->verify);
}

static bool write_site(struct keeper *k, pid_t tid, struct region *region, const struct site *site, uint64_t base)
{
	uint8_t slot[SLOT_BYTES], jump[SITE_JUMP_BYTES] = { 0xe9 };
	uint64_t address = region->start + (uint64_t)region->used * SLOT_BYTES, patch = base + site->patch;

	if (!is_original(k, tid, site, base))
		return false;
	fill_slot(slot, address, site, base);
	put_relative(jump + 1, patch + SITE_JUMP_BYTES, address);
	if (tracee_write(k, tid, address, slot, sizeof(slot)))
		return false;
	region->used++;
	return !tracee_write(k, tid, patch, jump, sizeof(jump));
}

static void rewrite_text(struct keeper *k, struct rewriting *rewriting, pid_t tid, const struct text *text, bool all)
{
	struct object *object = object_at(k, text->object);

	for (uint32_t i = 0; i < object->plan->count; i++) {
		const struct site *site = &object->plan->sites[i];
		struct region *region;

		if (!usable(site) || !(all || object->hot[i]) || text->base + site->patch < text->start ||
		    text->base + site->resume > text->end)
			continue;
		region = region_for(rewriting, text->start);
		if (!region)
			return;
		write_site(k, tid, region, site, text->base);
	}
}

void rewrite_before_threads(struct keeper *k, struct space *space, pid_t tid)
{
	struct rewriting *rewriting = &space->rewriting;

	for (uint32_t i = 0; !rewriting->off && i < rewriting->text_count; i++)
		rewrite_text(k, rewriting, tid, &rewriting->texts[i], true);
}

static const struct site *site_find(const struct site_plan *plan, uint64_t offset)
{
	uint32_t low = 0, high = plan->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (plan->sites[middle].offset == offset)
			return &plan->sites[middle];
		if (plan->sites[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const struct text *text_find(const struct rewriting *rewriting, uint64_t address)
{
	for (uint32_t i = 0; i < rewriting->text_count; i++)
		if (address >= rewriting->texts[i].start && address < rewriting->texts[i].end)
			return &rewriting->texts[i];
	return NULL;
}

void rewrite_dispatched(struct keeper *k, struct task *task, uint64_t address)
{
	struct space *space = space_of(k, task);
	const struct text *text = space->rewriting.off ? NULL : text_find(&space->rewriting, address);

	if (!text)
		return;
	struct object *object = object_at(k, text->object);
	const struct site *site = site_find(object->plan, address - text->base);

	if (!site || !usable(site))
		return;
	object->hot[site - object->plan->sites] = 1;
	struct region *region = region_for(&space->rewriting, text->start);

	if (space->tasks == 1 && !space->rewriting.crowded && region)
		write_site(k, task->tid, region, site, text->base);
}

/* ---- mappings ---- */

static void forget_texts(struct rewriting *rewriting, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < rewriting->text_count; i++)
		if (rewriting->texts[i].start < end && start < rewriting->texts[i].end)
			rewriting->texts[i--] = rewriting->texts[--rewriting->text_count];
}

void rewrite_mapped(struct keeper *k, struct task *task, const char *file, uint64_t start, uint64_t bytes, uint64_t offset)
{
	struct space *space = space_of(k, task);
	struct rewriting *rewriting = &space->rewriting;
	uint64_t image_offset;

	if (k->launch->no_sites || rewriting->off)
		return;
	forget_texts(rewriting, start, start + bytes);
	uint32_t object = object_open(k, file, offset, &image_offset);

	if (object == NO_INDEX || rewriting->text_count == TEXT_MAX)
		return;
	struct text *text = &rewriting->texts[rewriting->text_count++];

	*text = (struct text){ .start = start, .end = start + bytes, .base = start - image_offset, .object = object };
	if (!region_for(rewriting, start) && region_map(k, task, start) < 0)
		return;
	rewrite_text(k, rewriting, task->tid, text, space->tasks > 1 || rewriting->crowded);
}

/* ---- what the program must not see ---- */

bool rewrite_leave_trampoline(struct keeper *k, const struct task *task, struct user_regs_struct *regs)
{
	const struct rewriting *rewriting = &space_of(k, task)->rewriting;
	uint8_t slot[SLOT_BYTES];
	int32_t displacement;

	for (uint32_t i = 0; i < REGION_MAX; i++) {
		uint64_t start = rewriting->regions[i].start, within = regs->rip - start, at = within % SLOT_BYTES;

		if (!start || within >= REGION_BYTES)
			continue;
		if (tracee_read(k, task->tid, regs->rip - at, slot, sizeof(slot)) || slot[SLOT_BYTES - 1] > BEFORE_MAX)
			return false;
		uint64_t before = slot[SLOT_BYTES - 1], behind = regs->rip - at + before + LEA_BYTES;

		memcpy(&displacement, slot + before + 3, sizeof(displacement));
		uint64_t syscall = behind + (uint64_t)(int64_t)displacement - 2;

		regs->rip = at < before ? syscall - before + at : syscall;
		return true;
	}
	return false;
}

/* A slot begins with what its jump replaced. */
static void restore_slot(struct keeper *k, pid_t tid, uint64_t address, const uint8_t slot[SLOT_BYTES])
{
	uint8_t found[SITE_JUMP_BYTES], jump[SITE_JUMP_BYTES] = { 0xe9 };
	uint32_t before = slot[SLOT_BYTES - 1];
	int32_t displacement;

	if (before > BEFORE_MAX)
		return;
	memcpy(&displacement, slot + before + 3, sizeof(displacement));
	uint64_t patch = address + before + LEA_BYTES + (uint64_t)(int64_t)displacement - SITE_SYSCALL_BYTES - before;

	put_relative(jump + 1, patch + SITE_JUMP_BYTES, address);
	if (!tracee_read(k, tid, patch, found, sizeof(found)) && !memcmp(found, jump, sizeof(jump)))
		tracee_write(k, tid, patch, slot, SITE_JUMP_BYTES);
}

void rewrite_restore(struct keeper *k, const struct space *space, pid_t tid)
{
	static uint8_t slots[REGION_SLOTS][SLOT_BYTES];

	for (uint32_t i = 0; i < REGION_MAX; i++) {
		const struct region *region = &space->rewriting.regions[i];

		if (!region->used || tracee_read(k, tid, region->start, slots, region->used * SLOT_BYTES))
			continue;
		for (uint32_t slot = 0; slot < region->used; slot++)
			restore_slot(k, tid, region->start + slot * SLOT_BYTES, slots[slot]);
	}
}
