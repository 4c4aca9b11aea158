/* SIGSTOP and SIGCONT of a process whose threads block in calls that the kernel restarts: by their number (read, futex
 * without a time), and by restart_syscall (poll and nanosleep with one). Each ends as if it had not been stopped. */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

#define ROUNDS 20
#define LONG_MS 60000

struct shared { _Atomic int blocked; _Atomic uint32_t word; };
static struct shared *shared;
static int reads[2], polls[2];

static void *reader(void *argument)
{
	char byte;

	shared->blocked++;
	CHECK(read(reads[0], &byte, 1) == 1 && byte == 'r');
	return argument;
}

static void *poller(void *argument)
{
	struct pollfd fd = { polls[0], POLLIN, 0 };

	shared->blocked++;
	CHECK(poll(&fd, 1, LONG_MS) == 1 && fd.revents == POLLIN);
	return argument;
}

static void *waiter(void *argument)
{
	shared->blocked++;
	while (!shared->word)
		CHECK(!syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, NULL, NULL, 0) || errno == EAGAIN);
	return argument;
}

static void *sleeper(void *argument)
{
	struct timespec time = { 0, 300000000 }, begin, end;

	shared->blocked++;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	CHECK(!nanosleep(&time, NULL));
	clock_gettime(CLOCK_MONOTONIC, &end);
	CHECK((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >= 300);
	return argument;
}

static int threads(void)
{
	static void *(*const bodies[])(void *) = { reader, poller, waiter, sleeper };
	pthread_t ids[4];

	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&ids[i], NULL, bodies[i], NULL));
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_join(ids[i], NULL));
	return 5;
}

int main(void)
{
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED && !pipe(reads) && !pipe(polls));
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		_exit(threads());
	while (shared->blocked < 4)
		sched_yield();
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(!kill(pid, SIGSTOP) && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
		CHECK(!kill(pid, SIGCONT) && waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	}
	CHECK(write(reads[1], "r", 1) == 1 && write(polls[1], "p", 1) == 1);
	shared->word = 1;
	syscall(SYS_futex, &shared->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
	puts("group_stop: ok");
	return 0;
}
