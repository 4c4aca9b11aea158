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
	k->queued = 0;
	for (uint32_t i = 0; i < ARENA_MAX; i++)
		for (uint32_t slot = 0; k->arenas[i].spaces && slot < ARENA_SLOTS; slot++) {
			struct ring_head *ring = k->arenas[i].used & 1u << slot ? ring_of(&k->arenas[i], slot) : NULL;

			if (ring)
				ring_set_reader(ring, 0);
		}
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

static void send_with(struct keeper *k, int fd)
{
	char buffer[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { k->queue, k->queued };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };

	if (!k->queued || k->control < 0)
		return;
	if (fd >= 0)
		attach_fd(&msg, buffer, sizeof(buffer), fd);
	k->queued = 0;
	while (sendmsg(k->control, &msg, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		front_is_gone(k);
		return;
	}
	__atomic_store_n(&k->launch->shared->since, 0, __ATOMIC_RELEASE);
}

/* Not while a thread makes a call for the keeper, which is over at once: a message wakes the front. */
void send_queued(struct keeper *k)
{
	if (!k->remote_tid)
		send_with(k, -1);
}

/* Seen by the front before any message can have its time. */
static void announce(const struct keeper *k)
{
	__atomic_exchange_n(&k->launch->shared->since, now_tsc(), __ATOMIC_SEQ_CST);
	_mm_lfence();
}

void send_control(struct keeper *k, struct control message, const void *payload, uint32_t bytes, int fd)
{
	uint32_t room = (uint32_t)WIRE_ALIGN8(sizeof(message) + bytes);

	if (k->control < 0)
		return;
	if (k->queued + room > sizeof(k->queue))
		send_with(k, -1);
	if (k->control < 0)
		return;
	if (!k->queued)
		announce(k);
	message.tsc = message.tsc ? message.tsc : now_tsc();
	message.payload = bytes;
	memset(k->queue + k->queued + room - 8, 0, 8);
	memcpy(k->queue + k->queued, &message, sizeof(message));
	if (bytes)
		memcpy(k->queue + k->queued + sizeof(message), payload, bytes);
	k->queued += room;
	if (fd >= 0)
		send_with(k, fd);
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
