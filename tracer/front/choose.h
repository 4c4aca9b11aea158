/* Filters that the agent applies: what they exclude is not even recorded. */
#ifndef VTRACE_FRONT_CHOOSE_H
#define VTRACE_FRONT_CHOOSE_H

#include <stdbool.h>
#include "agent.h"
#include "filter.h"

/* False: everything is to be recorded. */
bool choose(const struct filter *filter, struct agent_choice *choice);

#endif
