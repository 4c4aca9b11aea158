/* Children on borrowed stacks: a vfork child that calls deep, changes descriptors and signals, vforks and forks itself, is
 * made by a thread, fails its exec; CLONE_VFORK with and without CLONE_VM; spawns with file actions. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

extern char **environ;
static volatile int shared;

static int reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static __attribute__((noinline)) int deep(int levels)
{
	volatile char room[200];

	room[levels] = (char)levels;
	if (close(9600) != -1 || errno != EBADF)
		return -1000000;
	return levels ? deep(levels - 1) + room[levels] : 0;
}

static void child_calls_deep(void)
{
	volatile int before[16];

	for (int i = 0; i < 16; i++)
		before[i] = i * 3;
	pid_t child = vfork();

	if (!child) {
		shared = deep(40);
		_exit(0);
	}
	CHECK(reap(child) == 0 && shared == 40 * 41 / 2);
	for (int i = 0; i < 16; i++)
		CHECK(before[i] == i * 3);
}

static void child_changes_descriptors(void)
{
	int fd = open("/dev/null", O_WRONLY);
	pid_t child = vfork();

	if (!child) {
		close(fd); /* its table is its own */
		dup2(1, 200);
		_exit(0);
	}
	CHECK(reap(child) == 0);
	CHECK(fcntl(200, F_GETFD) == -1 && errno == EBADF);
	CHECK(close(fd) == 0);
}

static void handler(int signal)
{
	(void)signal;
	shared++;
}

/* Its actions are its own as well, its memory is not. */
static void child_changes_signals(void)
{
	struct sigaction now;
	sigset_t set, old;

	CHECK(signal(SIGUSR1, handler) != SIG_ERR && signal(SIGSYS, handler) != SIG_ERR);
	pid_t child = vfork();

	if (!child) {
		signal(SIGUSR1, SIG_IGN);
		signal(SIGSYS, SIG_DFL);
		raise(SIGUSR1);
		_exit(0);
	}
	CHECK(reap(child) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	for (int i = 0; i < 5; i++)
		CHECK(getppid() > 0);
	CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == handler);
	CHECK(sigaction(SIGSYS, NULL, &now) == 0 && now.sa_handler == handler);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
	shared = 0;
	CHECK(raise(SIGSYS) == 0 && shared == 1);
	CHECK(signal(SIGUSR1, SIG_DFL) == handler && signal(SIGSYS, SIG_DFL) == handler);
}

static void child_gets_a_signal(void)
{
	CHECK(signal(SIGUSR1, handler) != SIG_ERR);
	shared = 0;
	pid_t child = vfork();

	if (!child) {
		raise(SIGUSR1);
		kill(getpid(), SIGUSR1);
		_exit(shared);
	}
	CHECK(reap(child) == 2 && shared == 2);
	CHECK(signal(SIGUSR1, SIG_DFL) == handler);
}

static void child_has_children(void)
{
	pid_t child = vfork();

	if (!child) {
		pid_t grandchild = vfork();

		if (!grandchild) {
			shared = 5;
			_exit(1);
		}
		if (reap(grandchild) != 1)
			_exit(100);
		grandchild = fork();
		if (!grandchild) {
			shared = 6; /* a copy */
			_exit(2);
		}
		_exit(reap(grandchild) + shared);
	}
	CHECK(reap(child) == 7);
}

static void child_fails_its_exec(void)
{
	pid_t child = vfork();

	if (!child) {
		for (int i = 0; i < 5; i++)
			execl("/there/is/no/such/program", "x", (char *)NULL);
		shared = errno;
		execl("/etc/passwd", "x", (char *)NULL);
		_exit(errno == EACCES ? 3 : 4);
	}
	CHECK(reap(child) == 3 && shared == ENOENT);
}

static void child_is_killed(void)
{
	int status;
	pid_t child = vfork();

	if (!child) {
		raise(SIGKILL);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void *thread_vforks(void *arg)
{
	for (int i = 0; i < 5; i++) {
		pid_t child = vfork();

		if (!child)
			_exit(44);
		CHECK(reap(child) == 44);
	}
	return arg;
}

static void threads_vfork(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, thread_vforks, NULL) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static int clone_main(void *arg)
{
	(void)arg;
	shared = 77;
	return close(9601) == -1 && errno == EBADF ? 6 : 5;
}

static void clone_flavours(void)
{
	static const int flags[] = { CLONE_VM | CLONE_VFORK, CLONE_VFORK, CLONE_VM, 0 };
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	CHECK(stack != MAP_FAILED);
	for (int i = 0; i < 4; i++) {
		shared = 0;
		CHECK(reap(clone(clone_main, stack + 65536, flags[i] | SIGCHLD, NULL)) == 6);
		CHECK(shared == (flags[i] & CLONE_VM ? 77 : 0));
	}
	CHECK(munmap(stack, 65536) == 0);
	/* vfork's own flags without libc's help: same stack, so only a bare exit is safe */
	long child;

	__asm__ volatile("syscall\n\t"
			 "testl %%eax, %%eax\n\t"
			 "jnz 1f\n\t"
			 "movl $60, %%eax\n\t"
			 "movl $55, %%edi\n\t"
			 "syscall\n"
			 "1:"
			 : "=a"(child)
			 : "0"(SYS_clone), "D"(CLONE_VM | CLONE_VFORK | SIGCHLD), "S"(0), "d"(0)
			 : "rcx", "r11", "memory");
	CHECK(reap((pid_t)child) == 55);
}

static void spawn_with_actions(void)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"read line; test \"$line\" = hello && exit 8", NULL };
	char path[] = "/tmp/vfork_zoo.XXXXXX";
	int fd = mkstemp(path);
	sigset_t all;
	pid_t child;

	CHECK(fd >= 0 && write(fd, "hello\n", 6) == 6 && close(fd) == 0);
	CHECK(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attr) == 0);
	CHECK(posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&actions, 1, 2) == 0);
	sigfillset(&all);
	CHECK(posix_spawnattr_setsigdefault(&attr, &all) == 0);
	CHECK(posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP) == 0);
	CHECK(posix_spawn(&child, "/bin/sh", &actions, &attr, argv, environ) == 0);
	CHECK(reap(child) == 8);
	CHECK(unlink(path) == 0);
	CHECK(posix_spawn(&child, "/bin/sh", &actions, &attr, argv, environ) == ENOENT); /* the open fails */
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
}

int main(void)
{
	for (int i = 0; i < 4; i++) {
		child_calls_deep();
		child_changes_descriptors();
		child_changes_signals();
		child_gets_a_signal();
		child_has_children();
		child_fails_its_exec();
		child_is_killed();
		threads_vfork();
		clone_flavours();
		spawn_with_actions();
	}
	puts("vfork_zoo: ok");
	return 0;
}
