/* The seccomp net's listener: every wait of the keeper also answers it, because a tracee that waits in a notification makes
 * no progress. All notifications are answered with CONTINUE; the calls that no other layer sees are recorded first. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "keeper.h"

#define ERESTARTSYS 512 /* the kernel's own, not in the headers for programs */
#define VSYSCALL_PAGE 0xffffffffff600000ull
#define VSYSCALL_PAGE_MASK (~(uint64_t)4095)

/* The tracer thread sleeps in waitpid; notifications are rare. A watcher thread receives them, each at once, because a call whose
 * notification was not received may still be interrupted: with EINTR, which fork for one never gives, where another tracer than
 * the keeper sees the thread's stops. It then sends the tracer SIGUSR2 until that has answered all: a signal just before waitpid
 * wakes nobody, the next one does. */
#define WATCHED_MAX 256u /* a power of two */
static struct {
	pid_t tracer;
	int listener;
	_Atomic uint32_t received, answered; /* counts; the calls between them are in `calls` */
	_Atomic bool ended;                  /* the last task under the filter is gone */
	struct seccomp_notif calls[WATCHED_MAX];
} watcher;

#define WATCH_AGAIN_NS 200000

static void on_wake(int sig)
{
	(void)sig; /* only wakes the wait */
}

static void receive(void)
{
	struct seccomp_notif *call = &watcher.calls[watcher.received % WATCHED_MAX];

	memset(call, 0, sizeof(*call));
	if (!ioctl(watcher.listener, SECCOMP_IOCTL_NOTIF_RECV, call)) /* else the thread died meanwhile */
		watcher.received++;
}

static void *watch(void *unused)
{
	const struct timespec again = { .tv_nsec = WATCH_AGAIN_NS };

	while (!watcher.ended || watcher.received != watcher.answered) {
		uint32_t waiting = watcher.received - watcher.answered;
		struct pollfd listener = { .fd = watcher.ended || waiting == WATCHED_MAX ? -1 : watcher.listener, .events = POLLIN };

		if (ppoll(&listener, 1, waiting ? &again : NULL, NULL) > 0) {
			if (listener.revents & POLLIN)
				receive();
			else
				watcher.ended = true;
		}
		if (watcher.received != watcher.answered || watcher.ended)
			syscall(SYS_tgkill, getpid(), watcher.tracer, SIGUSR2);
	}
	return unused;
}

/* SIGCHLD is for the waits with a time limit only, and otherwise blocked. */
void net_open(void)
{
	struct sigaction action = { .sa_handler = on_wake };
	sigset_t set;

	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Where there can be no thread (RLIMIT_NPROC), watcher.tracer stays 0, and the tracer itself polls. */
static void start_watcher(int listener)
{
	sigset_t all, before;
	pthread_t thread;

	watcher.listener = listener;
	watcher.tracer = (pid_t)syscall(SYS_gettid);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* what is sent to the keeper is the tracer's */
	int err = pthread_create(&thread, NULL, watch, NULL);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		watcher.tracer = 0;
	else
		pthread_detach(thread);
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
	start_watcher(k->net);
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

/* The kernel takes a lock for it, and a signal, the watcher's for one, ends the wait for that. */
static int certainly(int net, unsigned long request, const void *about)
{
	int got;

	while ((got = ioctl(net, request, about)) < 0 && errno == EINTR)
		;
	return got;
}

/* Its thread may have been killed since, and its end seen: what it was in has been told. */
static bool still_waits(const struct keeper *k, const struct seccomp_notif *call)
{
	return !certainly(k->net, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id);
}

static void answer(struct keeper *k, const struct seccomp_notif *call)
{
	struct seccomp_notif_resp go_on = { .id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	struct task *task = task_find(k, (pid_t)call->pid);

	k->launch->shared->net_id = call->id;
	if (task && task->by_ptrace && (task->in_syscall || task->starting))
		ptrace_path_notified(k, task);
	if (!recorded_elsewhere(k, task, call)) {
		if (task && is_vsyscall(call))
			record_vsyscall(k, task, call);
		else if (task || still_waits(k, call))
			record_without_result(k, task, call);
	}
	certainly(k->net, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
}

/* The last task under the filter is gone. */
static void close_net(struct keeper *k)
{
	close(k->net);
	k->net = -1;
}

static void answer_watcher(struct keeper *k)
{
	while (watcher.answered != watcher.received) {
		answer(k, &watcher.calls[watcher.answered % WATCHED_MAX]);
		watcher.answered++;
	}
	if (watcher.ended && k->net >= 0)
		close_net(k);
}

static void answer_polled(struct keeper *k, short events)
{
	struct seccomp_notif call = { 0 };

	if (!(events & POLLIN))
		close_net(k);
	else if (!ioctl(k->net, SECCOMP_IOCTL_NOTIF_RECV, &call))
		answer(k, &call);
}

static bool polls_itself(const struct keeper *k)
{
	return k->net >= 0 && !watcher.tracer;
}

/* Where waitpid alone will not do: threads wait for room in their rings, and a look at those is due soon; there is no watcher; or
 * `tid` may be dead. */
static pid_t wait_polling(struct keeper *k, pid_t tid, int *status)
{
	const struct timespec soon = { .tv_nsec = ROOM_WAIT_NS };
	struct pollfd listener = { .fd = polls_itself(k) ? k->net : -1, .events = POLLIN };
	sigset_t none;
	pid_t got = waitpid(tid, status, __WALL | WNOHANG);

	if (got)
		return got;
	take_deaths_of_others(k, tid);
	got = waitpid(tid, status, __WALL | WNOHANG);
	if (got)
		return got;
	sigemptyset(&none);
	if (ppoll(&listener, 1, k->full_count ? &soon : NULL, &none) > 0)
		answer_polled(k, listener.revents);
	answer_watcher(k);
	got = waitpid(tid, status, __WALL | WNOHANG);
	if (got)
		return got;
	errno = EINTR;
	return -1;
}

pid_t net_wait(struct keeper *k, pid_t tid, int *status)
{
	pid_t got;

	answer_watcher(k);
	send_queued(k);
	k->busy_ticks += now_tsc() - k->busy_since;
	got = k->full_count || polls_itself(k) || leads_others(k, tid) ? wait_polling(k, tid, status) : waitpid(tid, status, __WALL);
	k->busy_since = now_tsc();
	if (got < 0 && errno == ECHILD && tid < 0 && k->let_go && k->net >= 0) {
		/* only tasks that were let go are left: until the watcher's signal */
		struct pollfd listener = { .fd = polls_itself(k) ? k->net : -1, .events = POLLIN };

		if (poll(&listener, 1, 1000) > 0)
			answer_polled(k, listener.revents);
		errno = EINTR;
	}
	return got;
}
