/* Puts the agent into a fresh image, before its first instruction: maps text and data at their fixed address, a first
 * chunk of rings, detours the loader's lookup, and gives the thread its block and user dispatch. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
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
#include "batch.h"
#include "keeper.h"
#include "../../loader-patch/lookup.h"

#ifndef PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210 /* Linux 6.4 */
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct dispatch_config { uint64_t mode, selector, offset, length; };

static int calls_one_by_one(struct keeper *k, const struct task *task, uint64_t at, struct batch_call *calls, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (i && calls[i].args[4] == BATCH_PREVIOUS)
			calls[i].args[4] = (uint64_t)calls[i - 1].result;
		calls[i].result = remote_syscall(k, task->tid, at, calls[i].nr, calls[i].args);
		if (calls[i].result == -ESRCH)
			return -ESRCH;
	}
	return 0;
}

/* From the agent's text. 0 or -errno, of the first call that failed too. */
static int make_calls(struct keeper *k, const struct task *task, uint64_t stack, struct batch_call *calls, uint32_t count)
{
	int err = stack ? batch_run(k, task->tid, AGENT_EXPORT_BATCH, stack, calls, count) : -ENOTSUP;

	if (err == -ENOTSUP)
		err = calls_one_by_one(k, task, AGENT_EXPORT_REMOTE, calls, count);
	for (uint32_t i = 0; !err && i < count; i++)
		if (calls[i].result < 0)
			err = (int)calls[i].result;
	return err;
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
	/* Sealed: a program that shrank it would give keeper and front a SIGBUS. */
	if (ftruncate(arena->fd, (off_t)ARENA_BYTES) < 0 ||
	    fcntl(arena->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto close_fd;
	arena->map = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
	if (arena->map == MAP_FAILED)
		goto close_fd;
	arena->spaces = 1;
	arena->taken = 0;
	space->arena[space->chunks] = (uint32_t)index;
	send_control(k, (struct control){ .type = MSG_ARENA, .pid = task->pid, .tid = task->tid, .arena = (uint32_t)index },
		     NULL, 0, arena->fd);
	return 0;
close_fd:;
	int err = -errno;

	close(arena->fd);
	return err;
}

/* The program may have used up its descriptors: a memory file needs one for a moment. */
static int make_calls_with_fd(struct keeper *k, const struct task *task, uint64_t stack, struct batch_call *calls,
			      uint32_t count)
{
	struct rlimit old, raised;
	bool limited = !prlimit(task->tid, RLIMIT_NOFILE, NULL, &old) && old.rlim_cur < 4096;

	raised = (struct rlimit){ old.rlim_max < 4096 ? old.rlim_max : 4096, old.rlim_max };
	if (limited)
		prlimit(task->tid, RLIMIT_NOFILE, &raised, NULL);
	int err = make_calls(k, task, stack, calls, count);

	if (limited)
		prlimit(task->tid, RLIMIT_NOFILE, &old, NULL);
	return err;
}

/* Nothing in it is preset: each thread touches its own block and stack. `stack`: of a fresh image, else 0. */
static int add_chunk(struct keeper *k, struct task *task, uint64_t stack)
{
	struct space *space = space_of(k, task);
	enum { BLOCKS, MEMFD, ARENA, COUNT };
	struct batch_call calls[COUNT] = {
		[BLOCKS] = { SYS_mmap, { CHUNK_ADDRESS(space->chunks), CHUNK_THREADS, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, (uint64_t)-1, 0 }, 0 },
		[MEMFD] = { SYS_memfd_create, { AGENT_EXPORT_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0, 0 }, 0 },
		[ARENA] = { SYS_mmap, { CHUNK_ARENA(space->chunks), ARENA_BYTES, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_FIXED_NOREPLACE, BATCH_PREVIOUS, 0 }, 0 },
	};

	if (space->chunks == CHUNK_COUNT)
		return -ENOMEM;
	int err = make_calls_with_fd(k, task, stack, calls, COUNT);

	if (calls[MEMFD].result < 0 || err == -ESRCH)
		return err;
	if (!err)
		err = arena_adopt(k, task, (int)calls[MEMFD].result);
	space->chunks += !err;
	struct batch_call close_it = { SYS_close, { (uint64_t)calls[MEMFD].result }, 0 };
	int closed = make_calls(k, task, stack, &close_it, 1);

	return err ? err : closed;
}

int inject_chunk(struct keeper *k, struct task *task)
{
	return add_chunk(k, task, 0);
}

static int set_dispatch(const struct task *task, const struct dispatch_config *config)
{
	return ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, task->tid, sizeof(*config), config) < 0 ? -errno : 0;
}

/* Before Linux 6.4 only the thread itself can do it. */
static int set_dispatch_remote(struct keeper *k, const struct task *task, const struct dispatch_config *config)
{
	return (int)remote_call(k, task, SYS_prctl, (uint64_t[6]){ PR_SET_SYSCALL_USER_DISPATCH, config->mode, config->offset,
				config->length, config->selector });
}

static int change_dispatch(struct keeper *k, const struct task *task, const struct dispatch_config *config)
{
	int err = k->launch->remote_dispatch ? -EIO : set_dispatch(task, config);

	return err == -EIO || err == -EINVAL ? set_dispatch_remote(k, task, config) : err;
}

int arm_dispatch(struct keeper *k, const struct task *task)
{
	struct dispatch_config config = {
		.mode = PR_SYS_DISPATCH_ON, .offset = AGENT_BASE, .length = AGENT_EXPORT_DISPATCH_END - AGENT_BASE,
		.selector = CHUNK_ARENA(task->chunk) + (uint64_t)task->slot * RING_STRIDE +
			    offsetof(struct ring_head, selector),
	};

	return change_dispatch(k, task, &config);
}

void disarm_dispatch(struct keeper *k, const struct task *task)
{
	struct dispatch_config off = { 0 };

	change_dispatch(k, task, &off);
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
	thread.entry = AGENT_EXPORT_SITE;
	thread.forced_blocked = task->blocked;
	task->blocked_told = task->blocked;
	thread.pid = task->pid;
	thread.tid = task->tid;
	err = tracee_write(k, task->tid, thread.self, &thread, sizeof(thread));
	if (!err)
		err = arm_dispatch(k, task);
	if (err) {
		task_drop_slot(k, task);
		return err;
	}
	regs->gs_base = thread.self;
	return 0;
}

static int map_text(struct keeper *k, struct task *task, uint64_t entry, uint64_t stack)
{
	struct batch_call map = { SYS_mmap, { AGENT_BASE, AGENT_TEXT_MAX, PROT_READ | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0 }, 0 };
	int err = batch_run_borrowed(k, task->tid, entry, stack, &map);

	if (!err && map.result < 0)
		err = (int)map.result;
	return err ? err : tracee_write(k, task->tid, AGENT_BASE, agent_image, (size_t)(agent_image_end - agent_image));
}

static int map_data(struct keeper *k, struct task *task, uint64_t stack)
{
	struct agent_config config = { .string_limit = k->launch->string_limit, .fd_paths = k->launch->fd_paths,
				       .vdso = k->launch->vdso, .filtered = has_own_filter(k, task->tid) };
	struct agent_thread idle = { .self = AGENT_IDLE, .entry = AGENT_EXPORT_PLAIN };
	struct batch_call map = { SYS_mmap, { AGENT_DATA, AGENT_DATA_MAX, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0 }, 0 };
	int err = make_calls(k, task, stack, &map, 1);

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

static void patch_loader(struct keeper *k, const struct task *task, uint64_t base)
{
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

/* `start` 0: the front learns the address from the record of the mmap, which comes after. */
static void send_map(struct keeper *k, const struct task *task, struct control_map map, const char *name)
{
	char payload[sizeof(map) + 4200];

	memcpy(payload, &map, sizeof(map));
	snprintf(payload + sizeof(map), sizeof(payload) - sizeof(map), "%s", name);
	send_control(k, (struct control){ .type = MSG_MAP, .pid = task->pid, .tid = task->tid }, payload,
		     (uint32_t)(sizeof(map) + strlen(payload + sizeof(map)) + 1), -1);
}

void tell_mapping(struct keeper *k, struct task *task, uint64_t start, uint64_t bytes, int fd, uint64_t offset)
{
	char link[64], name[4097];

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", task->tid, fd);
	ssize_t got = readlink(link, name, sizeof(name) - 1);

	if (got < 0)
		return;
	name[got] = 0;
	send_map(k, task, (struct control_map){ .offset = offset }, name);
	if (task->chunk != NO_INDEX && space_of(k, task)->rewriting.loaded)
		rewrite_mapped(k, task, link, start, (bytes + 4095) & ~4095ull, offset);
}

void tell_image_maps(struct keeper *k, struct task *task)
{
	char path[64], line[4600];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", task->tid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		char mode[8], name[4100] = "", file[4200];
		struct control_map map;

		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4099[^\n]", &map.start, &map.end, mode, &map.offset, name) < 4 ||
		    mode[2] != 'x')
			continue;
		send_map(k, task, map, name);
		if (task->chunk == NO_INDEX || name[0] != '/' || mode[3] != 'p')
			continue;
		snprintf(file, sizeof(file), "/proc/%d/root%s", task->tid, name);
		rewrite_mapped(k, task, file, map.start, map.end - map.start, map.offset);
	}
	if (maps)
		fclose(maps);
}

/* The batches' int3 resets an ignored SIGTRAP, which the program may have inherited. */
static int ignore_trap_again(struct keeper *k, const struct task *task)
{
	const uint64_t action[4] = { (uint64_t)SIG_IGN }, scratch = CHUNK_ADDRESS(0) + sizeof(struct agent_thread);
	int err = tracee_write(k, task->tid, scratch, action, sizeof(action));

	return err ? err : (int)remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, SYS_rt_sigaction,
					       (uint64_t[6]){ SIGTRAP, scratch, 0, 8 });
}

static int inject_with(struct keeper *k, struct task *task, struct user_regs_struct *regs)
{
	bool ignored = status_number(task->tid, "SigIgn:", 16) & 1ull << (SIGTRAP - 1);
	int err = map_text(k, task, regs->rip, regs->rsp);

	if (!err)
		err = map_data(k, task, regs->rsp);
	if (!err)
		err = add_chunk(k, task, regs->rsp);
	if (!err && ignored)
		err = ignore_trap_again(k, task);
	if (err)
		return err;
	uint64_t loader = auxv_value(task->tid, AT_BASE);

	space_of(k, task)->rewriting.loaded = loader;
	if (!k->launch->no_patch)
		patch_loader(k, task, loader);
	return task_enter_agent(k, task, regs);
}

int inject_image(struct keeper *k, struct task *task)
{
	struct user_regs_struct regs;
	uint64_t mask, all = ~(1ull << (SIGTRAP - 1)); /* batches end with it */
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
