/* pthread_cancel against every kind of blocking call, deferred and asynchronous, sent before, while and after the thread
 * blocks: the thread ends as cancelled, its cleanup handlers run in order, its mutexes are given back.
 * Built with glibc and with musl, whose cancellation asks whether the PC lies before the syscall or after it. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static int ends[2], listener, pair[2];
static sem_t ready, never;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static atomic_int tid, order;
static pid_t sleeper;

static void in_read(void)
{
	char byte;

	(void)!read(ends[0], &byte, 1);
}

static void in_readv(void)
{
	char byte;
	struct iovec one = { &byte, 1 };

	(void)!readv(ends[0], &one, 1);
}

static void in_poll(void)
{
	struct pollfd one = { .fd = ends[0], .events = POLLIN };

	poll(&one, 1, -1);
}

static void in_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ends[0], &set);
	select(ends[0] + 1, &set, NULL, NULL, NULL);
}

static void in_accept(void)
{
	accept(listener, NULL, NULL);
}

static void in_recv(void)
{
	char byte;

	recv(pair[0], &byte, 1, 0);
}

static void in_pause(void)
{
	pause();
}

static void in_nanosleep(void)
{
	struct timespec hour = { 3600, 0 };

	nanosleep(&hour, NULL);
}

static void in_sigsuspend(void)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	sigsuspend(&now);
}

static void in_waitpid(void)
{
	waitpid(sleeper, NULL, 0);
}

static void in_sem_wait(void)
{
	sem_wait(&never);
}

static void unlock(void *arg)
{
	CHECK(pthread_mutex_unlock(arg) == 0);
}

static void in_cond_wait(void)
{
	CHECK(pthread_mutex_lock(&mutex) == 0);
	pthread_cleanup_push(unlock, &mutex);
	for (;;)
		pthread_cond_wait(&condition, &mutex);
	pthread_cleanup_pop(1);
}

static void (*const blocks[])(void) = { in_read, in_readv, in_poll, in_select, in_accept, in_recv, in_pause, in_nanosleep,
					in_sigsuspend, in_waitpid, in_sem_wait, in_cond_wait };
#define BLOCKS (sizeof(blocks) / sizeof(blocks[0]))

static void second(void *arg)
{
	CHECK(arg == &order && atomic_fetch_add(&order, 1) == 0);
	CHECK(close(9000) == -1 && errno == EBADF); /* a syscall from a cleanup handler */
}

static void first(void *arg)
{
	CHECK(arg == &order && atomic_fetch_add(&order, 1) == 1);
}

struct job { void (*block)(void); int type; };

static void *run(void *arg)
{
	const struct job *job = arg;

	pthread_cleanup_push(first, &order);
	pthread_cleanup_push(second, &order);
	CHECK(pthread_setcanceltype(job->type, NULL) == 0);
	atomic_store(&tid, (int)syscall(SYS_gettid));
	CHECK(sem_post(&ready) == 0);
	for (;;)
		job->block();
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

/* Until the thread sleeps in the kernel, or for a good while: only to make the interesting case likely. */
static void let_it_block(void)
{
	char path[64], state[256] = "";

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&tid));
	for (int i = 0; i < 1000 && !strstr(state, ") S"); i++) {
		int fd = open(path, O_RDONLY);
		ssize_t got = read(fd, state, sizeof(state) - 1);

		state[got > 0 ? got : 0] = 0;
		close(fd);
	}
}

static void cancel_one(void (*block)(void), int type, int wait)
{
	struct job job = { block, type };
	pthread_t thread;
	void *result = NULL;

	atomic_store(&order, 0);
	CHECK(pthread_create(&thread, NULL, run, &job) == 0);
	CHECK(sem_wait(&ready) == 0);
	if (wait)
		let_it_block();
	CHECK(pthread_cancel(thread) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED && atomic_load(&order) == 2);
	CHECK(pthread_mutex_trylock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
}

/* Cancellation that is disabled waits for the thread to allow it. */
static void *run_disabled(void *arg)
{
	char byte = 0;

	CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL) == 0);
	CHECK(sem_post(&ready) == 0);
	CHECK(read(ends[0], &byte, 1) == 1 && byte == 'd');
	*(int *)arg = 1;
	CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL) == 0);
	pthread_testcancel();
	CHECK(!"still there");
	return NULL;
}

static void cancel_disabled(void)
{
	pthread_t thread;
	void *result = NULL;
	int done = 0;

	CHECK(pthread_create(&thread, NULL, run_disabled, &done) == 0);
	CHECK(sem_wait(&ready) == 0);
	CHECK(pthread_cancel(thread) == 0);
	CHECK(write(ends[1], "d", 1) == 1);
	CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED && done == 1);
}

#ifndef __GLIBC__
/* A write that has moved some bytes says how many; the cancellation waits for the next point. (glibc before 2.41 loses
 * the bytes: its bug 12683.) */
static atomic_long written;

static void *write_much(void *arg)
{
	static char much[1 << 20];

	atomic_store(&tid, (int)syscall(SYS_gettid));
	CHECK(sem_post(&ready) == 0);
	atomic_store(&written, write(*(int *)arg, much, sizeof(much)));
	pthread_testcancel();
	CHECK(!"still there");
	return NULL;
}

static void cancel_after_part_of_a_write(void)
{
	int out[2], queued = 0;
	pthread_t thread;
	void *result = NULL;

	CHECK(pipe(out) == 0);
	atomic_store(&written, -1);
	CHECK(pthread_create(&thread, NULL, write_much, &out[1]) == 0);
	CHECK(sem_wait(&ready) == 0);
	while (queued < 65536) /* all that a pipe holds: from here on it blocks */
		CHECK(syscall(SYS_ioctl, out[0], 0x541b /* FIONREAD */, &queued) == 0);
	CHECK(pthread_cancel(thread) == 0);
	CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
	CHECK(atomic_load(&written) == 65536);
	close(out[0]);
	close(out[1]);
}
#endif

int main(void)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };

	alarm(60);
	CHECK(pipe(ends) == 0 && sem_init(&ready, 0, 0) == 0 && sem_init(&never, 0, 0) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(listener >= 0 && bind(listener, (void *)&any, sizeof(any.sun_family)) == 0 && listen(listener, 1) == 0);
	sleeper = fork();
	CHECK(sleeper >= 0);
	if (!sleeper)
		for (;;)
			pause();
	for (int round = 0; round < 6; round++)
		for (unsigned i = 0; i < BLOCKS; i++) {
			cancel_one(blocks[i], PTHREAD_CANCEL_DEFERRED, round & 1);
			/* only calls that may be left half done: a cond wait holds a lock, sem_wait a count */
			if (blocks[i] != in_cond_wait && blocks[i] != in_sem_wait)
				cancel_one(blocks[i], PTHREAD_CANCEL_ASYNCHRONOUS, round & 1);
		}
	for (int i = 0; i < 20; i++) {
		cancel_disabled();
#ifndef __GLIBC__
		cancel_after_part_of_a_write();
#endif
	}
	CHECK(kill(sleeper, SIGKILL) == 0 && waitpid(sleeper, NULL, 0) == sleeper);
	puts("cancel_matrix: ok");
	return 0;
}
