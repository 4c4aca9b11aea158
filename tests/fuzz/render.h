/* A record through the report and every formatter, with the outputs checked. */
#ifndef VTRACE_FUZZ_RENDER_H
#define VTRACE_FUZZ_RENDER_H

#include <stdint.h>
#include "format.h"

/* How an input wants to be shown: every bit pattern is a way. */
struct show { uint8_t style, strings, state, where; };

/* `record` is valid. `name` is what the kernel says about files: any bytes but NUL. */
void render_everywhere(const struct record *record, const struct show *show, const char *name);

#endif
