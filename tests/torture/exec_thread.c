/* exec by a thread that is not the leader: the other threads are gone, the thread becomes the leader. */
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

static void *wait_forever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void *run(void *program)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%d", getpid());
	CHECK(syscall(SYS_gettid) != getpid());
	execl(program, program, pid, (char *)NULL);
	CHECK(!"execl came back");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t other;

	if (argc > 1) {
		CHECK(getpid() == atoi(argv[1]) && syscall(SYS_gettid) == getpid());
		puts("exec_thread: ok");
		return 7;
	}
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&other, NULL, wait_forever, NULL) == 0);
	CHECK(pthread_create(&other, NULL, run, argv[0]) == 0);
	wait_forever(NULL);
}
