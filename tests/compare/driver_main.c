/* Makes the calls of the generated table, each system call in a child of its own. With a name: only that one. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "driver.h"

static char image[ARENA_BYTES];
#define AT(address) (image + ((address) - ARENA))

static void put(unsigned long address, const void *data, size_t size) { memcpy(AT(address), data, size); }

static void put_texts(void)
{
	strcpy(AT(TEXT_FILE), "file");
	strcpy(AT(TEXT_MISSING), "missing/\1\2");
	strcpy(AT(TEXT_SPECIAL), "a\"b\\c\n\t\r\v\f\a\033\177\200\3771\0019");
	memset(AT(TEXT_LONG), 'l', 4200);
	put(STRINGS, (unsigned long[]){ TEXT_FILE, TEXT_SPECIAL, TEXT_EMPTY, 0 }, 32);
	put(STRINGS_BAD, (unsigned long[]){ TEXT_FILE, BAD, TEXT_FILE, 0 }, 32);
	for (int i = 0; i < 40; i++)
		put(STRINGS_MANY + (unsigned)i * 8, (unsigned long[]){ TEXT_FILE }, 8);
	memset(AT(EDGE), 'e', ARENA + ARENA_BYTES - EDGE);
}

static void put_addresses(void)
{
	struct sockaddr_un local = { AF_UNIX, "socket" }, abstract = { AF_UNIX, "\0abcde" };
	struct sockaddr_in inet = { .sin_family = AF_INET, .sin_port = htons(7), .sin_addr = { htonl(0x7f000001) } };
	struct sockaddr_in6 inet6 = { .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_flowinfo = htonl(5),
				      .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_scope_id = 3 };

	put(ADDR_UNIX, &local, sizeof(local));
	put(ADDR_ABSTRACT, &abstract, sizeof(abstract));
	put(ADDR_INET, &inet, sizeof(inet));
	put(ADDR_INET6, &inet6, sizeof(inet6));
	put(ADDR_NETLINK, (unsigned[]){ AF_NETLINK, 77, 0x80000001 }, 12);
	put(ADDR_PACKET, (unsigned short[]){ AF_PACKET, 0x0608, 1, 0, 1, 0x0604, 0x1234, 0x5678, 0x9abc, 0 }, 20);
	put(ADDR_OTHER, (unsigned short[]){ AF_APPLETALK, 1, 2, 3, 4, 5, 6, 7 }, 16);
	put(LENGTH, (unsigned[]){ 110 }, 4);
}

static void put_messages(void)
{
	struct iovec parts[] = { { (void *)TEXT_FILE, 4 }, { (void *)PATTERN, 40 }, { (void *)ZEROS, 0 } };
	struct iovec bad[] = { { (void *)BAD, 4 }, { (void *)EDGE, 40 } };
	struct msghdr plain = { .msg_iov = (void *)IOVECS, .msg_iovlen = 2 }, named = plain, control = plain, broken = plain;
	struct { struct cmsghdr head; int fds[2]; } rights = { { 24, SOL_SOCKET, SCM_RIGHTS }, { 0, 1 } };

	named.msg_name = (void *)ADDR_INET;
	named.msg_namelen = 16;
	named.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	control.msg_control = (void *)CONTROL;
	control.msg_controllen = 24;
	broken.msg_iov = (void *)BAD;
	broken.msg_name = (void *)BAD;
	broken.msg_namelen = 16;
	put(CONTROL, &rights, sizeof(rights));
	put(IOVECS, parts, sizeof(parts));
	put(BAD_IOVECS, bad, sizeof(bad));
	put(MSG, &plain, sizeof(plain));
	put(MSG_NAMED, &named, sizeof(named));
	put(MSG_CONTROL, &control, sizeof(control));
	put(MSG_BAD, &broken, sizeof(broken));
	put(MMSGS, &(struct mmsghdr){ plain, 0 }, sizeof(struct mmsghdr));
	put(MMSGS + sizeof(struct mmsghdr), &(struct mmsghdr){ named, 0 }, sizeof(struct mmsghdr));
}

static void put_bytes(void)
{
	for (unsigned i = 0; i < 0x2000; i++) {
		*AT(PATTERN + i) = (char)(i * 37 + 11);
		*AT(SMALL + i) = i % 16 == 8;
	}
	memset(AT(ONES), 0xff, 0x2000);
}

/* FD_FILE .. FD_PIDFD, in the order of their enum; nothing that a call could wait for. */
static void open_fds(void)
{
	int pair[2];

	if (open("file", O_RDWR | O_CREAT | O_NONBLOCK, 0644) != FD_FILE || open("dir", O_RDONLY | O_DIRECTORY) != FD_DIR ||
	    pipe2(pair, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) || epoll_create1(0) != FD_EPOLL ||
	    inotify_init1(IN_NONBLOCK) != FD_INOTIFY || timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK) != FD_TIMER ||
	    syscall(SYS_pidfd_open, getpid(), 0) != FD_PIDFD) {
		perror("driver: a file descriptor");
		_exit(1);
	}
}

static void run(const struct driver_call *call)
{
	/* A directory of its own: nothing one call leaves there changes what another finds. */
	if (mkdir(call->name, 0755) || chdir(call->name) || mkdir("dir", 0755))
		_exit(1);
	open_fds();
	alarm(5);
	for (unsigned i = 0; i < call->count; i++) {
		const unsigned long *a = call->cases[i];

		memcpy((void *)ARENA, image, ARENA_BYTES);
		syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	struct rlimit small = { 1 << 20, 1 << 20 }, none = { 0, 0 };

	setrlimit(RLIMIT_FSIZE, &small);
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	close(0);
	if (open("empty", O_RDWR | O_CREAT, 0644) != 0 || dup2(0, 1) != 1 || dup2(0, 2) != 2 || mmap((void *)ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)ARENA)
		return 1;
	close_range(3, ~0u, 0);
	mmap((void *)SPARE, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	put_bytes();
	put_texts();
	put_addresses();
	put_messages();
	for (unsigned i = 0; i < driver_call_count; i++) {
		if (argc > 1 && strcmp(argv[1], driver_calls[i].name))
			continue;
		pid_t child = fork();

		if (!child)
			run(&driver_calls[i]);
		waitpid(child, NULL, 0);
	}
	return 0;
}
