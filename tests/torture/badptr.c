/* Bad pointers: the kernel's EFAULT, never a signal; also for memory that ends in the middle of what is asked for. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "check.h"

#define BAD(nr, ...) CHECK(syscall(nr, __VA_ARGS__) == -1 && errno == EFAULT)

static void everything_with(long bad, int null_fd, int zero_fd)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	BAD(SYS_openat, AT_FDCWD, bad, O_RDONLY);
	BAD(SYS_open, bad, O_RDONLY);
	BAD(SYS_stat, bad, bad);
	BAD(SYS_newfstatat, AT_FDCWD, "/", bad, 0);
	BAD(SYS_write, ends[1], bad, 64);
	BAD(SYS_read, zero_fd, bad, 64);
	BAD(SYS_readv, zero_fd, bad, 2);
	BAD(SYS_writev, ends[1], bad, 2);
	BAD(SYS_execve, bad, bad, bad);
	BAD(SYS_execve, "/bin/true", bad, 0);
	BAD(SYS_pipe2, bad, 0);
	BAD(SYS_uname, bad);
	BAD(SYS_getcwd, bad, 4096);
	BAD(SYS_nanosleep, bad, 0);
	BAD(SYS_poll, bad, 1, 0);
	BAD(SYS_rt_sigaction, SIGUSR1, bad, 0, 8);
	BAD(SYS_rt_sigprocmask, SIG_BLOCK, bad, 0, 8);
	BAD(SYS_clock_gettime, 0, bad);
	BAD(SYS_readlink, "/proc/self/exe", bad, 64);
	(void)null_fd;
	close(ends[0]);
	close(ends[1]);
}

static void string_at_the_end_of_memory(char *page, long size)
{
	strcpy(page + size - 5, "/etc"); /* the NUL is the last byte there is */
	CHECK(access(page + size - 5, F_OK) == 0);
	memcpy(page + size - 4, "/etc", 4); /* no NUL before the hole */
	CHECK(access(page + size - 4, F_OK) == -1 && errno == EFAULT);
}

static void buffer_into_the_hole(char *page, long size, int null_fd)
{
	int ends[2];

	memset(page + size - 8, 'x', 8);
	CHECK(write(null_fd, page + size - 8, 4096) == 4096); /* /dev/null never looks */
	CHECK(pipe(ends) == 0);
	CHECK(syscall(SYS_write, ends[1], page + size - 8, 64) != 64);
	CHECK(write(ends[1], "y", 1) == 1);
	close(ends[0]);
	close(ends[1]);
}

static volatile sig_atomic_t faults;

static void fault(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
	faults++;
}

int main(void)
{
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, 2 * (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *sealed = mmap(NULL, (size_t)size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction action = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO };
	int null_fd = open("/dev/null", O_WRONLY), zero_fd = open("/dev/zero", O_RDONLY);
	sigset_t set;

	CHECK(page != MAP_FAILED && sealed != MAP_FAILED && null_fd >= 0 && zero_fd >= 0);
	CHECK(munmap(page + size, (size_t)size) == 0);
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
	everything_with(1, null_fd, zero_fd);
	everything_with((long)sealed, null_fd, zero_fd);
	everything_with((long)0x7ffffffff000ul, null_fd, zero_fd);
	everything_with((long)0x8000000000000000ul, null_fd, zero_fd);
	string_at_the_end_of_memory(page, size);
	buffer_into_the_hole(page, size, null_fd);

	/* the same with SIGSEGV blocked, and ignored */
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	everything_with(1, null_fd, zero_fd);
	CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGSEGV));
	CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
	everything_with(1, null_fd, zero_fd);
	CHECK(signal(SIGSEGV, SIG_DFL) == SIG_IGN);
	CHECK(faults == 0);
	puts("badptr: ok");
	return 0;
}
