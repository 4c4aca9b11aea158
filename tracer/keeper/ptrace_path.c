/* Layer 4's sight: processes without an agent (32-bit images, failed injections, --no-agent) and single foreign calls are
 * recorded from outside at PTRACE_SYSCALL stops, into the same records as the agent writes. */
#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "capture.h"
#include "keeper.h"

/* The kernel's own codes, not in the headers for programs. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513

#define PAGE_BYTES 4096u

/* The tracee's memory while one record is made. The page read last is kept: an execve has dozens of strings side by side. */
struct tracee_memory {
	pid_t tid;
	uint64_t page;                /* its address plus one, so that 0 is none */
	uint8_t bytes[PAGE_BYTES];
};

/* A page is readable or not as a whole. */
static bool read_page(struct tracee_memory *memory, uint64_t page)
{
	struct iovec local = { memory->bytes, PAGE_BYTES }, remote = { (void *)page, PAGE_BYTES };

	if (memory->page == page + 1)
		return true;
	memory->page = 0;
	if (process_vm_readv(memory->tid, &local, 1, &remote, 1, 0) != PAGE_BYTES)
		return false;
	memory->page = page + 1;
	return true;
}

static uint64_t copy_tracee(void *context, void *to, uint64_t from, uint64_t bytes)
{
	struct tracee_memory *memory = context;
	uint64_t done = 0;

	while (done < bytes) {
		uint64_t offset = (from + done) % PAGE_BYTES, part = PAGE_BYTES - offset;

		part = part < bytes - done ? part : bytes - done;
		if (!read_page(memory, from + done - offset))
			break;
		memcpy((char *)to + done, memory->bytes + offset, part);
		done += part;
	}
	return done;
}

static long fd_path_tracee(void *context, int fd, char *to, uint64_t bytes)
{
	const struct tracee_memory *memory = context;
	char link[64];

	if (fd == -100) /* AT_FDCWD */
		snprintf(link, sizeof(link), "/proc/%d/cwd", memory->tid);
	else
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", memory->tid, fd);
	return readlink(link, to, bytes);
}

static void capture_from(const struct keeper *k, const struct task *task, struct record *rec, int phase)
{
	struct tracee_memory memory = { .tid = task->tid };
	const struct capture_source from = { .copy = copy_tracee, .context = &memory, .string_limit = k->launch->string_limit,
					     .fd_path = k->launch->fd_paths ? fd_path_tracee : NULL };

	capture_run(rec, &from, phase);
}

void send_record(struct keeper *k, const struct record *rec, int complete)
{
	send_control(k, (struct control){ .type = MSG_RECORD, .pid = rec->pid, .tid = rec->tid, .value = complete,
					  .tsc = complete ? rec->end_tsc : rec->start_tsc },
		     rec, rec->size, -1);
	send_queued(k); /* before the thread goes on: what its ring has when this arrives is older */
}

void record_begin(struct keeper *k, struct task *task, struct record *rec, const struct traced_call *call)
{
	*rec = (struct record){ .size = sizeof(struct record), .kind = RECORD_SYSCALL, .caught = (uint16_t)call->caught,
				.pid = task->pid, .tid = task->tid, .nr = (int32_t)call->nr, .site = call->site,
				.start_tsc = now_tsc(), .abi = call->arch == AUDIT_ARCH_X86_64 ? ABI_X86_64 : ABI_I386 };
	if (rec->abi == ABI_X86_64 && call->nr & 0x40000000)
		rec->abi = ABI_X32;
	for (int i = 0; i < 6; i++)
		rec->args[i] = call->args[i];
	if (rec->abi == ABI_X86_64 && call->nr == SYS_rt_sigreturn)
		rec->args[0] = call->stack + SIGFRAME_MASK;
	capture_from(k, task, rec, PHASE_ENTRY);
	rec->entry_size = rec->size;
}

void record_end(struct keeper *k, struct task *task, struct record *rec, int64_t ret)
{
	rec->ret = ret;
	capture_from(k, task, rec, PHASE_EXIT);
	rec->end_tsc = now_tsc();
	send_record(k, rec, 1);
}

