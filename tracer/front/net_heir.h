/* When the keeper is gone (only a SIGKILL does that), the kernel would answer ENOSYS to what the seccomp net catches: the
 * front then answers in its place, so that what is left of the program can go on. */
#ifndef VTRACE_FRONT_NET_HEIR_H
#define VTRACE_FRONT_NET_HEIR_H

#include <stdint.h>

/* Answers CONTINUE to everything until the last process under the net is gone. `net`: the listener; `received`: the number of the
 * notification that the keeper received last, or of one shortly before; 0: none. */
void net_heir_serve(int net, uint64_t received);

#endif
