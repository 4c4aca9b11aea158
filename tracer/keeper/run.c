/* The keeper's loop: one wait status after another, until no tracee is left. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "keeper.h"

void resume(struct task *task, int sig)
{
	if (task->stop_again)
		ptrace(PTRACE_INTERRUPT, task->tid, 0, 0); /* in a stop: another one follows, which says whether the process is stopped */
	task->stop_again = false;
	ptrace(task->by_ptrace ? PTRACE_SYSCALL : PTRACE_CONT, task->tid, 0, sig);
}

static void report_exec_failure(struct keeper *k)
{
	int err;

	if (read(k->error_pipe, &err, sizeof(err)) == sizeof(err))
		send_control(k, (struct control){ .type = MSG_FAILED, .value = err, .aux = START_EXEC }, k->launch->program,
			     (uint32_t)strlen(k->launch->program) + 1, -1);
	close(k->error_pipe);
}

static void on_gone(struct keeper *k, struct task *task, int status)
{
	if (task->tid == k->program)
		k->program_status = status;
	if (task->in_syscall)
		ptrace_path_notified(k, task); /* killed between its entry stop and the net: the call that it died in */
	if (task->starting)
		report_exec_failure(k);
	else
		send_control(k, (struct control){ .type = MSG_EXITED, .pid = task->pid, .tid = task->tid, .value = status }, NULL, 0,
		     -1);
	k->may_have_orphans |= WIFSIGNALED(status) || task->tid != task->pid;
	task_remove(k, task);
	let_orphans_go(k);
}

/* A child that died before its parent's event, which will find nobody; a thread that an exec has ended; or one let go. */
static void on_stranger_gone(struct keeper *k, pid_t tid, int status)
{
	int stop;

	take_early(k, tid, &stop);
	if (tid == k->program)
		k->program_status = status;
}

static void on_event_stop(struct keeper *k, struct task *task, int sig)
{
	net_vsyscall_returned(k, task);
	leave_interrupted(k, task);
	if (sig == SIGTRAP) {
		if (!room_wait(k, task))
			resume(task, 0);
		return;
	}
	send_control(k, (struct control){ .type = MSG_STOP, .pid = task->pid, .tid = task->tid, .value = sig }, NULL, 0, -1);
	if (ptrace(PTRACE_LISTEN, task->tid, 0, 0) == 0) {
		task->stop_again = false;
		return;
	}
	task->stop_again = true; /* it has run since */
	resume(task, 0);
}

static void on_stop(struct keeper *k, struct task *task, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	switch (event) {
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE: {
		pid_t tid = task->tid;

		on_birth(k, task, event);
		task = task_find(k, tid);
		if (task)
			resume(task, 0);
		return;
	}
	case PTRACE_EVENT_EXEC:
		on_exec(k, task->tid);
		return;
	case PTRACE_EVENT_STOP:
		on_event_stop(k, task, sig);
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		if (on_syscall_stop(k, task))
			resume(task, 0);
		return;
	}
	if (!start_seen(k, task, sig))
		on_signal(k, task, sig);
}

/* An exec by another thread is reported under the leader's id, which may be gone from the table already. */
static struct task *task_of(struct keeper *k, pid_t tid, int status)
{
	struct task *task = task_find(k, tid);
	unsigned long former;

	if (task || !WIFSTOPPED(status) || status >> 16 != PTRACE_EVENT_EXEC ||
	    ptrace(PTRACE_GETEVENTMSG, tid, 0, &former) < 0)
		return task;
	task = task_find(k, (pid_t)former);
	if (task) {
		task_rename(k, task, tid);
		task = task_find(k, tid);
	}
	return task;
}

void handle_status(struct keeper *k, pid_t tid, int status)
{
	struct task *task = task_of(k, tid, status);

	if (!task && WIFSTOPPED(status)) {
		keep_early(k, tid, status);
		let_orphans_go(k);
	} else if (!task)
		on_stranger_gone(k, tid, status);
	else if (WIFSTOPPED(status))
		on_stop(k, task, status);
	else
		on_gone(k, task, status);
}

