/* Every torture program checks itself: CHECK prints what failed and ends the program with status 1; SKIP says why the
 * program cannot run here. */
#ifndef VTRACE_TORTURE_CHECK_H
#define VTRACE_TORTURE_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                              \
	do {                                                                                          \
		if (!(condition)) {                                                                   \
			printf("%s:%d: not so: %s (errno %s)\n", __FILE__, __LINE__, #condition,      \
			       strerror(errno));                                                      \
			fflush(stdout);                                                               \
			_Exit(1);                                                                     \
		}                                                                                     \
	} while (0)

#define SKIP(reason)                                                                                  \
	do {                                                                                          \
		printf("skipped: %s\n", reason);                                                      \
		fflush(stdout);                                                                       \
		_Exit(77);                                                                            \
	} while (0)

#endif
