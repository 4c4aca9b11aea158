/* vtrace: options, the program, then the session; or a replay. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "die.h"
#include "layers.h"
#include "memory.h"
#include "options.h"
#include "replay.h"
#include "resolve.h"
#include "session.h"

#ifndef VTRACE_VERSION
#define VTRACE_VERSION "0"
#endif

static int say_and_leave(const struct options *options)
{
	if (options->help)
		options_help(stdout);
	else
		printf("vtrace %s\n", VTRACE_VERSION);
	return fflush(stdout) ? EXIT_OUTPUT : 0;
}

/* PATH as the program will see it: -E may have changed it, but as in execvp it is ours that is searched. */
static char *find_program(const char *name)
{
	char *path;
	int err = resolve_program(name, &path);

	if (err == ENOENT || err == ENOTDIR)
		die(EXIT_NOT_FOUND, "cannot run '%s': %s", name,
		    strchr(name, '/') ? strerror(err) : "not found in PATH");
	if (err)
		die(EXIT_NOT_EXECUTABLE, "cannot run '%s': %s", name, strerror(err));
	return path;
}

int main(int argc, char **argv)
{
	struct options options;
	char error[OPTIONS_ERROR] = "";
	int status;

	if (!options_parse(&options, argc, argv, error) || !layers_apply(&options, getenv("VTRACE_LAYERS"), error))
		die(EXIT_USAGE, "%s", error);
	if (options.help || options.version) {
		status = say_and_leave(&options);
	} else if (options.command == COMMAND_REPLAY) {
		status = replay_run(&options);
	} else {
		char *program = find_program(options.program[0]);

		status = session_run(&options, program, argc, argv);
		free(program);
	}
	options_close(&options);
	return status;
}