/* Deaths that were noticed inside a remote syscall. */
static void handle_early_deaths(struct keeper *k)
{
	pid_t tid;
	int status;

	while (take_early_death(k, &tid, &status))
		handle_status(k, tid, status);
}

/* Set by the signal that says that the front has died; the one thing a signal handler can reach. */
static volatile sig_atomic_t front_died;

static void on_parent_death(int sig)
{
	struct itimerval again = { { 0, 100000 }, { 0, 100000 } };

	(void)sig;
	front_died = 1;
	setitimer(ITIMER_REAL, &again, NULL); /* so that a wait begun just now is woken as well */
}

/* A thread may be waiting for room in its ring, and then nothing else would tell the keeper. */
static void watch_front(void)
{
	struct sigaction action = { .sa_handler = on_parent_death };

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	if (getppid() == 1)
		front_died = 1;
}

static void loop(struct keeper *k)
{
	while (k->live || (k->let_go && k->net >= 0)) {
		int status;

		room_give(k);
		pid_t tid = net_wait(k, -1, &status);

		if (front_died && k->control >= 0)
			front_is_gone(k);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			return;
		handle_status(k, tid, status);
		handle_early_deaths(k);
	}
}

/* One keeper per process. Its tables are large and mostly never touched: none is written before it is used. */
static struct keeper *the_keeper(const struct launch *launch)
{
	static struct object objects[OBJECT_MAX];
	static struct keeper k;

	k.launch = launch;
	k.control = launch->control_fd;
	k.net = -1;
	k.busy_since = now_tsc();
	k.objects = objects;
	k.tasks = calloc(TASK_MAX, sizeof(*k.tasks));
	k.spaces = calloc(SPACE_MAX, sizeof(*k.spaces));
	k.arenas = calloc(ARENA_MAX, sizeof(*k.arenas));
	k.tids = calloc(TASK_MAX, sizeof(*k.tids));
	k.early = calloc(EARLY_MAX, sizeof(*k.early));
	return k.tasks && k.spaces && k.arenas && k.tids && k.early ? &k : NULL;
}

static void raise_limit(int resource)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit;

	if (!getrlimit((__rlimit_resource_t)resource, &limit) && setrlimit((__rlimit_resource_t)resource, &unlimited) < 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit((__rlimit_resource_t)resource, &limit);
	}
}

/* Arenas take a descriptor each, and are files. (The program, which has its limits, has been started.) */
static void raise_limits(void)
{
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_FSIZE);
}

/* What the terminal sends to the whole process group is for the program. Too large a file is an error code. */
static void ignore_signals(void)
{
	static const int ignored[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGXFSZ };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static void tell_end(struct keeper *k)
{
	const struct control_cost cost = { .keeper_ticks = k->busy_ticks };

	objects_close(k);
	send_control(k, (struct control){ .type = MSG_COST, .pid = k->program, .tid = k->program }, &cost, sizeof(cost), -1);
}

int keeper_run(const struct launch *launch)
{
	struct keeper *k = the_keeper(launch);

	if (!k)
		return 1;
	k->program = start_program(k);
	if (k->program < 0) {
		send_queued(k);
		return 1;
	}
	net_open();
	ignore_signals();
	raise_limits();
	watch_front();
	struct task *task = task_add(k, k->program, k->program, space_new(k));

	task->by_ptrace = true;
	task->starting = true;
	send_control(k, (struct control){ .type = MSG_THREAD, .pid = k->program, .tid = k->program, .value = BIRTH_START,
					  .slot = -1 }, "", 1, -1);
	loop(k);
	tell_end(k);
	send_control(k, (struct control){ .type = MSG_FINISHED, .pid = k->program, .value = k->program_status }, NULL, 0, -1);
	send_queued(k);
	return 0;
}
