/* SIGSTOP and SIGCONT storms against a thread that sleeps: nanosleep, poll, futex, select and read go on (restart_syscall) and
 * end once, as if nothing had been. */
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static int ends[2], feed[2];
static int *word;

static void sleeps(void)
{
	struct timespec wanted = { 0, 100000000 }, before, after;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &before) == 0);
	CHECK(nanosleep(&wanted, NULL) == 0);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &after) == 0);
	CHECK((after.tv_sec - before.tv_sec) * 1000000000l + after.tv_nsec - before.tv_nsec >= 100000000l);
}

static void polls(void)
{
	struct pollfd one = { .fd = ends[0], .events = POLLIN };

	CHECK(poll(&one, 1, 100) == 0);
}

static void selects(void)
{
	struct timeval wanted = { 0, 100000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ends[0], &set);
	CHECK(select(ends[0] + 1, &set, NULL, NULL, &wanted) == 0);
}

static void waits_for_a_futex(void)
{
	struct timespec wanted = { 0, 100000000 };

	CHECK(syscall(SYS_futex, word, FUTEX_WAIT, 0, &wanted, NULL, 0) == -1 && errno == ETIMEDOUT);
}

static void reads(void)
{
	char byte = 0;

	CHECK(read(feed[0], &byte, 1) == 1 && byte == 's');
}

static void child(void)
{
	sleeps();
	polls();
	selects();
	waits_for_a_futex();
	reads();
	_exit(17);
}

int main(void)
{
	int status, stops = 0;
	pid_t pid;

	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(word != MAP_FAILED && pipe(ends) == 0 && pipe(feed) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		child();
	for (;;) {
		CHECK(kill(pid, SIGSTOP) == 0);
		CHECK(waitpid(pid, &status, WUNTRACED) == pid);
		if (!WIFSTOPPED(status))
			break;
		CHECK(WSTOPSIG(status) == SIGSTOP);
		stops++;
		CHECK(kill(pid, SIGCONT) == 0);
		CHECK(waitpid(pid, &status, WCONTINUED) == pid);
		if (!WIFCONTINUED(status))
			break;
		struct timespec moment = { 0, 1000000 };

		nanosleep(&moment, NULL); /* lets it get on */
		if (stops == 300)
			CHECK(write(feed[1], "s", 1) == 1);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 17);
	CHECK(stops >= 300);
	puts("stop_restart: ok");
	return 0;
}
