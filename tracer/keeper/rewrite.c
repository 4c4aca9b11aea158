#include "rewrite.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include "agent_symbols.h"
#include "keeper.h"
#include "objects.h"

#define SLOT_BYTES 48u
#define REGION_SLOTS (REGION_BYTES / SLOT_BYTES)
#define LEA_BYTES 7u   /* lea resume(%rip), %rcx */
#define SHORT_JUMP_BYTES 2u
#define ENTER_BYTES 8u /* jmp *%gs:AGENT_ENTRY_OFFSET */
#define BEFORE_MAX (SLOT_BYTES - LEA_BYTES - ENTER_BYTES - 1u)
#define REACH 0x78000000ll

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* How a site is rewritten here: `moved` at `patch` makes place for a jump, of 2 bytes when it leads to filler first. */
struct way {
	uint64_t patch, resume, filler; /* filler 0: a jump of 5 bytes */
	const uint8_t *moved;
	uint32_t before;
};

/* SITE_AFTER without filler would leave an address behind the call that is no code any more: those stay with dispatch. */
static bool way_of(const struct site *site, struct way *way)
{
	if (site->form == SITE_MOV && site->before <= BEFORE_MAX) {
		*way = (struct way){ .patch = site->patch, .resume = site->resume, .moved = site->original,
				     .before = site->before };
		return true;
	}
	if (site->form != SITE_AFTER || !site->filler)
		return false;
	uint64_t patch = site->offset - site->short_bytes;

	*way = (struct way){ .patch = patch, .resume = site->offset + SITE_SYSCALL_BYTES, .moved = site->short_original,
			     .filler = patch + SHORT_JUMP_BYTES + (uint64_t)(int64_t)site->filler,
			     .before = site->short_bytes };
	return true;
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

static uint64_t region_place(uint64_t near, size_t choice)
{
	uint64_t place = (near & ~(uint64_t)0xffff) + (uint64_t)region_places[choice];

	return place < 0x10000 || place >> 47 ? 0 : place;
}

uint64_t rewrite_place(uint64_t near)
{
	return region_place(near, 0);
}

void rewrite_region(struct space *space, uint64_t start)
{
	space->rewriting.regions[0] = (struct region){ .start = start };
}

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
		uint64_t place = region_place(near, i);

		if (!place)
			continue;
		got = remote_call(k, task, SYS_mmap, (uint64_t[6]){ place, REGION_BYTES, PROT_READ | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, (uint64_t)-1, AGENT_BASE });
	}
	if (got < 0)
		return (int)got;
	region->start = (uint64_t)got;
	region->used = 0;
	/* The agent keeps the program from it, as from its own place. */
	return tracee_write(k, task->tid, AGENT_DATA + offsetof(struct agent_config, regions) +
			    (uint64_t)(region - rewriting->regions) * sizeof(region->start), &region->start, sizeof(region->start));
}

static void put_relative(uint8_t *at, uint64_t next, uint64_t to)
{
	int32_t displacement = (int32_t)(to - next);

	memcpy(at, &displacement, sizeof(displacement));
}

/* The moved instructions, then into the agent; the last byte says how long the moved part is. */
static void fill_slot(uint8_t slot[SLOT_BYTES], uint64_t address, const struct way *way, uint64_t base)
{
	static const uint8_t enter[4] = { 0x65, 0xff, 0x24, 0x25 };
	uint32_t offset = AGENT_ENTRY_OFFSET, at = way->before;

	memset(slot, 0xcc, SLOT_BYTES);
	memcpy(slot, way->moved, way->before);
	memcpy(slot + at, "\x48\x8d\x0d", 3);
	put_relative(slot + at + 3, address + at + LEA_BYTES, base + way->resume);
	memcpy(slot + at + LEA_BYTES, enter, sizeof(enter));
	memcpy(slot + at + LEA_BYTES + sizeof(enter), &offset, sizeof(offset));
	slot[SLOT_BYTES - 1] = (uint8_t)way->before;
}

