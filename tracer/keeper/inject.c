/* Puts the agent into a fresh image, before its first instruction: maps text and data at their fixed address, a first
 * chunk of rings, detours the loader's lookup, and gives the thread its block and user dispatch. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "agent_symbols.h"
#include "keeper.h"
#include "../../loader-patch/lookup.h"

#ifndef PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210 /* Linux 6.4 */
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

extern const uint8_t agent_image[], agent_image_end[];

struct dispatch_config { uint64_t mode, selector, offset, length; };

static long remote(struct keeper *k, const struct task *task, uint64_t at, long nr, uint64_t a, uint64_t b, uint64_t c,
		   uint64_t d, uint64_t e, uint64_t f)
{
	return remote_syscall(k, task->tid, at, nr, (uint64_t[6]){ a, b, c, d, e, f });
}

static int arena_index(const struct keeper *k)
{
	for (uint32_t i = 0; i < ARENA_MAX; i++)
		if (!k->arenas[i].spaces)
			return (int)i;
	return -ENOMEM;
}

/* Maps the arena behind `fd` of the tracee here as well and tells the front. */
static int arena_adopt(struct keeper *k, struct task *task, int fd)
{
	struct space *space = space_of(k, task);
	int index = arena_index(k);
	char path[64];

	if (index < 0)
		return index;
	struct arena *arena = &k->arenas[index];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", task->tid, fd);
	arena->fd = open(path, O_RDWR | O_CLOEXEC);
	if (arena->fd < 0)
		return -errno;
	if (ftruncate(arena->fd, (off_t)ARENA_BYTES) < 0)
		goto close_fd;
	arena->map = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
	if (arena->map == MAP_FAILED)
		goto close_fd;
	arena->spaces = 1;
	space->arena[space->chunks] = (uint32_t)index;
	send_control(k, (struct control){ .type = MSG_ARENA, .pid = task->pid, .tid = task->tid, .arena = (uint32_t)index },
		     NULL, 0, arena->fd);
	return 0;
close_fd:;
	int err = -errno;

	close(arena->fd);
	return err;
}

/* The first stack page of each thread block is touched by the thread itself; nothing is preset but the header. */
int inject_chunk(struct keeper *k, struct task *task, uint64_t at)
{
	struct space *space = space_of(k, task);
	uint64_t base = CHUNK_ADDRESS(space->chunks), name = base;
	long fd, got;
	struct rlimit old, raised;

	if (space->chunks == CHUNK_COUNT)
		return -ENOMEM;
	got = remote(k, task, at, SYS_mmap, base, CHUNK_THREADS, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, (uint64_t)-1, 0);
	if (got < 0)
		return (int)got;
	if (tracee_write(k, task->tid, name, "vtrace", 7) < 0)
		return -EFAULT;
	/* The program may have used up its descriptors: ours needs one for a moment. */
	bool limited = !prlimit(task->tid, RLIMIT_NOFILE, NULL, &old) && old.rlim_cur < 4096;

	raised = (struct rlimit){ old.rlim_max < 4096 ? old.rlim_max : 4096, old.rlim_max };
	if (limited)
		prlimit(task->tid, RLIMIT_NOFILE, &raised, NULL);
	fd = remote(k, task, at, SYS_memfd_create, name, MFD_CLOEXEC, 0, 0, 0, 0);
	if (limited)
		prlimit(task->tid, RLIMIT_NOFILE, &old, NULL);
	if (fd < 0)
		return (int)fd;
	int err = arena_adopt(k, task, (int)fd);

	if (!err) {
		got = remote(k, task, at, SYS_mmap, CHUNK_ARENA(space->chunks), ARENA_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED_NOREPLACE, (uint64_t)fd, 0);
		err = got < 0 ? (int)got : 0;
		space->chunks++;
	}
	remote(k, task, at, SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
	return err;
}

int arm_dispatch(const struct task *task)
{
	struct dispatch_config config = { .mode = PR_SYS_DISPATCH_ON, .offset = AGENT_BASE,
					  .length = AGENT_EXPORT_TEXT_END - AGENT_BASE };

	if (ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, task->tid, sizeof(config), &config) < 0)
		return -errno;
	return 0;
}

void disarm_dispatch(const struct task *task)
{
	struct dispatch_config off = { 0 };

	ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, task->tid, sizeof(off), &off);
}

/* Gives a stopped thread whose space has the agent its ring and block, sets its gs base in *regs (the caller writes the
 * registers back) and arms dispatch. */
int task_enter_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	struct agent_thread thread = { 0 };
	int err;

	if (!task_take_slot(k, task))
		return -ENOSPC;
	thread.self = thread_block(task);
	thread.stack_top = thread.self + THREAD_BYTES - 16;
	thread.ring = CHUNK_ARENA(task->chunk) + (uint64_t)task->slot * RING_STRIDE;
	thread.pid = task->pid;
	thread.tid = task->tid;
	err = tracee_write(k, task->tid, thread.self, &thread, sizeof(thread));
	if (!err)
		err = arm_dispatch(task);
	if (err) {
		task_drop_slot(k, task);
		return err;
	}
	if (k->control < 0)
		__atomic_store_n(&task_ring(k, task)->abandoned, 1, __ATOMIC_RELAXED);
	regs->gs_base = thread.self;
	return 0;
}

