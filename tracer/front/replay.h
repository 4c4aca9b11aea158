/* A recording shown as if it were traced now. */
#ifndef VTRACE_FRONT_REPLAY_H
#define VTRACE_FRONT_REPLAY_H

#include "options.h"

/* Returns vtrace's exit status. */
int replay_run(const struct options *options);

#endif