/* ---- writing ---- */

#define EDIT_PAGE 4096u
#define EDIT_PAGES 128u /* libc's sites lie in some ninety */
#define EDIT_SLOTS 256u

struct edit_page {
	uint64_t address;
	uint32_t from, to;     /* what is changed in it */
	uint8_t bytes[EDIT_PAGE];
};

/* Changes of one text, in address order, gathered: a system call for each would cost more than all the rest. */
struct edit {
	struct keeper *k;
	pid_t tid;
	struct region *region;
	uint32_t slot_count;   /* not yet written; they end at region->used */
	uint32_t page_count;
	uint8_t slots[EDIT_SLOTS][SLOT_BYTES];
	struct edit_page pages[EDIT_PAGES];
};

/* Trampolines first: nothing may lead to one that is not there. */
static void edit_flush(struct edit *edit)
{
	bool written = true;

	if (edit->slot_count)
		written = !tracee_write(edit->k, edit->tid,
					edit->region->start + (uint64_t)(edit->region->used - edit->slot_count) * SLOT_BYTES,
					edit->slots, edit->slot_count * SLOT_BYTES);
	for (uint32_t i = 0; written && i < edit->page_count; i++) {
		const struct edit_page *page = &edit->pages[i];

		if (page->from < page->to)
			tracee_write(edit->k, edit->tid, page->address + page->from, page->bytes + page->from,
				     page->to - page->from);
	}
	edit->slot_count = 0;
	edit->page_count = 0;
}

static void edit_add_page(struct edit *edit, uint64_t address)
{
	struct edit_page *page = &edit->pages[edit->page_count++];

	page->address = address;
	page->from = EDIT_PAGE;
	page->to = 0;
}

/* The pages of edit->pages are read in one go; those that cannot be are dropped. */
static void edit_read(struct edit *edit)
{
	struct iovec local[EDIT_PAGES], remote[EDIT_PAGES];

	for (uint32_t i = 0; i < edit->page_count; i++) {
		local[i] = (struct iovec){ edit->pages[i].bytes, EDIT_PAGE };
		remote[i] = (struct iovec){ (void *)edit->pages[i].address, EDIT_PAGE };
	}
	ssize_t got = process_vm_readv(edit->tid, local, edit->page_count, remote, edit->page_count, 0);

	edit->page_count = got < 0 ? 0 : (uint32_t)((size_t)got / EDIT_PAGE);
}

static struct edit_page *edit_page(struct edit *edit, uint64_t address)
{
	for (uint32_t i = edit->page_count; i-- > 0;)
		if (edit->pages[i].address == address)
			return &edit->pages[i];
	if (edit->page_count == EDIT_PAGES)
		edit_flush(edit);
	edit_add_page(edit, address);
	struct edit_page *page = &edit->pages[edit->page_count - 1];

	if (!tracee_read(edit->k, edit->tid, address, page->bytes, EDIT_PAGE))
		return page;
	edit->page_count--;
	return NULL;
}

/* [address, address + count) in the page that holds it wholly. NULL: none does, or it cannot be read. */
static uint8_t *edit_at(struct edit *edit, uint64_t address, size_t count, struct edit_page **in)
{
	uint64_t start = address & ~(uint64_t)(EDIT_PAGE - 1);

	*in = address + count > start + EDIT_PAGE ? NULL : edit_page(edit, start);
	return *in ? (*in)->bytes + (address - start) : NULL;
}

static void edit_put(struct edit *edit, uint64_t address, const uint8_t *bytes, size_t count)
{
	struct edit_page *page;
	uint8_t *at = edit_at(edit, address, count, &page);
	uint32_t from = (uint32_t)(address & (EDIT_PAGE - 1)), to = from + (uint32_t)count;

	if (!at) { /* over the edge of a page */
		edit_flush(edit);
		tracee_write(edit->k, edit->tid, address, bytes, count);
		return;
	}
	memcpy(at, bytes, count);
	page->from = from < page->from ? from : page->from;
	page->to = to > page->to ? to : page->to;
}

