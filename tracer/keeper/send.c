/* Keeper → front. When the front is gone, messages are dropped and the rings are marked abandoned. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <x86intrin.h>
#include "keeper.h"

uint64_t now_tsc(void)
{
	return __rdtsc();
}

void front_is_gone(struct keeper *k)
{
	close(k->control);
	k->control = -1;
	for (uint32_t i = 0; i < ARENA_MAX; i++)
		for (uint32_t slot = 0; k->arenas[i].spaces && slot < ARENA_SLOTS; slot++)
			ring_set_reader(arena_ring(k->arenas[i].map, slot), 0);
}

static void attach_fd(struct msghdr *msg, char *buffer, size_t bytes, int fd)
{
	msg->msg_control = buffer;
	msg->msg_controllen = bytes;
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
}

void send_control(struct keeper *k, struct control message, const void *payload, uint32_t bytes, int fd)
{
	char buffer[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec parts[2] = { { &message, sizeof(message) }, { (void *)payload, bytes } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = bytes ? 2 : 1 };

	if (k->control < 0)
		return;
	message.tsc = message.tsc ? message.tsc : now_tsc();
	message.payload = bytes;
	if (fd >= 0)
		attach_fd(&msg, buffer, sizeof(buffer), fd);
	while (sendmsg(k->control, &msg, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		front_is_gone(k);
		return;
	}
}

void send_note(struct keeper *k, const struct task *task, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_control(k, (struct control){ .type = MSG_NOTE, .pid = task ? task->pid : 0, .tid = task ? task->tid : 0 },
		     text, (uint32_t)strlen(text) + 1, -1);
}
