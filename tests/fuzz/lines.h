/* What must be true of every output of a formatter, whatever the record was. Each prints what is wrong and aborts. */
#ifndef VTRACE_FUZZ_LINES_H
#define VTRACE_FUZZ_LINES_H

#include <stddef.h>

/* Every line is one JSON object, UTF-8, without control characters. */
void check_json_lines(const char *text, size_t bytes);
/* Printable ASCII, every line ended; at most `lines` of them. */
void check_text_lines(const char *text, size_t bytes, size_t lines);
/* Prints what an input did, and ends the run. */
_Noreturn void fuzz_failed(const char *what, const char *text, size_t bytes);

#endif
