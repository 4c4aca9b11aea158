#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "choose.h"
#include "control.h"
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
	struct agent_choice choice;
	struct launch launch = {
		.argv = options->program, .program = program, .control_fd = socket, .shared = keeper->shared, .follow = options->follow,
		.fd_paths = options->fd_paths, .no_agent = options->no_agent, .no_patch = options->no_patch,
		.no_net = options->no_net, .no_sites = options->no_sites, .remote_dispatch = options->remote_dispatch,
		.vdso = options->vdso, .string_limit = options->string_limit,
		.ring_bytes = options->ring_bytes, .choice = choose(&options->filter, &choice) ? &choice : NULL,
	};

	close(keeper->socket);
	close(keeper->signals);
	for (uint32_t i = 0; i < keeper->output_count; i++)
		if (keeper->outputs[i] >= 0)
			close(keeper->outputs[i]);
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

int keeper_launch(struct keeper_process *keeper, const struct options *options, const char *program)
{
	sigset_t forwarded;
	int ends[2], err = open_sockets(ends);

	if (err)
		return err;
	keeper->shared = mmap(NULL, sizeof(*keeper->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (keeper->shared == MAP_FAILED)
		return errno;
	forwarded_signals(&forwarded);
	sigprocmask(SIG_BLOCK, &forwarded, &keeper->old_mask);
	keeper->socket = ends[0];
	keeper->signals = fd_above_stdio(signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK));
	if (keeper->signals < 0)
		return errno;
	keeper->pid = fork();
	if (!keeper->pid)
		run_keeper(keeper, options, program, ends[1]);
	err = errno;
	close(ends[1]);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1ul); /* ours, not the program's: a round that comes 50 us late finds rings full */
	return keeper->pid < 0 ? err : 0;
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
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
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
