/* VTRACE_LAYERS: which of the ways a syscall is caught are in use, for tests and comparison. */
#ifndef VTRACE_FRONT_LAYERS_H
#define VTRACE_FRONT_LAYERS_H

#include <stdbool.h>
#include "options.h"

/* `list`: names separated by commas, of wrappers, sites, dispatch, prctl (dispatch as before Linux 6.4) and net; what is not
 * named is off. NULL: all of them. False with one line in `error`. */
bool layers_apply(struct options *options, const char *list, char error[OPTIONS_ERROR]);

#endif