static int map_agent(struct keeper *k, struct task *task, uint64_t at)
{
	struct agent_config config = { .string_limit = k->launch->string_limit, .fd_paths = k->launch->fd_paths,
				       .vdso = k->launch->vdso };
	struct agent_thread idle = { .self = AGENT_IDLE };
	size_t bytes = (size_t)(agent_image_end - agent_image);
	long got = remote(k, task, at, SYS_mmap, AGENT_BASE, AGENT_TEXT_MAX, PROT_READ | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);

	if (got < 0)
		return (int)got;
	got = remote(k, task, at, SYS_mmap, AGENT_DATA, AGENT_DATA_MAX, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
	if (got < 0)
		return (int)got;
	int err = tracee_write(k, task->tid, AGENT_BASE, agent_image, bytes);

	if (!err)
		err = tracee_write(k, task->tid, AGENT_DATA, &config, sizeof(config));
	return err ? err : tracee_write(k, task->tid, AGENT_IDLE, &idle, sizeof(idle));
}

/* Value of an auxv entry of the process, 0 when it has none. */
static uint64_t auxv_value(pid_t tid, uint64_t type)
{
	char path[64];
	Elf64_auxv_t rows[64];
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/auxv", tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	got = read(fd, rows, sizeof(rows));
	close(fd);
	for (ssize_t i = 0; i < got / (ssize_t)sizeof(rows[0]); i++)
		if (rows[i].a_type == type)
			return rows[i].a_un.a_val;
	return 0;
}

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

/* Reads what is mapped of [base, base + bytes), page by page: a loader may have holes. */
static void read_image(struct keeper *k, pid_t tid, uint64_t base, uint8_t *image, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 4096)
		tracee_read(k, tid, base + at, image + at, bytes - at < 4096 ? bytes - at : 4096);
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

/* Analyses the loader at `base` unless it is the one analysed last. */
static void know_loader(struct keeper *k, pid_t tid, uint64_t base)
{
	struct loader *loader = &k->loader;
	uint8_t page[LOADER_PAGE];
	size_t bytes = image_bytes(k, tid, base);
	uint8_t *image;

	if (tracee_read(k, tid, base, page, sizeof(page)))
		memset(page, 0, sizeof(page));
	if (bytes && !memcmp(page, loader->page, sizeof(page)))
		return;
	memcpy(loader->page, page, sizeof(page));
	loader->function = 0;
	loader->why = "its image cannot be read";
	image = bytes ? calloc(1, bytes + LOADER_CODE) : NULL;
	if (!image)
		return;
	read_image(k, tid, base, image, bytes);
	loader->function = lookup_find(image, bytes, &loader->why);
	memcpy(loader->code, image + loader->function, sizeof(loader->code));
	free(image);
}

static void patch_loader(struct keeper *k, const struct task *task)
{
	uint64_t base = auxv_value(task->tid, AT_BASE);
	struct loader *loader = &k->loader;
	uint8_t code[LOADER_CODE];
	const char *why;

	if (!base)
		return; /* static: there is no loader */
	know_loader(k, task->tid, base);
	why = loader->why;
	if (loader->function) {
		why = "its text is not what was analysed, or cannot be written";
		if (!tracee_read(k, task->tid, base + loader->function, code, sizeof(code)) &&
		    !memcmp(code, loader->code, sizeof(code)) &&
		    !write_detour(k, task->tid, base + loader->function, code))
			return;
	}
	send_note(k, task, "the dynamic loader of process %d is not patched: %s; libc function names are not recorded",
		  task->pid, why);
}

/* The executable file mappings, so that the front can name the places of syscall instructions. */
void send_maps(struct keeper *k, const struct task *task)
{
	char path[64], line[4600];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", task->tid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		char payload[sizeof(struct control_map) + 4200], mode[8], name[4100] = "";
		struct control_map map;

		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4099[^\n]", &map.start, &map.end, mode, &map.offset, name) < 4 ||
		    mode[2] != 'x')
			continue;
		memcpy(payload, &map, sizeof(map));
		strcpy(payload + sizeof(map), name);
		send_control(k, (struct control){ .type = MSG_MAP, .pid = task->pid, .tid = task->tid }, payload,
			     (uint32_t)(sizeof(map) + strlen(name) + 1), -1);
	}
	if (maps)
		fclose(maps);
}

static int inject_with(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	uint8_t saved[8], call[8] = { 0x0f, 0x05, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc };
	uint64_t entry = regs->rip;
	int err = tracee_read(k, task->tid, entry, saved, sizeof(saved));

	if (err || (err = tracee_write(k, task->tid, entry, call, sizeof(call))))
		return err;
	err = map_agent(k, task, entry);
	if (!err)
		err = inject_chunk(k, task, AGENT_EXPORT_REMOTE);
	int restored = tracee_write(k, task->tid, entry, saved, sizeof(saved));

	if (err || restored)
		return err ? err : restored;
	if (!k->launch->no_patch)
		patch_loader(k, task);
	return task_enter_agent(k, task, regs);
}

int inject_image(struct keeper *k, struct task *task)
{
	struct user_regs_struct regs;
	uint64_t mask, all = ~0ull;
	int err;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return -errno;
	if (regs.cs == 0x23)
		return -ENOEXEC; /* a 32-bit image: by ptrace */
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	forced_inherited(k, task, mask);
	err = inject_with(k, task, &regs);
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	regs.orig_rax = (uint64_t)-1;
	if (ptrace(PTRACE_SETREGS, task->tid, 0, &regs) < 0 && !err)
		err = -errno;
	return err;
}
