#ifndef VTRACE_KEEPER_NET_FILTER_H
#define VTRACE_KEEPER_NET_FILTER_H

/* Puts the calling thread under the filter, with no_new_privs where it lacks CAP_SYS_ADMIN. The listener's fd
 * (close-on-exec) or -1 with errno. */
int net_filter_install(void);

#endif
