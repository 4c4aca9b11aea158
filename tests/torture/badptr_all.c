/* Bad pointers to every syscall number there is: whatever the kernel answers, the program gets the same answer, and no signal.
 * The answers are printed, so that the runs are compared. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

/* Calls that do not come back, wait, or would touch more than the child they are made in. */
static const int left_out[] = {
	15 /* rt_sigreturn */, 34 /* pause */, 56, 57, 58, 435 /* clone, fork, vfork, clone3 */, 60, 231 /* exit, exit_group */,
	62, 129, 200, 234, 297, 424 /* kill and its kind */, 101 /* ptrace */, 141, 251 /* setpriority, ioprio_set: of others */,
	153 /* vhangup */, 162, 306 /* sync, syncfs */, 163 /* acct */, 167, 168 /* swap */, 169, 246, 320 /* reboot, kexec */,
	29, 31, 64, 66, 68, 71 /* System V objects outlive the child */, 103 /* syslog */, 170, 171 /* names of the host */,
};

static int is_left_out(int nr)
{
	for (unsigned i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (left_out[i] == nr)
			return 1;
	return 0;
}

static volatile sig_atomic_t faults;

static void fault(int signal)
{
	(void)signal;
	faults++;
}

/* Each call in a child of its own: it may have closed, changed or limited anything. */
static void answer(int nr, long pointer, volatile int *shared, int own)
{
	int status;
	pid_t child;

	shared[0] = shared[1] = -1;
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		for (int fd = 0; fd < 3; fd++) /* a null pointer is descriptor 0 to fchmod: not of a file that others use */
			CHECK(dup2(own, fd) == fd);
		long result = syscall(nr, pointer, pointer, pointer, pointer, pointer, pointer);

		shared[0] = result < 0 && result > -4096 ? errno : 0;
		shared[1] = faults;
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	printf("%d: errno %d faults %d status %#x\n", nr, shared[0], shared[1], (unsigned)status);
}

static void answers(long pointer)
{
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	int own = memfd_create("badptr_all", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(shared != MAP_FAILED && own >= 0 && fcntl(own, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) == 0);
	for (int nr = 0; nr < 470; nr++)
		if (!is_left_out(nr) && (nr <= 336 || nr >= 423)) /* between them x86-64 has none */
			answer(nr, pointer, shared, own);
	CHECK(munmap(shared, 4096) == 0 && close(own) == 0);
}

/* The same for calls that take a descriptor first, with good ones, and a bad buffer. */
static void with_descriptor(int fd, long pointer)
{
	static const int calls[] = { SYS_read, SYS_write, SYS_fstat, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_getdents64,
				     SYS_fstatfs, SYS_preadv, SYS_pwritev, SYS_ioctl };

	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		long result = syscall(calls[i], fd, calls[i] == SYS_ioctl ? 0x5401 /* TCGETS */ : pointer, 64, 0, 0, 0);

		printf("fd %u %ld %d\n", i, result < 0 ? -1 : result, result < 0 ? errno : 0);
	}
	static const int at_calls[] = { SYS_openat, SYS_mkdirat, SYS_unlinkat, SYS_readlinkat, SYS_faccessat, SYS_newfstatat };

	for (unsigned i = 0; i < sizeof(at_calls) / sizeof(at_calls[0]); i++) {
		long result = syscall(at_calls[i], AT_FDCWD, pointer, pointer, 0, 0, 0);

		printf("at %u %ld %d\n", i, result < 0 ? -1 : result, result < 0 ? errno : 0);
	}
}

/* Waiting and signal calls: these cannot take whatever comes, so each has its arguments. */
static void by_hand(long bad)
{
#define ANSWER(...) printf("%s %d\n", #__VA_ARGS__, (int)syscall(__VA_ARGS__) == -1 ? errno : 0)
	ANSWER(SYS_wait4, -1, bad, 0, bad);
	ANSWER(SYS_rt_sigaction, 10, bad, bad, 8);
	ANSWER(SYS_rt_sigprocmask, 0, bad, bad, 8);
	ANSWER(SYS_rt_sigsuspend, bad, 8);
	ANSWER(SYS_rt_sigtimedwait, bad, bad, bad, 8);
	ANSWER(SYS_rt_sigqueueinfo, 1, 10, bad);
	ANSWER(SYS_rt_sigpending, bad, 8);
	ANSWER(SYS_sigaltstack, bad, bad);
	ANSWER(SYS_poll, bad, 1, 0);
	ANSWER(SYS_ppoll, bad, 1, bad, bad, 8);
	ANSWER(SYS_select, 1, bad, bad, bad, bad);
	ANSWER(SYS_pselect6, 1, bad, bad, bad, bad, bad);
	ANSWER(SYS_futex, bad, 0, 0, bad, bad, 0);
	ANSWER(SYS_nanosleep, bad, bad);
	ANSWER(SYS_clock_nanosleep, 0, 0, bad, bad);
	ANSWER(SYS_clock_gettime, 0, bad);
	ANSWER(SYS_clock_getres, 0, bad);
	ANSWER(SYS_clone3, bad, 88);
	ANSWER(SYS_execve, bad, bad, bad);
	ANSWER(SYS_execveat, -100, bad, bad, bad, 0);
	ANSWER(SYS_timer_create, 0, bad, bad);
	ANSWER(SYS_epoll_ctl, 0, 1, 0, bad);
	ANSWER(SYS_socketpair, 1, 1, 0, bad);
	ANSWER(SYS_prctl, 15, bad, 0, 0, 0);
	ANSWER(SYS_arch_prctl, 0x1003, bad);
	ANSWER(SYS_getgroups, 64, bad);
	ANSWER(SYS_getitimer, 0, bad);
	ANSWER(SYS_setitimer, 0, bad, bad);
	ANSWER(SYS_gettimeofday, bad, bad);
	ANSWER(SYS_times, bad);
	ANSWER(SYS_sysinfo, bad);
	ANSWER(SYS_getrusage, 0, bad);
	ANSWER(SYS_getrlimit, 0, bad);
	ANSWER(SYS_prlimit64, 0, 0, bad, bad);
	ANSWER(SYS_sched_getaffinity, 0, 128, bad);
	ANSWER(SYS_getcpu, bad, bad, 0);
	ANSWER(SYS_getrandom, bad, 16, 0);
	ANSWER(SYS_statx, -100, bad, 0, 0, bad);
	ANSWER(SYS_pipe, bad);
	ANSWER(SYS_memfd_create, bad, 0);
	ANSWER(SYS_name_to_handle_at, -100, bad, bad, bad, 0);
	ANSWER(SYS_seccomp, 1, 0, bad);
	ANSWER(SYS_process_vm_readv, getpid(), bad, 1, bad, 1, 0);
	ANSWER(SYS_mincore, 0, 4096, bad);
	ANSWER(SYS_get_robust_list, 0, bad, bad);
	ANSWER(SYS_rt_tgsigqueueinfo, 1, 1, 10, bad);
}

int main(void)
{
	/* as a number it is 0, wherever the call takes an int */
	char *sealed = mmap((void *)0x600000000ul, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	int zero = open("/dev/zero", O_RDWR), dir = open("/", O_RDONLY);
	const long pointers[] = { 1, (long)sealed, 0x7ffffffff000, (long)0x8000000000000000ul };

	CHECK(sealed != MAP_FAILED && zero >= 0 && dir >= 0);
	CHECK(signal(SIGSEGV, fault) != SIG_ERR && signal(SIGBUS, fault) != SIG_ERR);
	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	for (unsigned i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
		int status;
		pid_t child;

		printf("pointer %u\n", i);
		if (pointers[i] == (long)sealed)
			answers(pointers[i]);
		fflush(stdout);
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			with_descriptor(zero, pointers[i]);
			with_descriptor(dir, pointers[i]);
			printf("faults %d\n", (int)faults);
			fflush(stdout);
			_exit(faults != 0);
		}
		CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
		fflush(stdout);
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			by_hand(pointers[i]);
			fflush(stdout);
			_exit(faults != 0);
		}
		CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	puts("badptr_all: ok");
	return 0;
}
