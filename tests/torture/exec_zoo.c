/* exec in its forms: over a PATH of wrong places, of a memfd, of a script, of scripts of scripts, without an environment,
 * without arguments, of a process that is stopped, with signals pending, ignored and blocked. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

extern char **environ;
static char self[4096], dir[] = "/tmp/exec_zoo.XXXXXX";

static int reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static pid_t forked(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	return child;
}

static void put_file(const char *name, const char *text, int mode)
{
	char path[sizeof(dir) + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0 && chmod(path, (mode_t)mode) == 0);
}

static void over_a_path(void)
{
	char path[4096];
	pid_t child = forked();

	if (!child) {
		snprintf(path, sizeof(path), "/no/1:/no/2:/dev/null:%s:/etc:/no/3:/proc/self:/usr/bin:/bin", dir);
		setenv("PATH", path, 1);
		execlp("true", "true", (char *)NULL);
		_exit(99);
	}
	CHECK(reap(child) == 0);
	child = forked();
	if (!child) {
		setenv("PATH", "/no/1:/no/2:/no/3:/no/4:/no/5", 1);
		execlp("true", "true", (char *)NULL);
		CHECK(errno == ENOENT);
		CHECK(getppid() > 0);
		_exit(21);
	}
	CHECK(reap(child) == 21);
}

static void errors(void)
{
	char *argv[] = { (char *)"x", NULL };
	char path[sizeof(dir) + 64];

	put_file("text", "neither script nor program", 0755);
	put_file("noexec", "#!/bin/sh\n", 0644);
	put_file("lost", "#!/there/is/no/such/interpreter\n", 0755);
	put_file("empty", "", 0755);
	snprintf(path, sizeof(path), "%s/text", dir);
	CHECK(execv(path, argv) == -1 && errno == ENOEXEC);
	snprintf(path, sizeof(path), "%s/noexec", dir);
	CHECK(execv(path, argv) == -1 && errno == EACCES);
	snprintf(path, sizeof(path), "%s/lost", dir);
	CHECK(execv(path, argv) == -1 && errno == ENOENT);
	snprintf(path, sizeof(path), "%s/empty", dir);
	CHECK(execv(path, argv) == -1 && errno == ENOEXEC);
	CHECK(execv(dir, argv) == -1 && errno == EACCES);
	CHECK(syscall(SYS_execve, 8, argv, environ) == -1 && errno == EFAULT);
	CHECK(syscall(SYS_execve, self, 8, environ) == -1 && errno == EFAULT);
	CHECK(syscall(SYS_execveat, -1, "x", argv, environ, 0) == -1 && errno == EBADF);
}

static void from_memory(void)
{
	int from = open(self, O_RDONLY | O_CLOEXEC), to = memfd_create("image", MFD_CLOEXEC);
	char buffer[65536], *argv[] = { (char *)"memory", (char *)"child", NULL };
	ssize_t got;

	CHECK(from >= 0 && to >= 0);
	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		CHECK(write(to, buffer, (size_t)got) == got);
	pid_t child = forked();

	if (!child) {
		fexecve(to, argv, environ);
		_exit(99);
	}
	CHECK(reap(child) == 31);
	child = forked();
	if (!child) {
		syscall(SYS_execveat, to, "", argv, environ, AT_EMPTY_PATH);
		_exit(99);
	}
	CHECK(reap(child) == 31);
	CHECK(close(from) == 0 && close(to) == 0);
}

static void scripts(void)
{
	char text[8192], path[sizeof(dir) + 64];
	pid_t child;

	snprintf(text, sizeof(text), "#!%s child\n", self);
	put_file("script", text, 0755);
	snprintf(text, sizeof(text), "#!%s/script\n", dir);
	put_file("script2", text, 0755);
	put_file("shell", "#!/bin/sh\ntrap 'echo trapped' USR1\nkill -USR1 $$\nexit $(/bin/echo 22)\n", 0755);
	snprintf(path, sizeof(path), "%s/script", dir);
	child = forked();
	if (!child) {
		execl(path, "ignored", (char *)NULL);
		_exit(99);
	}
	CHECK(reap(child) == 31);
	snprintf(path, sizeof(path), "%s/script2", dir);
	child = forked();
	if (!child) {
		execl(path, "ignored", (char *)NULL);
		_exit(99);
	}
	CHECK(reap(child) == 32); /* two arguments more */
	snprintf(path, sizeof(path), "%s/shell", dir);
	child = forked();
	if (!child) {
		execl(path, path, (char *)NULL);
		_exit(99);
	}
	CHECK(reap(child) == 22);
}

