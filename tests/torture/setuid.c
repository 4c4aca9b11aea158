/* A program with the setuid bit. Traced by root it gets its owner's identity, as untraced. (Traced by an ordinary user it does
 * not, as with strace: the kernel's rule for ptrace.) And a process that gives its privileges up. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define NOBODY 65534

static int reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void copy_with_the_bit(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t got;

	CHECK(in >= 0 && out >= 0);
	while ((got = read(in, buffer, sizeof(buffer))) > 0)
		CHECK(write(out, buffer, (size_t)got) == got);
	CHECK(fchown(out, NOBODY, NOBODY) == 0 && fchmod(out, 06755) == 0);
	CHECK(close(in) == 0 && close(out) == 0);
}

static int drops(void)
{
	CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
	for (int i = 0; i < 20; i++)
		CHECK(close(9997) == -1 && errno == EBADF);
	CHECK(setuid(0) == -1 && errno == EPERM);
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		execl("/bin/sh", "sh", "-c", "test $(id -u) = 65534", (char *)NULL);
		_exit(99);
	}
	return reap(child) == 0 ? 5 : 6;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/setuid.XXXXXX", copy[64];
	pid_t child;

	if (argc > 1)
		return geteuid() == NOBODY && getegid() == NOBODY && getuid() == 0 ? 7 : 8;
	if (getuid() != 0)
		SKIP("only root can make a program of another's");
	CHECK(mkdtemp(dir) && chmod(dir, 0755) == 0);
	snprintf(copy, sizeof(copy), "%s/copy", dir);
	copy_with_the_bit(argv[0], copy);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		execl(copy, copy, "child", (char *)NULL);
		_exit(99);
	}
	CHECK(reap(child) == 7);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		_exit(drops());
	CHECK(reap(child) == 5);
	CHECK(unlink(copy) == 0 && rmdir(dir) == 0);
	puts("setuid: ok");
	return 0;
}
