/* A program that supervises its own child over a seccomp notification listener. (A tree can have one listener only: run without
 * the net.) */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static void send_fd(int to, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'f';
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	CHECK(sendmsg(to, &message, 0) == 1);
}

static int receive_fd(int from)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	int fd;

	CHECK(recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int supervised(int to)
{
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
				      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
				      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);

	CHECK(listener >= 0);
	send_fd(to, listener);
	close(listener);
	for (int i = 0; i < 10; i++)
		CHECK(syscall(SYS_getuid) == 1000 + i);
	return 4;
}

int main(void)
{
	struct seccomp_notif asked;
	struct seccomp_notif_resp answer;
	int pair[2], status;
	pid_t child;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		_exit(supervised(pair[1]));
	int listener = receive_fd(pair[0]);

	for (int i = 0; i < 10; i++) {
		memset(&asked, 0, sizeof(asked));
		CHECK(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) == 0);
		CHECK(asked.data.nr == SYS_getuid && asked.pid == (unsigned)child);
		answer = (struct seccomp_notif_resp){ .id = asked.id, .val = 1000 + i };
		CHECK(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 4);
	puts("seccomp_listener: ok");
	return 0;
}
