/* Calls that the keeper must see before they are made. */
#ifndef VTRACE_AGENT_BOUNCE_H
#define VTRACE_AGENT_BOUNCE_H

#include <stdbool.h>
#include "agent.h"

/* A call that came from a rewritten site is to be made by the site's own syscall instruction instead, which user dispatch
 * hands to the keeper. */
bool bounce_needed(const struct agent_thread *thread);

#endif