static void on_entry(struct keeper *k, struct task *task, const struct __ptrace_syscall_info *info)
{
	struct traced_call call = { .nr = info->entry.nr, .site = info->instruction_pointer - 2, .arch = info->arch,
				    .stack = info->stack_pointer, .caught = CAUGHT_PTRACE };

	if (!task->open)
		task->open = malloc(RECORD_MAX);
	if (!task->open)
		return;
	for (int i = 0; i < 6; i++)
		call.args[i] = info->entry.args[i];
	note_filter(k, task, call.nr, call.args[0]);
	record_begin(k, task, task->open, &call);
	task->notified = false;
	if (k->net < 0)
		ptrace_path_notified(k, task);
}

void ptrace_path_notified(struct keeper *k, struct task *task)
{
	if (task->notified || !task->open)
		return;
	task->notified = true;
	send_record(k, task->open, 0);
}

/* A signal that comes before the keeper has received the notification ends the call with ERESTARTSYS, which a handler without
 * SA_RESTART would turn into EINTR. The call has not begun: it is always made again. */
static bool never_began(const struct keeper *k, const struct task *task, const struct __ptrace_syscall_info *info)
{
	struct user_regs_struct regs;

	if (k->net < 0 || task->notified || info->exit.rval != -ERESTARTSYS || ptrace(PTRACE_GETREGS, task->tid, 0, &regs) < 0)
		return false;
	regs.rax = (uint64_t)-ERESTARTNOINTR;
	return !ptrace(PTRACE_SETREGS, task->tid, 0, &regs);
}

static void on_exit_stop(struct keeper *k, struct task *task, const struct __ptrace_syscall_info *info)
{
	if (!task->open || never_began(k, task, info))
		return;
	const uint64_t *args = task->open->args;

	if (task->open->nr == SYS_mmap && task->open->abi == ABI_X86_64 && !info->exit.is_error && args[2] & PROT_EXEC &&
	    !(args[3] & MAP_ANONYMOUS))
		tell_mapping(k, task, (uint64_t)info->exit.rval, args[1], (int)args[4], args[5]);
	record_end(k, task, task->open, info->exit.rval);
}

/* What an interrupted call of a thread with an agent left behind: `rec`, a valid copy of its open record, gets the pieces of
 * its end. */
void capture_interrupted(const struct keeper *k, struct task *task, struct record *rec)
{
	capture_from(k, task, rec, PHASE_EXIT);
}

void ptrace_path_forget(struct task *task)
{
	free(task->open);
	free(task->emulated);
	task->open = task->emulated = NULL;
	task->in_syscall = false;
}

/* Before its first execve the child is still ours: it puts itself under the net's filter. */
static void starting(struct keeper *k, struct task *task, const struct __ptrace_syscall_info *info)
{
	if (info->op == PTRACE_SYSCALL_INFO_ENTRY) {
		k->starting_nr = (long)info->entry.nr;
		if (info->entry.nr == SYS_execve)
			on_entry(k, task, info);
		return;
	}
	if (info->op != PTRACE_SYSCALL_INFO_EXIT || k->starting_nr != SYS_seccomp)
		return;
	k->net_error = info->exit.rval < 0 ? (int)-info->exit.rval : -net_adopt(k, task->tid, (int)info->exit.rval);
}

static void end_once(struct keeper *k, struct task *task)
{
	if (!task->once)
		return;
	task->once = false;
	task->by_ptrace = false;
	arm_dispatch(k, task);
}

bool on_syscall_stop(struct keeper *k, struct task *task)
{
	struct __ptrace_syscall_info info;

	if (!task->by_ptrace || ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) <= 0)
		return true;
	if (task->starting) {
		starting(k, task, &info);
		return true;
	}
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		bool is_ptrace = info.entry.nr == SYS_ptrace && info.arch == AUDIT_ARCH_X86_64;

		task->in_syscall = true;
		on_entry(k, task, &info);
		return !is_ptrace || !let_go_at_entry(k, task, info.entry.args);
	}
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (task->in_syscall)
			on_exit_stop(k, task, &info);
		task->in_syscall = false;
		end_once(k, task);
	}
	return true;
}
