/* How vtrace ends when it cannot start, and how it speaks: one line each, on stderr. */
#ifndef VTRACE_FRONT_DIE_H
#define VTRACE_FRONT_DIE_H

/* Exit statuses of vtrace's own; otherwise the status is the program's. */
enum exit_status {
	EXIT_OUTPUT = 1,        /* the trace could not be written */
	EXIT_USAGE = 2,
	EXIT_CUT = 3,           /* replay: the recording has no end */
	EXIT_CANNOT_TRACE = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

void warn_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
