/* Memory that is not there, for calls that succeed all the same and for the program itself: sealed pages, a mapped file that is
 * cut off, a page that comes and goes, with SIGSEGV and SIGBUS handled, blocked, ignored, and on another stack. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static sigjmp_buf out;
static volatile sig_atomic_t seen, last_signal;
static void *volatile last_address;
static char *sealed, *cut;
static int null_fd;

static void caught(int signal, siginfo_t *info, void *context)
{
	(void)context;
	CHECK(close(9990) == -1); /* a syscall from the handler */
	seen++;
	last_signal = signal;
	last_address = info->si_addr;
	siglongjmp(out, 1);
}

static void handle(int signal, int flags)
{
	struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | flags };

	CHECK(sigaction(signal, &action, NULL) == 0);
}

/* The program's own fault is the program's own business. */
static void own_faults(void)
{
	for (int i = 0; i < 20; i++) {
		if (!sigsetjmp(out, 1)) {
			*(volatile char *)sealed = 1;
			CHECK(!"no fault");
		}
		CHECK(last_signal == SIGSEGV && last_address == sealed);
		if (!sigsetjmp(out, 1)) {
			(void)*(volatile char *)(cut + 4096);
			CHECK(!"no fault");
		}
		CHECK(last_signal == SIGBUS && last_address == cut + 4096);
	}
}

/* Calls with such memory: the kernel's answer, no signal. */
static void given_to_calls(void)
{
	int before = seen;
	struct iovec parts[3] = { { cut, 4096 }, { cut + 4096, 100 }, { sealed, 100 } };
	int ends[2];

	CHECK(pipe(ends) == 0);
	for (int i = 0; i < 20; i++) {
		CHECK(write(null_fd, sealed, 100) == 100); /* never looked at */
		CHECK(write(null_fd, cut + 4096, 100) == 100);
		CHECK(write(ends[1], sealed, 100) == -1 && errno == EFAULT);
		CHECK(write(ends[1], cut + 4096, 100) == -1 && errno == EFAULT);
		CHECK(writev(null_fd, parts, 3) == 4296);
		CHECK(open(sealed, O_RDONLY) == -1 && errno == EFAULT);
		CHECK(open(cut + 4096, O_RDONLY) == -1 && errno == EFAULT);
		memset(cut + 4090, 'x', 6); /* a path that runs into the missing page */
		CHECK(open(cut + 4090, O_RDONLY) == -1 && errno == EFAULT);
		CHECK(fstat(null_fd, (struct stat *)(cut + 4096)) == -1 && errno == EFAULT);
		CHECK(fstat(null_fd, (struct stat *)(cut + 4080)) == -1 && errno == EFAULT);
	}
	close(ends[0]);
	close(ends[1]);
	CHECK(seen == before);
}

static void with_signals_blocked(void)
{
	sigset_t set, old, now;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	given_to_calls();
	CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
	CHECK(sigismember(&now, SIGSEGV) == 1 && sigismember(&now, SIGBUS) == 1);
	CHECK(raise(SIGSEGV) == 0); /* one that waits is not lost and not taken for a fault */
	given_to_calls();
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		*(volatile char *)sealed = 1; /* blocked and real: the end */
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	int before = seen;

	if (!sigsetjmp(out, 1)) {
		CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
		CHECK(!"the waiting signal did not come");
	}
	CHECK(seen == before + 1 && last_signal == SIGSEGV);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
}

static void with_signals_ignored(void)
{
	struct sigaction now;
	int status;

	CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR && signal(SIGBUS, SIG_IGN) != SIG_ERR);
	given_to_calls();
	CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
	CHECK(raise(SIGSEGV) == 0);
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		(void)*(volatile char *)(cut + 4096);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	handle(SIGSEGV, 0);
	handle(SIGBUS, 0);
}

static void with_a_stack_for_signals(void)
{
	static char room[65536];
	stack_t stack = { .ss_sp = room, .ss_size = sizeof(room) }, now;

	CHECK(sigaltstack(&stack, NULL) == 0);
	handle(SIGSEGV, SA_ONSTACK);
	handle(SIGBUS, SA_ONSTACK);
	own_faults();
	given_to_calls();
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == room && now.ss_flags == 0);
}

/* A page that another thread seals and opens all the time: the call's answer is one of two. */
static atomic_int stop;

static void *flicker(void *page)
{
	while (!atomic_load(&stop)) {
		CHECK(mprotect(page, 4096, PROT_NONE) == 0);
		CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
	}
	return NULL;
}

static void while_it_comes_and_goes(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int before = seen;
	pthread_t thread;

	CHECK(page != MAP_FAILED);
	strcpy(page, "/there/is/no/such/file");
	CHECK(pthread_create(&thread, NULL, flicker, page) == 0);
	for (int i = 0; i < 2000; i++) {
		CHECK(open(page, O_RDONLY) == -1 && (errno == ENOENT || errno == EFAULT));
		CHECK(write(null_fd, page, 4096) == 4096);
	}
	atomic_store(&stop, 1);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(seen == before);
}

int main(void)
{
	char path[] = "/tmp/faults.XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 8192) == 0);
	sealed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cut = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	null_fd = open("/dev/null", O_WRONLY);
	CHECK(sealed != MAP_FAILED && cut != MAP_FAILED && null_fd >= 0);
	CHECK(ftruncate(fd, 4096) == 0);
	handle(SIGSEGV, 0);
	handle(SIGBUS, 0);
	own_faults();
	given_to_calls();
	with_signals_blocked();
	with_signals_ignored();
	while_it_comes_and_goes();
	with_a_stack_for_signals();
	puts("faults: ok");
	return 0;
}
