/* Calls that the keeper must see before they are made. */
#ifndef VTRACE_AGENT_BOUNCE_H
#define VTRACE_AGENT_BOUNCE_H

#include <stdbool.h>
#include "agent.h"

/* A call that came from a rewritten site is to be made by the site's own syscall instruction instead, which user dispatch
 * hands to the keeper. */
bool bounce_needed(const struct agent_thread *thread);

/* What rt_sigprocmask will make of thread->forced_blocked, found out before the call: the old mask may be put where the new
 * one was. */
struct mask_change { bool any; uint64_t blocked; };
void mask_change_note(const struct agent_thread *thread, struct mask_change *change);

#endif
