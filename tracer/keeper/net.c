/* The seccomp net's listener: every wait of the keeper also answers it, because a tracee that waits in a notification makes
 * no progress. All notifications are answered with CONTINUE; the calls that no other layer sees are recorded first. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "keeper.h"

#define ERESTARTSYS 512 /* the kernel's own, not in the headers for programs */
#define VSYSCALL_PAGE 0xffffffffff600000ull
#define VSYSCALL_PAGE_MASK (~(uint64_t)4095)

/* SIGCHLD is always blocked, so that none is lost between a look and a wait; and so that it never stops the keeper, whom the
 * front traces. */
static void only_child(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
}

void net_open(struct keeper *k)
{
	sigset_t set;

	only_child(&set);
	sigprocmask(SIG_BLOCK, &set, &k->program_mask);
	k->children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int net_adopt(struct keeper *k, pid_t pid, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), err;

	if (pidfd < 0)
		return -errno;
	k->net = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	err = errno;
	close(pidfd);
	if (k->net < 0)
		return -err;
	/* The front holds a second reference: without any, the kernel answers ENOSYS to what the net catches. */
	send_control(k, (struct control){ .type = MSG_NET, .pid = pid, .tid = pid }, NULL, 0, k->net);
	return 0;
}

void net_missing(struct keeper *k, const struct task *task)
{
	if (k->net >= 0 || !k->launch->follow || k->launch->no_net)
		return;
	send_note(k, task, "there is no seccomp net: %s", k->net_error == EBUSY ? "another one is there already" :
		  strerror(k->net_error ? k->net_error : ENOSYS));
}

static pid_t process_of(pid_t tid)
{
	uint64_t pid = status_number(tid, "Tgid:", 10);

	return pid ? (pid_t)pid : tid;
}

static bool is_vsyscall(const struct seccomp_notif *call)
{
	return (call->data.instruction_pointer & VSYSCALL_PAGE_MASK) == VSYSCALL_PAGE;
}

/* Calls of the agent, of threads followed by ptrace, and those the keeper makes in a tracee are recorded there. */
static bool recorded_elsewhere(const struct keeper *k, const struct task *task, const struct seccomp_notif *call)
{
	if ((pid_t)call->pid == k->remote_tid || in_agent(call->data.instruction_pointer - 2))
		return true;
	return task && (task->by_ptrace || task->starting) && !is_vsyscall(call);
}

static struct traced_call call_of(const struct seccomp_notif *call)
{
	struct traced_call seen = { .nr = (uint64_t)call->data.nr, .arch = call->data.arch, .caught = CAUGHT_NET,
				    .site = call->data.instruction_pointer - (is_vsyscall(call) ? 0 : 2) };

	for (int i = 0; i < 6; i++)
		seen.args[i] = call->data.args[i];
	return seen;
}

/* Emulated by the kernel inside a page fault, so no ptrace stop shows the result: the thread is stopped when it returns. */
static void record_vsyscall(struct keeper *k, struct task *task, const struct seccomp_notif *call)
{
	const struct traced_call seen = call_of(call);

	if (!task->emulated)
		task->emulated = malloc(RECORD_MAX);
	if (!task->emulated)
		return;
	record_begin(k, task, task->emulated, &seen);
	ptrace(PTRACE_INTERRUPT, task->tid, 0, 0);
}

void net_vsyscall_returned(struct keeper *k, struct task *task)
{
	struct user_regs_struct regs;

	if (!task->emulated)
		return;
	if (!ptrace(PTRACE_GETREGS, task->tid, 0, &regs))
		record_end(k, task, task->emulated, (int64_t)regs.rax);
	free(task->emulated);
	task->emulated = NULL;
}

static bool is_vsyscall_address(uint64_t address)
{
	return (address & VSYSCALL_PAGE_MASK) == VSYSCALL_PAGE && !(address & 0x3ff) && address - VSYSCALL_PAGE <= 0x800;
}

