/* An allow-list as a sandbox has it, and then threads: it knows what libc needs for a thread and for a fork, and kills anything
 * else, so a tracer that helps itself to calls of its own shows at once. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define THREADS 40
#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static pthread_barrier_t all;

static void *once(void *arg)
{
	CHECK(close(9930) == -1 && errno == EBADF);
	pthread_barrier_wait(&all); /* all live at the same time */
	return arg;
}

int main(void)
{
	/* no memfd_create, no ftruncate: nothing here makes shared memory */
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
				      ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_close), ALLOW(SYS_futex), ALLOW(SYS_exit),
				      ALLOW(SYS_exit_group), ALLOW(SYS_clone3), ALLOW(SYS_clone), ALLOW(SYS_mmap),
				      ALLOW(SYS_munmap), ALLOW(SYS_mprotect), ALLOW(SYS_madvise), ALLOW(SYS_rseq),
				      ALLOW(SYS_set_robust_list), ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_rt_sigaction), ALLOW(SYS_brk),
				      ALLOW(SYS_newfstatat), ALLOW(SYS_getrandom), ALLOW(SYS_wait4), ALLOW(SYS_rt_sigreturn),
				      ALLOW(SYS_gettid), ALLOW(SYS_getpid),
				      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS) };
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	pthread_t threads[THREADS];
	pthread_attr_t attr;
	int status;

	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 65536) == 0);
	CHECK(pthread_barrier_init(&all, NULL, THREADS + 1) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], &attr, once, NULL) == 0);
	pthread_barrier_wait(&all);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(close(9931) == -1 ? 4 : 5);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 4);
	puts("seccomp_threads: ok");
	return 0;
}
