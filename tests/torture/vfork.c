/* vfork, posix_spawn, fork and clone with shared memory: the child borrows the parent's stack and memory. */
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

extern char **environ;
static volatile int shared;

static int reap(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void vfork_child_exits(int code)
{
	shared = 0;
	pid_t child = vfork();

	CHECK(child >= 0);
	if (child == 0) {
		shared = code;
		_exit(code);
	}
	CHECK(shared == code); /* the parent waited, and the memory is one */
	CHECK(reap(child) == code);
}

static void vfork_child_runs(const char *path, int expected)
{
	pid_t child = vfork();

	CHECK(child >= 0);
	if (child == 0) {
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	CHECK(reap(child) == expected);
}

static void spawned_child_runs(void)
{
	char *argv[] = { "false", NULL };
	pid_t child;

	CHECK(posix_spawnp(&child, "false", NULL, NULL, argv, environ) == 0);
	CHECK(reap(child) == 1);
	argv[0] = "there-is-no-such-program";
	CHECK(posix_spawnp(&child, argv[0], NULL, NULL, argv, environ) == ENOENT);
}

static void forked_child_has_its_own_memory(void)
{
	shared = 1;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		shared = 2;
		_exit(getppid() > 0 ? 3 : 4);
	}
	CHECK(reap(child) == 3 && shared == 1);
}

static int clone_main(void *arg)
{
	*(volatile int *)arg = 42;
	return 5;
}

static void cloned_child_shares_memory(void)
{
	size_t bytes = 65536;
	char *stack = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	CHECK(stack != MAP_FAILED);
	pid_t child = clone(clone_main, stack + bytes, CLONE_VM | SIGCHLD, (void *)&shared);

	CHECK(child > 0);
	CHECK(reap(child) == 5 && shared == 42);
	CHECK(munmap(stack, bytes) == 0);
}

int main(void)
{
	for (int i = 0; i < 8; i++) {
		vfork_child_exits(10 + i);
		vfork_child_runs("/bin/true", 0);
		vfork_child_runs("/there/is/no/such/program", 127);
		spawned_child_runs();
		forked_child_has_its_own_memory();
		cloned_child_shares_memory();
	}
	puts("vfork: ok");
	return 0;
}
