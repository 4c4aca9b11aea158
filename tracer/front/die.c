/* Only start-up may die: once a program is traced, nothing exits in the middle. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "die.h"

static void say(const char *format, va_list args)
{
	char line[4096 + 512];
	int used = snprintf(line, sizeof(line), "vtrace: ");
	int more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);

	used += more < 0 ? 0 : more;
	if ((size_t)used > sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	/* One write, so that lines of the program and ours do not mix. A closed stderr is nobody's loss. */
	if (write(STDERR_FILENO, line, (size_t)used) < 0)
		return;
}

void warn_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void die(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	exit(status);
}
