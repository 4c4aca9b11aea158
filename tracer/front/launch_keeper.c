#include <errno.h>
#include <string.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "launch.h"
#include "launch_keeper.h"
#include "memory.h"
#include "output.h"

#define SOCKET_BYTES (1 << 20)

static void forwarded_signals(sigset_t *set)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(set, signals[i]);
}

static void apply_environment(const struct options *options)
{
	for (size_t i = 0; i < options->environment_count; i++) {
		const char *change = options->environment[i], *equals = strchr(change, '=');

		if (!equals) {
			unsetenv(change);
			continue;
		}
		char *name = strndup(change, (size_t)(equals - change));

		if (name)
			setenv(name, equals + 1, 1);
		free(name);
	}
}

/* The program inherits from here: the signal mask and dispositions vtrace was started with. SIGPIPE is not yet ignored. */
static _Noreturn void run_keeper(const struct keeper_process *keeper, const struct options *options, const char *program,
				 int socket)
{
	struct launch launch = {
		.argv = options->program, .program = program, .control_fd = socket, .follow = options->follow,
		.fd_paths = options->fd_paths, .no_agent = options->no_agent, .no_patch = options->no_patch,
		.no_net = options->no_net, .no_sites = options->no_sites, .remote_dispatch = options->remote_dispatch,
		.vdso = options->vdso, .string_limit = options->string_limit,
		.ring_bytes = options->ring_bytes,
	};

	close(keeper->socket);
	close(keeper->signals);
	close(keeper->children);
	if (keeper->output >= 0)
		close(keeper->output);
	sigprocmask(SIG_SETMASK, &keeper->old_mask, NULL);
	apply_environment(options);
	_exit(keeper_run(&launch));
}

static int open_sockets(int ends[2])
{
	int bytes = SOCKET_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return errno;
	for (int i = 0; i < 2; i++) {
		ends[i] = fd_above_stdio(ends[i]);
		if (ends[i] < 0)
			return errno;
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	}
	return 0;
}

static int open_signals(struct keeper_process *keeper)
{
	sigset_t forwarded, children;

	forwarded_signals(&forwarded);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &forwarded, &keeper->old_mask);
	sigprocmask(SIG_BLOCK, &children, NULL);
	keeper->signals = fd_above_stdio(signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK));
	keeper->children = fd_above_stdio(signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
	return keeper->signals < 0 || keeper->children < 0 ? errno : 0;
}

static bool is_traced(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	int tracer = 0;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (status)
		fclose(status);
	return tracer;
}

/* A keeper that is killed must not leave its tracees before we have switched user dispatch off in them: we trace it, for the stop
 * on its way out only. Not where another tracer follows us, which has it already, or would lose it. */
static void watch(struct keeper_process *keeper)
{
	keeper->watched = !is_traced() && !ptrace(PTRACE_SEIZE, keeper->pid, 0, PTRACE_O_TRACEEXIT);
}

/* Other stops are for signals, and passed over. */
static void resume(const struct keeper_process *keeper, int status)
{
	int sig = WSTOPSIG(status);

	if (status >> 16 == PTRACE_EVENT_STOP && sig != SIGTRAP)
		ptrace(PTRACE_LISTEN, keeper->pid, 0, 0);
	else
		ptrace(PTRACE_CONT, keeper->pid, 0, status >> 16 ? 0 : sig);
}

bool keeper_is_ending(struct keeper_process *keeper)
{
	struct signalfd_siginfo info;
	siginfo_t child = { 0 };
	int status;

	while (read(keeper->children, &info, sizeof(info)) > 0)
		;
	while (keeper->watched && !waitid(P_PID, (id_t)keeper->pid, &child, WSTOPPED | WNOHANG | __WALL) && child.si_pid) {
		status = child.si_status << 8 | 0x7f;
		if (child.si_status >> 8 == PTRACE_EVENT_EXIT)
			return true;
		resume(keeper, status);
		child.si_pid = 0;
	}
	return false;
}

void keeper_let_end(const struct keeper_process *keeper)
{
	ptrace(PTRACE_CONT, keeper->pid, 0, 0);
}

int keeper_launch(struct keeper_process *keeper, const struct options *options, const char *program)
{
	int ends[2], err = open_sockets(ends);

	if (err)
		return err;
	keeper->socket = ends[0];
	err = open_signals(keeper);
	if (err)
		return err;
	keeper->pid = fork();
	if (!keeper->pid)
		run_keeper(keeper, options, program, ends[1]);
	err = errno;
	close(ends[1]);
	signal(SIGPIPE, SIG_IGN);
	if (keeper->pid < 0)
		return err;
	watch(keeper);
	return 0;
}

void keeper_forward_signals(const struct keeper_process *keeper, int32_t program)
{
	struct signalfd_siginfo info;

	while (program > 0 && read(keeper->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_code != SI_KERNEL)
			kill(program, (int)info.ssi_signo);
}

void keeper_wait(const struct keeper_process *keeper)
{
	int status = 0;
	pid_t got;

	while ((got = waitpid(keeper->pid, &status, __WALL)) >= 0 || errno == EINTR) {
		if (got > 0 && !WIFSTOPPED(status))
			return;
		if (got > 0)
			resume(keeper, status);
	}
}

int end_like(int wait_status)
{
	struct rlimit no_core = { 0, 0 };
	int sig = WTERMSIG(wait_status);
	sigset_t set;

	if (!WIFSIGNALED(wait_status))
		return WEXITSTATUS(wait_status);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	return 128 + sig;
}
