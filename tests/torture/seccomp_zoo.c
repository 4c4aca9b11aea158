/* Programs with filters of their own: an allow-list that kills what it does not know, one that answers with errors, one that
 * traps so that a handler emulates the call (as Chrome's does), one that looks at where the call comes from, one whose trap
 * finds SIGSYS blocked. */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include "check.h"

#define NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
#define IF(nr, value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), ANSWER(value)
#define ALLOW(nr) IF(nr, SECCOMP_RET_ALLOW)
#define INSTALL(code) install(code, sizeof(code) / sizeof((code)[0]))

static void install(struct sock_filter *code, size_t rows)
{
	struct sock_fprog program = { (unsigned short)rows, code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

/* long traced_call(nr, a, b): a raw syscall whose place is known. */
__asm__(".text\n"
	".globl traced_call\n"
	"traced_call:\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	syscall\n"
	".globl traced_after\n"
	"traced_after:\n"
	"	ret\n");
extern long traced_call(long nr, long a, long b);
extern const char traced_after[];

static void allow_list(void)
{
	struct sock_filter code[] = { NUMBER, ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_exit_group), ALLOW(SYS_exit),
				      ALLOW(SYS_rt_sigreturn), ALLOW(SYS_close), ALLOW(SYS_getppid),
				      ANSWER(SECCOMP_RET_KILL_PROCESS) };

	INSTALL(code);
	for (int i = 0; i < 1000; i++) {
		CHECK(close(9920) == -1 && errno == EBADF);
		CHECK(getppid() > 0);
	}
	_exit(5);
}

/* The agent waits for room in its ring, but not by a call of its own. */
static void no_futex(void)
{
	struct sock_filter code[] = { NUMBER, IF(SYS_futex, SECCOMP_RET_KILL_PROCESS), ANSWER(SECCOMP_RET_ALLOW) };

	INSTALL(code);
	execl("/proc/self/exe", "seccomp_zoo", "calls", (char *)NULL);
	_exit(6);
}

static int many_calls(void)
{
	for (int i = 0; i < 3000; i++)
		CHECK(getppid() > 0);
	return 5;
}

static void allow_list_kills(void)
{
	struct sock_filter code[] = { NUMBER, ALLOW(SYS_close), ALLOW(SYS_exit_group), ANSWER(SECCOMP_RET_KILL_PROCESS) };

	INSTALL(code);
	CHECK(close(9921) == -1);
	syscall(SYS_getuid);
	_exit(6);
}

static void allow_list_kills_the_thread(void)
{
	struct sock_filter code[] = { NUMBER, IF(SYS_getuid, SECCOMP_RET_KILL_THREAD), ANSWER(SECCOMP_RET_ALLOW) };
	INSTALL(code);
	syscall(SYS_getuid);
	_exit(6);
}

static void errors(void)
{
	struct sock_filter code[] = { NUMBER, IF(SYS_getuid, SECCOMP_RET_ERRNO | 42), IF(SYS_openat, SECCOMP_RET_ERRNO | EPERM),
				      ANSWER(SECCOMP_RET_ALLOW) };

	INSTALL(code);
	for (int i = 0; i < 10; i++) {
		CHECK(syscall(SYS_getuid) == -1 && errno == 42);
		CHECK(open("/dev/null", O_RDONLY) == -1 && errno == EPERM);
		CHECK(traced_call(SYS_getuid, 0, 0) == -42);
	}
	_exit(5);
}

static volatile sig_atomic_t emulated;

static void emulate(int signal, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	CHECK(signal == SIGSYS && info->si_code == 1 /* SYS_SECCOMP */ && info->si_errno == 33);
	CHECK(info->si_arch == AUDIT_ARCH_X86_64 && info->si_syscall == (int)r[REG_RAX]);
	CHECK((uintptr_t)info->si_call_addr == (uintptr_t)r[REG_RIP]);
	if (info->si_syscall == SYS_getuid)
		CHECK((uintptr_t)r[REG_RIP] == (uintptr_t)traced_after && r[REG_RDI] == 11 && r[REG_RSI] == 22);
	emulated++;
	CHECK(close(9922) == -1); /* a call from within */
	r[REG_RAX] = info->si_syscall == SYS_getuid ? 4711 : -ENOTTY;
}

static void trapped(void)
{
	struct sock_filter code[] = { NUMBER, IF(SYS_getuid, SECCOMP_RET_TRAP | 33), IF(SYS_openat, SECCOMP_RET_TRAP | 33),
				      ANSWER(SECCOMP_RET_ALLOW) };
	struct sigaction action = { .sa_sigaction = emulate, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(SIGSYS, &action, NULL) == 0);
	INSTALL(code);
	for (int i = 0; i < 50; i++) {
		CHECK(traced_call(SYS_getuid, 11, 22) == 4711);
		CHECK(open("/etc/passwd", O_RDONLY) == -1 && errno == ENOTTY);
	}
	CHECK(emulated == 100);
	CHECK(raise(SIGUSR2) == 0);
	_exit(5);
}

/* A trap while SIGSYS is blocked ends the process. */
static void trapped_while_blocked(void)
{
	struct sock_filter code[] = { NUMBER, IF(SYS_getuid, SECCOMP_RET_TRAP), ANSWER(SECCOMP_RET_ALLOW) };
	struct sigaction action = { .sa_sigaction = emulate, .sa_flags = SA_SIGINFO };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	CHECK(sigaction(SIGSYS, &action, NULL) == 0 && sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	INSTALL(code);
	CHECK(getppid() > 0);
	syscall(SYS_getuid);
	_exit(6);
}

static void *once(void *arg)
{
	CHECK(close(9923) == -1 && errno == EBADF);
	CHECK(syscall(SYS_getuid) == -1 && errno == 42);
	return arg;
}

/* The filter is put on all threads; new ones inherit it. */
static void threads(void)
{
	struct sock_filter code[] = { NUMBER, IF(SYS_getuid, SECCOMP_RET_ERRNO | 42), ANSWER(SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	pthread_t thread;

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
	for (int i = 0; i < 5; i++)
		CHECK(pthread_create(&thread, NULL, once, NULL) == 0 && pthread_join(thread, NULL) == 0);
	_exit(5);
}

static void ends_with(void (*part)(void), int code)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		part();
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void dies(void (*part)(void))
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		part();
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return many_calls();
	CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
	ends_with(allow_list, 5);
	ends_with(no_futex, 5);
	dies(allow_list_kills);
	dies(allow_list_kills_the_thread);
	ends_with(errors, 5);
	ends_with(trapped, 5);
	dies(trapped_while_blocked);
	ends_with(threads, 5);
	puts("seccomp_zoo: ok");
	return 0;
}
