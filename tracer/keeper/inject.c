/* Puts the agent into a fresh image, before its first instruction: maps text and data at their fixed address, a first
 * chunk of rings, detours the loader's lookup, and gives the thread its block and user dispatch. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent_symbols.h"
#include "batch.h"
#include "keeper.h"

#ifndef PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210 /* Linux 6.4 */
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct dispatch_config { uint64_t mode, selector, offset, length; };

static int arena_index(const struct keeper *k)
{
	for (uint32_t i = 0; i < ARENA_MAX; i++)
		if (!k->arenas[i].spaces)
			return (int)i;
	return -ENOMEM;
}

/* Takes the arena behind `fd` of the tracee and tells the front. */
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
	arena->map = NULL;
	arena->spaces = 1;
	arena->taken = arena->used = 0;
	space->arena[space->chunks] = (uint32_t)index;
	send_control(k, (struct control){ .type = MSG_ARENA, .pid = task->pid, .tid = task->tid, .arena = (uint32_t)index },
		     NULL, 0, arena->fd);
	return 0;
close_fd:;
	int err = -errno;

	close(arena->fd);
	return err;
}

/* The program may have used up its descriptors: a memory file needs one for a moment. Returns what it puts in *old, whose
 * rlim_cur is RLIM_INFINITY when nothing was changed. */
static struct rlimit lift_descriptors(const struct task *task)
{
	struct rlimit old, raised;

	if (prlimit(task->tid, RLIMIT_NOFILE, NULL, &old) < 0 || old.rlim_cur >= 4096)
		return (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	raised = (struct rlimit){ old.rlim_max < 4096 ? old.rlim_max : 4096, old.rlim_max };
	prlimit(task->tid, RLIMIT_NOFILE, &raised, NULL);
	return old;
}

static void lower_descriptors(const struct task *task, const struct rlimit *old)
{
	if (old->rlim_cur != RLIM_INFINITY)
		prlimit(task->tid, RLIMIT_NOFILE, old, NULL);
}

/* Mapped by the program itself, at fixed places of its own. The file offset means nothing to the kernel here: it is the mark by
 * which the net's filter and tests/compare/kernel.py know the call. */
static struct batch_call map_call(uint64_t at, uint64_t bytes, int prot)
{
	return (struct batch_call){ SYS_mmap, { at, bytes, (uint64_t)prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE |
				    MAP_NORESERVE, (uint64_t)-1, AGENT_BASE }, 0 };
}

/* Nothing in a chunk is preset: each thread touches its own block and stack. */
static struct batch_call blocks_call(uint32_t chunk)
{
	return map_call(CHUNK_ADDRESS(chunk), CHUNK_THREADS, PROT_READ | PROT_WRITE);
}

static struct batch_call memfd_call(uint64_t name)
{
	return (struct batch_call){ SYS_memfd_create, { name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0, AGENT_BASE }, 0 };
}

static struct batch_call arena_call(uint32_t chunk, uint64_t fd)
{
	return (struct batch_call){ SYS_mmap, { CHUNK_ARENA(chunk), ARENA_BYTES, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0 }, 0 };
}

/* From the agent's text; -errno also of the call itself. */
static long call_agent(struct keeper *k, const struct task *task, const struct batch_call *call)
{
	return remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, call->nr, call->args);
}

