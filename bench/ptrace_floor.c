/* ptrace_floor FILE PROGRAM [ARGUMENTS]: the least a tracer of every system call costs with ptrace: two stops a call, children
 * followed, nothing looked at, nothing printed. The number of calls goes to FILE. Any other tracer with PTRACE_SYSCALL is slower. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SYSCALL_STOP = SIGTRAP | 0x80 };

static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			    PTRACE_O_TRACEEXEC;
static long stops, ends;

/* What the stopped task is to go on with: the signal to deliver, if that is what it stopped for. */
static void go_on(pid_t task, int status)
{
	int signal = WSTOPSIG(status);
	int event = status >> 16;

	if (signal == SYSCALL_STOP)
		stops++;
	if (event == PTRACE_EVENT_STOP && signal != SIGTRAP)
		ptrace(PTRACE_LISTEN, task, 0, 0); /* a group stop: it stays stopped until SIGCONT */
	else
		ptrace(PTRACE_SYSCALL, task, 0, signal == SYSCALL_STOP || event ? 0 : signal);
}

static pid_t start(char **command)
{
	pid_t program = fork();
	int status;

	if (program < 0)
		return -1;
	if (program == 0) {
		raise(SIGSTOP);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	if (waitpid(program, &status, WUNTRACED) != program || ptrace(PTRACE_SEIZE, program, 0, options))
		return -1;
	kill(program, SIGCONT);
	return program;
}

int main(int argc, char **argv)
{
	int status, result = 1;
	pid_t program, task;
	FILE *file;

	if (argc < 3) {
		fprintf(stderr, "usage: ptrace_floor FILE PROGRAM [ARGUMENTS]\n");
		return 2;
	}
	program = start(argv + 2);
	if (program < 0) {
		perror("ptrace_floor");
		return 125;
	}
	/* SIGTERM is the program's, which is told by whoever sent it to us: our end would be its end as well. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	while ((task = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (task > 0 && WIFSTOPPED(status))
			go_on(task, status);
		else if (task > 0)
			ends++;
		if (task == program && !WIFSTOPPED(status))
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	/* Each call has two stops, but the one a task ends in. */
	file = fopen(argv[1], "we");
	if (!file || fprintf(file, "%ld\n", (stops + ends) / 2) < 0 || fclose(file))
		return 125;
	return result;
}
