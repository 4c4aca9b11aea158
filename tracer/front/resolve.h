/* Finds the program as execvp would. */
#ifndef VTRACE_FRONT_RESOLVE_H
#define VTRACE_FRONT_RESOLVE_H

/* 0 and a path the caller frees, or the errno to report (ENOENT: status 127, others 126). */
int resolve_program(const char *name, char **path);

#endif
