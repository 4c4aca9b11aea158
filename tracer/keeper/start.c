/* Starts the program: a child that waits until it is seized, stops itself, and from there on makes no call but those that are
 * meant to be seen: the net's filter, with -f, and the execve. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "keeper.h"
#include "net_filter.h"

#define TRACE_OPTIONS (PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | \
		       PTRACE_O_TRACESYSGOOD)

extern char **environ;

static _Noreturn void child(const struct keeper *k, int go, int error_pipe)
{
	char byte;
	int err;

	while (read(go, &byte, 1) < 0 && errno == EINTR)
		;
	kill(getpid(), SIGSTOP); /* its delivery stops it, and is all that comes of it: start_seen */
	if (k->launch->follow && !k->launch->no_net)
		net_filter_install();
	syscall(SYS_execve, k->launch->program, k->launch->argv, environ);
	err = errno;
	if (write(error_pipe, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

static pid_t failed(struct keeper *k, int err, const char *what)
{
	send_control(k, (struct control){ .type = MSG_FAILED, .value = err, .aux = START_PTRACE }, what,
		     (uint32_t)strlen(what) + 1, -1);
	return -err;
}

pid_t start_program(struct keeper *k)
{
	int go[2], report[2];

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
		return failed(k, errno, "pipe");
	pid_t pid = fork();

	if (pid < 0)
		return failed(k, errno, "fork");
	if (!pid) {
		close(go[1]);
		child(k, go[0], report[1]);
	}
	close(go[0]);
	close(report[1]);
	k->error_pipe = report[0];
	if (ptrace(PTRACE_SEIZE, pid, 0, TRACE_OPTIONS) < 0) {
		int err = errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return failed(k, err, "ptrace");
	}
	close(go[1]); /* end of file: go */
	return pid;
}

bool start_seen(struct keeper *k, struct task *task, int sig)
{
	if (!task->starting || k->start_stopped || sig != SIGSTOP)
		return false;
	k->start_stopped = true;
	resume(task, 0);
	return true;
}