static void with_nothing(void)
{
	char *argv[] = { self, (char *)"bare", NULL }, *none[] = { NULL };
	pid_t child = forked();

	if (!child) {
		execve(self, argv, none);
		_exit(99);
	}
	CHECK(reap(child) == 33);
	child = forked();
	if (!child) {
		syscall(SYS_execve, "/bin/true", NULL, NULL); /* the kernel makes up an argv[0] */
		_exit(99);
	}
	CHECK(reap(child) == 0 || !"no argv");
}

/* Stopped before its exec; continued after a stop that another sees. */
static void stopped(void)
{
	int status, ends[2], go[2];
	char byte;
	pid_t child;

	CHECK(pipe2(ends, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
	child = forked();
	if (!child) {
		char *argv[] = { self, (char *)"stop", NULL };

		raise(SIGSTOP);
		CHECK(read(go[0], &byte, 1) == 1); /* its going on has been seen */
		CHECK(write(ends[1], "g", 1) == 1);
		close(ends[1]);
		execv(self, argv);
		_exit(99);
	}
	close(ends[1]);
	CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK(kill(child, SIGCONT) == 0);
	CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
	CHECK(write(go[1], "k", 1) == 1);
	CHECK(read(ends[0], &byte, 1) == 1 && byte == 'g');
	/* the new image stops itself first thing */
	CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK(kill(child, SIGCONT) == 0);
	CHECK(reap(child) == 34);
	close(ends[0]);
	close(go[0]);
	close(go[1]);

	/* a stop sent at any moment around the exec */
	for (int i = 0; i < 5; i++) {
		child = forked();
		if (!child) {
			char *argv[] = { self, (char *)"child", NULL };

			execv(self, argv);
			_exit(99);
		}
		CHECK(kill(child, SIGSTOP) == 0);
		CHECK(waitpid(child, &status, WUNTRACED) == child);
		if (WIFSTOPPED(status)) {
			CHECK(kill(child, SIGCONT) == 0);
			CHECK(reap(child) == 31);
		} else {
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 31);
		}
	}
}

static void nothing(int signal)
{
	(void)signal;
}

static void signals_over_exec(void)
{
	char *argv[] = { self, (char *)"signals", NULL };
	pid_t child = forked();
	sigset_t set;

	if (!child) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		signal(SIGUSR1, nothing);
		signal(SIGHUP, SIG_IGN);
		signal(SIGSEGV, SIG_IGN);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR2);
		execv(self, argv);
		_exit(99);
	}
	CHECK(reap(child) == 35);
}

/* What the exec'd image finds. */
static int image(int argc, char **argv)
{
	struct sigaction now;
	sigset_t set;

	if (!strcmp(argv[1], "bare"))
		return environ && environ[0] ? 1 : 33;
	if (!strcmp(argv[1], "stop")) {
		raise(SIGSTOP);
		return 34;
	}
	if (!strcmp(argv[1], "signals")) {
		CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
		CHECK(sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
		CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
		CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGUSR2) == 1);
		CHECK(sigpending(&set) == 0 && sigismember(&set, SIGUSR2) == 1);
		return 35;
	}
	return argc == 4 ? 32 : 31;
}

int main(int argc, char **argv)
{
	char command[128];

	if (argc > 1)
		return image(argc, argv);
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && mkdtemp(dir));
	over_a_path();
	errors();
	from_memory();
	scripts();
	with_nothing();
	stopped();
	signals_over_exec();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK(system(command) == 0);
	puts("exec_zoo: ok");
	return 0;
}
