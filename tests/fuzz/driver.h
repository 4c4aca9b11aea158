#ifndef VTRACE_FUZZ_DRIVER_H
#define VTRACE_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>

/* What libFuzzer, or driver.c, calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
