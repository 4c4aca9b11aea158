/* A process in a control group of 16 MB, with threads and children; and one that is frozen and thawed while it sleeps, polls and
 * makes syscalls. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static int put(const char *group, const char *file, const char *text)
{
	char path[512];
	int fd, good;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return 0;
	good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return good;
}

/* A new group with `file` set to `value`, under version 1's place or version 2's. */
static int make_group(char *group, size_t bytes, const char *controller, const char *name)
{
	snprintf(group, bytes, "/sys/fs/cgroup/%s/torture-%s-%d", controller, name, getpid());
	if (mkdir(group, 0755) == 0)
		return 1;
	snprintf(group, bytes, "/sys/fs/cgroup/torture-%s-%d", name, getpid());
	return mkdir(group, 0755) == 0 ? 2 : 0;
}

static void *once(void *arg)
{
	CHECK(close(9999) == -1 && errno == EBADF);
	return arg;
}

static int small(const char *group)
{
	pthread_t threads[40];
	int status;

	CHECK(put(group, "cgroup.procs", "0"));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++)
			CHECK(pthread_create(&threads[i], NULL, once, NULL) == 0);
		for (int i = 0; i < 40; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		pid_t child = fork();

		CHECK(child >= 0);
		if (!child) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(99);
		}
		CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	return 6;
}

static int little_memory(void)
{
	char group[256];
	int status, version = make_group(group, sizeof(group), "memory", "memory");

	if (!version)
		return 0;
	if (!put(group, version == 1 ? "memory.limit_in_bytes" : "memory.max", "16777216")) {
		rmdir(group);
		return 0;
	}
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(small(group));
	CHECK(waitpid(child, &status, 0) == child);
	rmdir(group);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 6);
	return 1;
}

static int cold(int to)
{
	struct timespec moment = { 0, 30000000 };

	CHECK(write(to, "u", 1) == 1);
	for (int i = 0; i < 5; i++) {
		CHECK(nanosleep(&moment, NULL) == 0);
		CHECK(poll(NULL, 0, 30) == 0);
		for (int j = 0; j < 200; j++)
			CHECK(close(9999) == -1 && getppid() > 0);
	}
	return 7;
}

static int frozen(void)
{
	char group[256], number[16], byte;
	int status, ends[2], version = make_group(group, sizeof(group), "freezer", "freezer"), gone = 0;

	if (!version)
		return 0;
	CHECK(pipe(ends) == 0);
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(cold(ends[1]));
	CHECK(read(ends[0], &byte, 1) == 1);
	snprintf(number, sizeof(number), "%d", child);
	if (!put(group, "cgroup.procs", number)) {
		CHECK(waitpid(child, &status, 0) == child);
		rmdir(group);
		return 0;
	}
	while (!gone) {
		struct timespec moment = { 0, 2000000 };

		CHECK(put(group, version == 1 ? "freezer.state" : "cgroup.freeze", version == 1 ? "FROZEN" : "1"));
		nanosleep(&moment, NULL);
		CHECK(put(group, version == 1 ? "freezer.state" : "cgroup.freeze", version == 1 ? "THAWED" : "0"));
		nanosleep(&moment, NULL);
		gone = waitpid(child, &status, WNOHANG) == child;
	}
	rmdir(group);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return 1;
}

int main(void)
{
	int memory = little_memory(), freezer = frozen();

	if (!memory && !freezer)
		SKIP("control groups cannot be made here");
	printf("cgroups: ok memory %d freezer %d\n", memory, freezer);
	return 0;
}
