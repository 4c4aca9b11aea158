#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include "net_heir.h"

#define NUMBERS_TRIED 4096u

static void go_on(int net, uint64_t id)
{
	struct seccomp_notif_resp response = { .id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	while (ioctl(net, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 && errno == EINTR)
		;
}

static void answer(int net)
{
	struct seccomp_notif call = { 0 };

	if (!ioctl(net, SECCOMP_IOCTL_NOTIF_RECV, &call))
		go_on(net, call.id);
}

/* A call whose notification the keeper received and did not answer: nobody can receive it again. Numbers are given out one by
 * one, and the keeper may have been killed before it noted the one it had just received. The kernel refuses all others. */
static void answer_received(int net, uint64_t received)
{
	for (uint64_t id = received; received && id < received + NUMBERS_TRIED; id++)
		go_on(net, id);
}

void net_heir_serve(int net, uint64_t received)
{
	struct pollfd poll_net = { .fd = net, .events = POLLIN };

	answer_received(net, received);
	for (;;) {
		int got = poll(&poll_net, 1, -1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || !(poll_net.revents & POLLIN))
			return;
		answer(net);
	}
}