static bool holds(struct edit *edit, uint64_t address, const uint8_t *bytes, size_t count)
{
	struct edit_page *page;
	const uint8_t *at = edit_at(edit, address, count, &page);
	uint8_t found[SITE_BYTES];

	if (at)
		return !memcmp(at, bytes, count);
	edit_flush(edit);
	return !tracee_read(edit->k, edit->tid, address, found, count) && !memcmp(found, bytes, count);
}

/* The bytes must be those that were analysed. */
static bool is_original(struct edit *edit, const struct site *site, const struct way *way, uint64_t base)
{
	if (!way->filler)
		return holds(edit, base + site->patch, site->original, site->verify);
	return holds(edit, base + site->offset, site->original, site->verify) &&
	       holds(edit, base + way->patch, way->moved, way->before) &&
	       holds(edit, base + way->filler, site->filler_original, SITE_JUMP_BYTES);
}

static void put_jump(struct edit *edit, const struct way *way, uint64_t base, uint64_t to)
{
	uint64_t at = base + (way->filler ? way->filler : way->patch);
	uint8_t jump[SITE_JUMP_BYTES] = { 0xe9 }, hop[SHORT_JUMP_BYTES] = { 0xeb };

	put_relative(jump + 1, at + SITE_JUMP_BYTES, to);
	edit_put(edit, at, jump, sizeof(jump));
	hop[1] = (uint8_t)(way->filler - way->patch - SHORT_JUMP_BYTES);
	if (way->filler)
		edit_put(edit, base + way->patch, hop, sizeof(hop));
}

bool rewrite_possible(const struct site *site)
{
	struct way way;

	return way_of(site, &way);
}

static bool put_site(struct edit *edit, const struct site *site, uint64_t base)
{
	struct region *region = edit->region;
	uint64_t address = region->start + (uint64_t)region->used * SLOT_BYTES;
	struct way way;

	if (region->used == REGION_SLOTS || !way_of(site, &way) || !is_original(edit, site, &way, base))
		return false;
	if (edit->slot_count == EDIT_SLOTS)
		edit_flush(edit);
	fill_slot(edit->slots[edit->slot_count++], address, &way, base);
	region->used++;
	put_jump(edit, &way, base, address);
	return true;
}

static struct edit *edit_open(struct keeper *k, pid_t tid, struct region *region)
{
	static struct edit edit; /* only the tracer thread edits, one text at a time */

	edit.k = k;
	edit.tid = tid;
	edit.region = region;
	edit.slot_count = edit.page_count = 0;
	return &edit;
}

/* Which sites of the text are to be written. */
struct choice {
	const struct text *text;
	const struct object *object;
	uint64_t program;
	bool known; /* the program was seen with this object before */
	bool all; /* else those that the program used before; of a program that is new, those dispatched before in this session */
};

static bool is_hot(const struct choice *choice, uint32_t index)
{
	const struct object *object = choice->object;

	return choice->known ? heat_has(&object->heat, choice->program, index) : object->hot[index];
}

static const struct site *chosen(const struct choice *choice, uint32_t index)
{
	const struct site *site = &choice->object->plan->sites[index];
	uint64_t base = choice->text->base;

	return (choice->all || is_hot(choice, index)) && base + site->patch >= choice->text->start &&
	       base + site->offset + SITE_SYSCALL_BYTES <= choice->text->end ? site : NULL;
}

/* The first pages of the chosen sites: all, in most processes. */
static void read_ahead(struct edit *edit, const struct choice *choice)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < choice->object->plan->count && edit->page_count < EDIT_PAGES; i++) {
		const struct site *site = chosen(choice, i);
		uint64_t page = site ? (choice->text->base + site->offset) & ~(uint64_t)(EDIT_PAGE - 1) : last;

		if (page == last)
			continue;
		edit_add_page(edit, page);
		last = page;
	}
	edit_read(edit);
}

