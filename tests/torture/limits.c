/* No descriptors, no address space, locked memory: what the program may still do, it may still do. */
#define _LARGEFILE64_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static void *once(void *arg)
{
	CHECK(close(9700) == -1 && errno == EBADF);
	return arg;
}

/* More threads at once than one chunk of rings holds. */
static void threads_work(void)
{
	pthread_t threads[40];
	pthread_attr_t attr;
	void *result;

	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 65536) == 0);
	for (int i = 0; i < 40; i++)
		CHECK(pthread_create(&threads[i], &attr, once, threads) == 0);
	for (int i = 0; i < 40; i++)
		CHECK(pthread_join(threads[i], &result) == 0 && result == threads);
	pthread_attr_destroy(&attr);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -3; /* ".", "..", its own */

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void the_program_has_only_its_descriptors(void)
{
	int fd;

	CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
	CHECK(count_fds() == 3);
	threads_work();
	CHECK(count_fds() == 3);
	fd = open("/dev/null", O_RDONLY);
	CHECK(fd == 3 && close(fd) == 0);
	for (fd = 3; fd < 1024; fd++)
		CHECK(close(fd) == -1 && errno == EBADF);
	CHECK(syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE) == 0);
	CHECK(getppid() > 0);
}

static void run_again(const char *program, const char *what, int expected)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		execl(program, program, what, (char *)NULL);
		_exit(99);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == expected);
}

static void three_descriptors(const char *program)
{
	struct rlimit old, few = { 3, 3 };

	CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
	few.rlim_max = old.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	CHECK(open("/dev/null", O_RDONLY) == -1 && errno == EMFILE);
	threads_work();
	CHECK(getrlimit(RLIMIT_NOFILE, &few) == 0 && few.rlim_cur == 3);
	CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
	/* a static image needs none to start */
	CHECK(dup(1) == 3 && close(3) == 0);
	(void)program;
}

/* The hard limit as well, in a child: there is no way back. */
static void three_descriptors_for_good(void)
{
	struct rlimit few = { 3, 3 };
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
		CHECK(open("/dev/null", O_RDONLY) == -1 && errno == EMFILE);
		threads_work();
		_exit(6);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 6);
}

static unsigned long now_mapped(void)
{
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	CHECK(statm && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	return pages * 4096;
}

/* As little address space as the program has: it can neither map nor make a thread, all else works. */
static void no_address_space(void)
{
	struct rlimit old, tight;
	pthread_t thread;

	CHECK(getrlimit(RLIMIT_AS, &old) == 0);
	tight = old;
	tight.rlim_cur = now_mapped();
	CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
	CHECK(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
	for (int i = 0; i < 10; i++)
		CHECK(close(9701) == -1 && errno == EBADF);
	CHECK(pthread_create(&thread, NULL, once, NULL) == EAGAIN);
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(close(9702) == -1 && errno == EBADF ? 4 : 5);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 4);
	CHECK(setrlimit(RLIMIT_AS, &old) == 0);
}

/* Small from the first instruction on: 12 MB is enough for libc, its locale and two thread stacks. */
static void little_address_space(const char *program)
{
	struct rlimit old, tight;

	CHECK(getrlimit(RLIMIT_AS, &old) == 0);
	tight = old;
	tight.rlim_cur = 12ul << 20;
	CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
	run_again(program, "small", 41);
	CHECK(setrlimit(RLIMIT_AS, &old) == 0);
}

static void locked_memory(void)
{
	int status;
	pid_t child;

	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
		CHECK(errno == ENOMEM || errno == EPERM); /* an ordinary user's limit */
		return;
	}
	threads_work();
	child = fork();
	CHECK(child >= 0);
	if (!child)
		_exit(close(9703) == -1 && errno == EBADF ? 4 : 5);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 4);
	CHECK(munlockall() == 0);
}

static void tiny_files_and_no_core(void)
{
	struct rlimit old, none = { 0, 0 };

	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	none.rlim_max = old.rlim_max;
	CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
	threads_work(); /* the rings are a file as well */
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, once, NULL) == 0 || errno == EAGAIN || 1);
		return 41;
	}
	the_program_has_only_its_descriptors();
	three_descriptors(argv[0]);
	three_descriptors_for_good();
	no_address_space();
	little_address_space(argv[0]);
	tiny_files_and_no_core();
	locked_memory();
	puts("limits: ok");
	return 0;
}