int inject_chunk(struct keeper *k, struct task *task)
{
	struct space *space = space_of(k, task);

	if (space->chunks == CHUNK_COUNT)
		return -ENOMEM;
	struct batch_call blocks = blocks_call(space->chunks), memfd = memfd_call(AGENT_EXPORT_NAME);
	struct rlimit old = lift_descriptors(task);
	long err = call_agent(k, task, &blocks);
	long fd = err < 0 ? err : call_agent(k, task, &memfd);

	lower_descriptors(task, &old);
	if (fd < 0)
		return (int)fd;
	struct batch_call arena = arena_call(space->chunks, (uint64_t)fd), close_it = { SYS_close, { (uint64_t)fd }, 0 };

	err = call_agent(k, task, &arena);
	if (err >= 0)
		err = arena_adopt(k, task, (int)fd);
	space->chunks += err >= 0;
	long closed = call_agent(k, task, &close_it);

	return (int)(err < 0 ? err : closed);
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

int task_enter_agent(struct keeper *k, struct task *task, struct user_regs_struct *regs, const struct agent_frame *first)
{
	struct agent_thread thread = { 0 };
	int err;

	if (!task_take_slot(k, task))
		return -ENOSPC;
	thread.self = thread_block(task);
	thread.stack_top = thread.self + THREAD_BYTES - 16;
	thread.ring = CHUNK_ARENA(task->chunk) + (uint64_t)task->slot * RING_STRIDE;
	thread.entry = k->launch->choice ? AGENT_EXPORT_FILTER : AGENT_EXPORT_SITE;
	thread.forced_blocked = task->blocked;
	task->blocked_told = task->blocked;
	thread.pid = task->pid;
	thread.tid = task->tid;
	if (first) {
		thread.frame = *first;
		thread.phase = AGENT_AFTER;
	}
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

/* What the agent finds at AGENT_DATA. */
struct agent_data {
	struct agent_config config;
	char free[AGENT_IDLE_OFFSET - sizeof(struct agent_config)];
	struct agent_thread idle;
};

/* The agent's text and its data. */
static int write_agent(struct keeper *k, struct task *task)
{
	struct agent_data data = {
		.config = { .string_limit = k->launch->string_limit, .fd_paths = k->launch->fd_paths, .vdso = k->launch->vdso,
			    .regions = { space_of(k, task)->rewriting.regions[0].start },
			    .own_filter = space_of(k, task)->filtered, .filtered = k->launch->choice != NULL },
		.idle = { .self = AGENT_IDLE, .entry = AGENT_EXPORT_PLAIN },
	};
	int err = tracee_write(k, task->tid, AGENT_BASE, agent_image, (size_t)(agent_image_end - agent_image));

	if (k->launch->choice)
		data.config.choice = *k->launch->choice;
	return err ? err : tracee_write(k, task->tid, AGENT_DATA, &data, sizeof(data));
}

/* Value of an auxv entry of the process, 0 when it has none. */
static uint64_t auxv_value(pid_t tid, uint64_t type)
{
	Elf64_auxv_t rows[64];
	size_t got = read_proc(tid, "auxv", (char *)rows, sizeof(rows));

	for (size_t i = 0; i < got / sizeof(rows[0]); i++)
		if (rows[i].a_type == type)
			return rows[i].a_un.a_val;
	return 0;
}

/* The batch's int3 resets an ignored SIGTRAP, which the program may have inherited. */
static int ignore_trap_again(struct keeper *k, const struct task *task)
{
	const uint64_t action[4] = { (uint64_t)SIG_IGN }, scratch = CHUNK_ADDRESS(0) + sizeof(struct agent_thread);
	int err = tracee_write(k, task->tid, scratch, action, sizeof(action));

	return err ? err : (int)remote_syscall(k, task->tid, AGENT_EXPORT_REMOTE, SYS_rt_sigaction,
					       (uint64_t[6]){ SIGTRAP, scratch, 0, 8 });
}

/* All that the agent needs in a fresh image is mapped in one go; only the trampolines' place may fail. *fd: of the rings. */
static int map_all(struct keeper *k, struct task *task, const struct user_regs_struct *regs, uint64_t loader, int *fd)
{
	enum { TEXT, DATA, BLOCKS, MEMFD, ARENA, NEEDED, TRAMPOLINES = NEEDED, COUNT };
	uint64_t place = loader && !k->launch->no_sites ? rewrite_place(loader) : 0;
	struct batch_call calls[COUNT] = {
		[TEXT] = map_call(AGENT_BASE, AGENT_TEXT_MAX, PROT_READ | PROT_EXEC),
		[DATA] = map_call(AGENT_DATA, AGENT_DATA_MAX, PROT_READ | PROT_WRITE),
		[BLOCKS] = blocks_call(0),
		[MEMFD] = memfd_call(regs->rip + (AGENT_EXPORT_NAME - AGENT_EXPORT_BATCH)), /* stands there for now */
		[ARENA] = arena_call(0, BATCH_PREVIOUS),
		[TRAMPOLINES] = map_call(place, REGION_BYTES, PROT_READ | PROT_EXEC),
	};
	struct rlimit old = lift_descriptors(task);
	int err = batch_run(k, task->tid, regs, calls, place ? COUNT : NEEDED);

	lower_descriptors(task, &old);
	*fd = err ? -1 : (int)calls[MEMFD].result;
	for (uint32_t i = 0; !err && i < NEEDED; i++)
		if (calls[i].result < 0)
			err = (int)calls[i].result;
	if (!err && place && calls[TRAMPOLINES].result > 0)
		rewrite_region(space_of(k, task), (uint64_t)calls[TRAMPOLINES].result);
	return err;
}

/* The descriptor of rings that will not be used. */
static void give_back(struct keeper *k, struct task *task, const struct user_regs_struct *regs, int fd)
{
	struct batch_call call = { SYS_close, { (uint64_t)fd }, 0 };

	if (fd >= 0)
		batch_run(k, task->tid, regs, &call, 1);
}

static struct agent_frame first_frame(const struct user_regs_struct *regs)
{
	return (struct agent_frame){ .rbx = regs->rbx, .rcx = regs->rip, .rdx = regs->rdx, .rsi = regs->rsi, .rdi = regs->rdi,
				     .rbp = regs->rbp, .rsp = regs->rsp, .r8 = regs->r8, .r9 = regs->r9, .r10 = regs->r10,
				     .r11 = regs->r11, .r12 = regs->r12, .r13 = regs->r13, .r14 = regs->r14, .r15 = regs->r15,
				     .rflags = regs->eflags };
}

/* On success *regs are those of the agent's beginning, where the program is about to begin. */
static int inject_with(struct keeper *k, struct task *task, struct user_regs_struct *regs, bool trap_ignored)
{
	struct agent_frame first = first_frame(regs);
	uint64_t loader = auxv_value(task->tid, AT_BASE);
	int fd, err = map_all(k, task, regs, loader, &fd);

	if (!err)
		err = write_agent(k, task);
	if (!err)
		err = arena_adopt(k, task, fd);
	if (err) {
		give_back(k, task, regs, fd);
		return err;
	}
	space_of(k, task)->chunks = 1;
	space_of(k, task)->rewriting.loaded = loader;
	if (trap_ignored && (err = ignore_trap_again(k, task)))
		return err;
	if (!k->launch->no_patch)
		patch_loader(k, task, loader);
	err = task_enter_agent(k, task, regs, &first);
	if (err)
		return err;
	regs->rip = AGENT_EXPORT_BEGIN;
	regs->rsp = thread_block(task) + THREAD_BYTES - 16;
	regs->rdi = (uint64_t)fd;
	return 0;
}

int inject_image(struct keeper *k, struct task *task)
{
	struct user_regs_struct regs, first;
	uint64_t mask, all = ~(1ull << (SIGTRAP - 1)); /* the batch ends with it */
	uint64_t ignored = status_number(task->tid, "SigIgn:", 16);
	int err;

	if (ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, task->tid, sizeof(mask), &mask) < 0)
		return -errno;
	if (regs.cs == 0x23)
		return -ENOEXEC; /* a 32-bit image: by ptrace */
	first = regs;
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(all), &all);
	forced_inherited(k, task, mask, ignored);
	err = inject_with(k, task, &regs, ignored & 1ull << (SIGTRAP - 1));
	ptrace(PTRACE_SETSIGMASK, task->tid, sizeof(mask), &mask);
	if (err)
		regs = first;
	regs.rax = 0; /* execve has not returned when it stops */
	regs.orig_rax = (uint64_t)-1;
	if (ptrace(PTRACE_SETREGS, task->tid, 0, &regs) < 0 && !err)
		err = -errno;
	return err;
}
