#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include "net_heir.h"

static void answer(int net)
{
	struct seccomp_notif call = { 0 };

	if (ioctl(net, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return;
	struct seccomp_notif_resp go_on = { .id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	ioctl(net, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
}

void net_heir_serve(int net)
{
	struct pollfd poll_net = { .fd = net, .events = POLLIN };

	for (;;) {
		int got = poll(&poll_net, 1, -1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || !(poll_net.revents & POLLIN))
			return;
		answer(net);
	}
}
