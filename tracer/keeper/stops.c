/* Job-control stops that come while the keeper runs a thread for its own ends: out of the agent, or through a remote call. The
 * thread has to run on, but nothing of the stop may be lost, and it must not be made later than it was: a SIGCONT between would
 * then have come too early, and the process would be stopped for ever. So a stop signal is delivered where it is met, and the
 * thread joins its process's stop (if there still is one) when it is resumed. */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "keeper.h"

static void tell_signal(struct keeper *k, const struct task *task, int sig)
{
	siginfo_t info;

	if (!ptrace(PTRACE_GETSIGINFO, task->tid, 0, &info))
		send_control(k, (struct control){ .type = MSG_SIGNAL, .pid = task->pid, .tid = task->tid, .value = sig }, &info,
			     sizeof(info), -1);
}

bool stops_process(pid_t tid, int sig)
{
	if (sig == SIGSTOP)
		return true;
	return (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) && !(status_number(tid, "SigCgt:", 16) & 1ull << (sig - 1));
}

bool join_stop(struct keeper *k, pid_t tid, int status, int *sig)
{
	struct task *task = task_find(k, tid);

	*sig = 0;
	if (status >> 16 == PTRACE_EVENT_STOP) {
		if (task)
			task->stop_again = true;
		return true;
	}
	if (status >> 16 || !stops_process(tid, WSTOPSIG(status)))
		return false;
	*sig = WSTOPSIG(status);
	if (task)
		tell_signal(k, task, *sig);
	return true;
}

bool forced_pending(pid_t tid, uint64_t signals)
{
	struct __ptrace_peeksiginfo_args args = { .nr = 8 };
	siginfo_t pending[8];
	long count = ptrace(PTRACE_PEEKSIGINFO, tid, &args, pending);

	for (long i = 0; i < count; i++)
		if (pending[i].si_code > 0 && signals & 1ull << (pending[i].si_signo - 1))
			return true;
	return false;
}

int take_stop_signal(struct task *task)
{
	int sig = task->stop_signal;

	task->stop_signal = 0;
	return sig;
}