static void rewrite_text(struct keeper *k, struct rewriting *rewriting, pid_t tid, const struct text *text, bool all)
{
	struct object *object = object_at(k, text->object);
	struct choice choice = { text, object, rewriting->program, heat_knows(&object->heat, rewriting->program), all };
	struct region *region = region_for(rewriting, text->start);
	struct edit *edit = edit_open(k, tid, region);

	if (!region)
		return;
	read_ahead(edit, &choice);
	for (uint32_t i = 0; i < object->plan->count; i++)
		if (chosen(&choice, i) && put_site(edit, chosen(&choice, i), text->base)) {
			object->written[i] = 1;
			if (!all) /* it will not be dispatched, so this is how it is remembered */
				heat_mark(&object->heat, rewriting->program, i);
		}
	edit_flush(edit);
}

void rewrite_before_threads(struct keeper *k, struct space *space, pid_t tid)
{
	struct rewriting *rewriting = &space->rewriting;

	for (uint32_t i = 0; !rewriting->off && i < rewriting->text_count; i++) {
		if (!rewriting->texts[i].whole)
			rewrite_text(k, rewriting, tid, &rewriting->texts[i], true);
		rewriting->texts[i].whole = true;
	}
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

	if (!site)
		return;
	object->hot[site - object->plan->sites] = 1;
	heat_mark(&object->heat, space->rewriting.program, (uint32_t)(site - object->plan->sites));
	struct region *region = region_for(&space->rewriting, text->start);

	if (space->tasks - space->parked == 1 && !space->rewriting.crowded && region) {
		struct edit *edit = edit_open(k, task->tid, region);

		if (put_site(edit, site, text->base))
			object->written[site - object->plan->sites] = 1;
		edit_flush(edit);
	}
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
	text->whole = space->tasks > 1 || rewriting->crowded;
	rewrite_text(k, rewriting, task->tid, text, text->whole);
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

		/* Behind the first of several short instructions that gave way to the jump, the program's text is no code: the thread
		 * goes on in the trampoline. */
		if (at && at < before && at < SITE_JUMP_BYTES)
			return false;
		regs->rip = at < before ? syscall - before + at : syscall;
		return true;
	}
	return false;
}

/* Where the jump at `at` leads; 0: there is none. */
static uint64_t jump_target(struct keeper *k, pid_t tid, uint64_t at, uint8_t *bytes)
{
	uint8_t code[SITE_JUMP_BYTES];
	int32_t displacement;

	if (tracee_read(k, tid, at, code, sizeof(code)))
		return 0;
	memcpy(&displacement, code + 1, sizeof(displacement));
	*bytes = code[0] == 0xeb ? SHORT_JUMP_BYTES : SITE_JUMP_BYTES;
	if (code[0] == 0xeb)
		return at + SHORT_JUMP_BYTES + (uint64_t)(int64_t)(int8_t)code[1];
	return code[0] == 0xe9 ? at + SITE_JUMP_BYTES + (uint64_t)(int64_t)displacement : 0;
}

/* A slot begins with what its jump replaced. (What stood in the filler is of no use to anyone.) */
static void restore_slot(struct keeper *k, pid_t tid, uint64_t address, const uint8_t slot[SLOT_BYTES])
{
	uint32_t before = slot[SLOT_BYTES - 1];
	uint8_t bytes, ignored;
	int32_t displacement;

	if (before > BEFORE_MAX)
		return;
	memcpy(&displacement, slot + before + 3, sizeof(displacement));
	uint64_t patch = address + before + LEA_BYTES + (uint64_t)(int64_t)displacement - SITE_SYSCALL_BYTES - before;
	uint64_t to = jump_target(k, tid, patch, &bytes);

	if (to && bytes == SHORT_JUMP_BYTES)
		to = jump_target(k, tid, to, &ignored);
	if (to == address)
		tracee_write(k, tid, patch, slot, bytes);
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
