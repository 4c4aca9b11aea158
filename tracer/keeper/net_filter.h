#ifndef VTRACE_KEEPER_NET_FILTER_H
#define VTRACE_KEEPER_NET_FILTER_H

#include <linux/filter.h>
#include "agent.h"

struct net_filter {
	unsigned short count; /* 0: there is no net */
	struct sock_filter code[128];
};

/* 0 or -errno. */
int net_filter_build(struct net_filter *filter);
/* Puts the calling thread under the filter, with no_new_privs where it lacks CAP_SYS_ADMIN. The listener's fd
 * (close-on-exec) or -1 with errno. */
int net_filter_install(const struct net_filter *filter);

#endif
