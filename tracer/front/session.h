/* One trace, from the open output to the end of the program. */
#ifndef VTRACE_FRONT_SESSION_H
#define VTRACE_FRONT_SESSION_H

#include "options.h"

/* argv is vtrace's own, for the header. Returns vtrace's exit status, or dies of the program's signal. */
int session_run(const struct options *options, const char *program, int argc, char **argv);

#endif
