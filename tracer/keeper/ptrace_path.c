/* Layer 4's sight: processes without an agent (32-bit images, failed injections, --no-agent) and single foreign calls are
 * recorded from outside at PTRACE_SYSCALL stops, into the same records as the agent writes. */
#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "capture.h"
#include "keeper.h"


static uint64_t copy_tracee(void *context, void *to, uint64_t from, uint64_t bytes)
{
	const struct task *task = context;
	uint64_t done = 0;

	/* Page by page: process_vm_readv gives nothing of a piece that ends in an unmapped page. */
	while (done < bytes) {
		uint64_t part = 4096 - (from + done) % 4096;
		struct iovec local, remote;

		part = part < bytes - done ? part : bytes - done;
		local = (struct iovec){ (char *)to + done, part };
		remote = (struct iovec){ (void *)(from + done), part };
		ssize_t got = process_vm_readv(task->tid, &local, 1, &remote, 1, 0);

		if (got <= 0)
			break;
		done += (uint64_t)got;
	}
	return done;
}

static long fd_path_tracee(void *context, int fd, char *to, uint64_t bytes)
{
	const struct task *task = context;
	char link[64];

	if (fd == -100) /* AT_FDCWD */
		snprintf(link, sizeof(link), "/proc/%d/cwd", task->tid);
	else
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", task->tid, fd);
	return readlink(link, to, bytes);
}

static struct capture_source source_of(const struct keeper *k, struct task *task)
{
	return (struct capture_source){ .copy = copy_tracee, .context = task, .string_limit = k->launch->string_limit,
					.fd_path = k->launch->fd_paths ? fd_path_tracee : NULL };
}

static void send_record(struct keeper *k, const struct task *task, int complete)
{
	send_control(k, (struct control){ .type = MSG_RECORD, .pid = task->pid, .tid = task->tid, .value = complete,
					  .tsc = complete ? task->open->end_tsc : task->open->start_tsc },
		     task->open, task->open->size, -1);
}

static void on_entry(struct keeper *k, struct task *task, const struct __ptrace_syscall_info *info)
{
	struct capture_source from = source_of(k, task);

	if (!task->open)
		task->open = malloc(RECORD_MAX);
	if (!task->open)
		return;
	*task->open = (struct record){ .size = sizeof(struct record), .kind = RECORD_SYSCALL, .caught = CAUGHT_PTRACE,
				       .pid = task->pid, .tid = task->tid, .nr = (int32_t)info->entry.nr,
				       .site = info->instruction_pointer - 2, .start_tsc = now_tsc(),
				       .abi = info->arch == AUDIT_ARCH_X86_64 ? ABI_X86_64 : ABI_I386 };
	if (task->open->abi == ABI_X86_64 && info->entry.nr & 0x40000000)
		task->open->abi = ABI_X32;
	for (int i = 0; i < 6; i++)
		task->open->args[i] = info->entry.args[i];
	if (task->open->abi == ABI_X86_64 && info->entry.nr == SYS_rt_sigreturn)
		task->open->args[0] = info->stack_pointer + SIGFRAME_MASK;
	capture_run(task->open, &from, PHASE_ENTRY);
	task->open->entry_size = task->open->size;
	send_record(k, task, 0);
}

static void on_exit_stop(struct keeper *k, struct task *task, const struct __ptrace_syscall_info *info)
{
	struct capture_source from = source_of(k, task);

	if (!task->open)
		return;
	task->open->ret = info->exit.rval;
	capture_run(task->open, &from, PHASE_EXIT);
	task->open->end_tsc = now_tsc();
	send_record(k, task, 1);
}

/* What an interrupted call of a thread with an agent left behind: `rec`, a valid copy of its open record, gets the pieces of
 * its end. */
void capture_interrupted(const struct keeper *k, struct task *task, struct record *rec)
{
	struct capture_source from = source_of(k, task);

	capture_run(rec, &from, PHASE_EXIT);
}

void ptrace_path_forget(struct task *task)
{
	free(task->open);
	task->open = NULL;
	task->in_syscall = false;
}

void on_syscall_stop(struct keeper *k, struct task *task)
{
	struct __ptrace_syscall_info info;

	if (!task->by_ptrace || ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		/* Before its first execve the child is still ours. */
		task->in_syscall = true;
		if (!task->starting || info.entry.nr == SYS_execve)
			on_entry(k, task, &info);
		return;
	}
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (task->in_syscall && !task->starting)
			on_exit_stop(k, task, &info);
		task->in_syscall = false;
		if (task->once) {
			task->once = false;
			task->by_ptrace = false;
			arm_dispatch(task);
		}
	}
}
