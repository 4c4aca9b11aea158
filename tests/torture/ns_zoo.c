/* A new user, pid and mount namespace; chroot and pivot_root into a directory with nothing in it; exec and threads there. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static int reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void *once(void *arg)
{
	CHECK(close(9900) == -1 && errno == EBADF);
	return arg;
}

static void threads_work(void)
{
	pthread_t threads[24];

	for (int i = 0; i < 24; i++)
		CHECK(pthread_create(&threads[i], NULL, once, NULL) == 0);
	for (int i = 0; i < 24; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

/* Process 1 of its namespace, in an empty root. */
static int first_process(int self)
{
	char *argv[] = { (char *)"ns_zoo", (char *)"inside", NULL }, *none[] = { NULL };
	pid_t child;

	CHECK(getpid() == 1 && syscall(SYS_gettid) == 1 && getppid() == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("none", "/tmp", "tmpfs", 0, NULL) == 0);
	CHECK(mkdir("/tmp/root", 0755) == 0 && mkdir("/tmp/root/old", 0755) == 0);
	CHECK(mount("none", "/tmp/root", "tmpfs", 0, NULL) == 0 && mkdir("/tmp/root/old", 0755) == 0);
	CHECK(syscall(SYS_pivot_root, "/tmp/root", "/tmp/root/old") == 0 && chdir("/") == 0);
	CHECK(umount2("/old", MNT_DETACH) == 0 && rmdir("/old") == 0);
	CHECK(open("/proc/self/maps", O_RDONLY) == -1 && errno == ENOENT);
	threads_work();
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		CHECK(getpid() > 1 && getppid() == 1);
		_exit(5);
	}
	CHECK(reap(child) == 5);
	/* the program itself, statically linked, by its descriptor: there is nothing else to run here */
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		fexecve(self, argv, none);
		_exit(errno == ENOENT ? 6 : 99); /* dynamically linked: no loader here */
	}
	CHECK(reap(child) == 6);
	return 7;
}

static int namespaces(void)
{
	char text[64];
	uid_t uid = getuid();
	gid_t gid = getgid();
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	CHECK(self >= 0);
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) < 0)
		return 77;
	put("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "0 %u 1", uid);
	put("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "0 %u 1", gid);
	put("/proc/self/gid_map", text);
	CHECK(getuid() == 0 && getgid() == 0);
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(first_process(self));
	return reap(child);
}

static int in_a_chroot(void)
{
	char dir[] = "/tmp/ns_zoo.XXXXXX";
	pid_t child;

	if (unshare(CLONE_NEWUSER) < 0)
		return 77;
	CHECK(mkdtemp(dir));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		CHECK(chroot(dir) == 0 && chdir("/") == 0);
		CHECK(access("/bin/sh", F_OK) == -1 && errno == ENOENT);
		threads_work();
		execl("/bin/true", "true", (char *)NULL);
		_exit(errno == ENOENT ? 8 : 9);
	}
	CHECK(reap(child) == 8);
	CHECK(rmdir(dir) == 0);
	return 8;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return getppid() == 1 && argv[1] ? 6 : 1;
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child)
		_exit(namespaces());
	status = reap(child);
	if (status == 77)
		SKIP("user namespaces are not allowed here");
	CHECK(status == 7);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		_exit(in_a_chroot());
	CHECK(reap(child) == 8);
	puts("ns_zoo: ok");
	return 0;
}
