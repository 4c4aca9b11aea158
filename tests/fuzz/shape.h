/* What a program reads of the JSON outputs. Each function prints what is wrong and aborts. */
#ifndef VTRACE_FUZZ_SHAPE_H
#define VTRACE_FUZZ_SHAPE_H

#include <stddef.h>

/* Lines of x.jsonl. */
void check_json_shapes(const char *text, size_t bytes);
/* One x.json. */
void check_json_document(const char *text, size_t bytes);

#endif
