/* Where the trace goes: a file, a command's input, or stderr. Writing never fails for the formatter: the first error is
 * told once on stderr, what follows is thrown away, and the program is not harmed. */
#ifndef VTRACE_FRONT_OUTPUT_H
#define VTRACE_FRONT_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct output {
	FILE *file;       /* not buffered */
	int fd;           /* never 0, 1 or 2; -1: stderr is closed */
	int error;        /* errno of the first failed write */
	pid_t command;    /* of '|cmd', else 0 */
	const char *name; /* borrowed: for messages */
	struct zstd_output *zstd; /* NULL: not compressed */
};
enum output_flag { OUTPUT_APPEND = 1, OUTPUT_ZSTD = 2, OUTPUT_STDOUT = 4 };

/* `name`: FILE, "|cmd" or "!cmd"; NULL for stderr, or with OUTPUT_STDOUT for stdout. Not to be moved afterwards.
 * 0 or an errno. */
int output_open(struct output *output, const char *name, unsigned flags);
/* What was compressed can be read from now on. `idle`: nothing more is at hand. What is compressed waits for that, or a while:
 * small pieces do not compress. */
void output_flush(struct output *output, bool idle);
/* Waits for the command. False when not everything was written. */
bool output_close(struct output *output);
/* A duplicate at 3 or above, close-on-exec, in place of fd. */
int fd_above_stdio(int fd);

#endif