/* The vsyscall that the `call *register` before RIP led to; 0: it did not. rax is the result by now, but was loaded just before. */
static uint64_t vsyscall_called(struct keeper *k, pid_t tid, const struct user_regs_struct *regs)
{
	const uint64_t values[16] = { 0, regs->rcx, regs->rdx, regs->rbx, regs->rsp, regs->rbp, regs->rsi, regs->rdi,
				      regs->r8, regs->r9, regs->r10, regs->r11, regs->r12, regs->r13, regs->r14, regs->r15 };
	struct { uint8_t load[3], number[4], call[2]; } code;
	int32_t number;

	if (tracee_read(k, tid, regs->rip - sizeof(code), &code, sizeof(code)) || code.call[0] != 0xff ||
	    (code.call[1] & 0xf8) != 0xd0)
		return 0;
	uint64_t low = values[code.call[1] & 7], high = values[8 + (code.call[1] & 7)];

	if (code.number[3] == 0x41 && is_vsyscall_address(high))
		return high;
	if (is_vsyscall_address(low))
		return low;
	memcpy(&number, code.number, sizeof(number));
	return code.call[1] == 0xd0 && !memcmp(code.load, "\x48\xc7\xc0", 3) && is_vsyscall_address((uint64_t)number) ?
	       (uint64_t)number : 0;
}

void net_vsyscall_again(struct keeper *k, const struct task *task, struct user_regs_struct *regs)
{
	uint64_t back;

	if (k->net < 0 || regs->rax != (uint64_t)-ERESTARTSYS || (int64_t)regs->orig_rax >= 0 ||
	    tracee_read(k, task->tid, regs->rsp - sizeof(back), &back, sizeof(back)) || back != regs->rip)
		return;
	uint64_t called = vsyscall_called(k, task->tid, regs);

	if (!called)
		return;
	regs->rip = called;
	regs->rsp -= sizeof(back);
	ptrace(PTRACE_SETREGS, task->tid, 0, regs);
}

/* Nobody will see the result: the thread is traced by another tracer, or by none. */
static void record_without_result(struct keeper *k, const struct task *task, const struct seccomp_notif *call)
{
	static _Alignas(8) char bytes[RECORD_MAX];
	struct record *rec = (struct record *)bytes;
	struct task stranger = { .tid = (pid_t)call->pid, .chunk = NO_INDEX };
	const struct traced_call seen = call_of(call);

	stranger.pid = task ? task->pid : process_of(stranger.tid);
	record_begin(k, &stranger, rec, &seen);
	rec->reserved = RECORD_NO_RESULT;
	rec->end_tsc = now_tsc();
	send_record(k, rec, 1);
}

static void answer_one(struct keeper *k)
{
	struct seccomp_notif call = { 0 };

	if (ioctl(k->net, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return; /* the thread died meanwhile */
	struct seccomp_notif_resp go_on = { .id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	struct task *task = task_find(k, (pid_t)call.pid);

	if (task && task->by_ptrace && (task->in_syscall || task->starting))
		ptrace_path_notified(k, task);
	if (!recorded_elsewhere(k, task, &call)) {
		if (task && is_vsyscall(&call))
			record_vsyscall(k, task, &call);
		else
			record_without_result(k, task, &call);
	}
	ioctl(k->net, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
}

/* Waits for a child's signal or a notification and answers the latter. False with EINTR after a signal, or when rings are
 * to be looked at. */
static bool wait_net(struct keeper *k)
{
	struct pollfd fds[2] = { { .fd = k->net, .events = POLLIN }, { .fd = k->children, .events = POLLIN } };
	const struct timespec soon = { .tv_nsec = ROOM_WAIT_NS };
	struct signalfd_siginfo info;
	sigset_t blocked;

	only_child(&blocked);
	if (ppoll(fds, 2, k->full_count ? &soon : NULL, &blocked) <= 0)
		fds[0].revents = 0;
	else if (fds[1].revents && read(k->children, &info, sizeof(info)) < 0)
		fds[1].revents = 0;
	if (!fds[0].revents) {
		errno = EINTR;
		return false;
	}
	if (fds[0].revents & POLLIN) {
		answer_one(k);
	} else { /* POLLHUP: the last task under the filter is gone */
		close(k->net);
		k->net = -1;
	}
	return true;
}

pid_t net_wait(struct keeper *k, pid_t tid, int *status)
{
	while (k->net >= 0 || k->full_count) {
		pid_t got = waitpid(tid, status, __WALL | WNOHANG);

		if (got > 0 || (got < 0 && (errno != ECHILD || tid > 0 || !k->let_go)))
			return got;
		if (wait_net(k))
			continue;
		int err = errno;

		got = waitpid(tid, status, __WALL | WNOHANG);
		if (got)
			return got;
		errno = err;
		return -1;
	}
	return waitpid(tid, status, __WALL);
}
