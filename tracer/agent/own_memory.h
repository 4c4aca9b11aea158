/* Calls of the program that would take the agent's own memory away. */
#ifndef VTRACE_AGENT_OWN_MEMORY_H
#define VTRACE_AGENT_OWN_MEMORY_H

#include <stdint.h>
#include "agent.h"

/* 1: the call touches the agent's place and was made around it; *ret is its result. 0: it is to be made as it is. */
int own_memory_call(const struct agent_frame *frame, int64_t *ret);

#endif
