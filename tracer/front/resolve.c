#include <errno.h>
#include <string.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "memory.h"
#include "resolve.h"

static int check(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	/* With the effective ids, as exec does. */
	return eaccess(path, X_OK) < 0 ? errno : 0;
}

static char *join(const char *directory, size_t length, const char *name)
{
	size_t bytes = length + strlen(name) + 3;
	char *path = allocate(bytes);

	if (length)
		snprintf(path, bytes, "%.*s/%s", (int)length, directory, name);
	else
		snprintf(path, bytes, "./%s", name);
	return path;
}

/* The first that can run; else the best reason: one that is there but cannot run goes before "not found". */
static int search(const char *places, const char *name, char **path)
{
	int reason = ENOENT;

	for (;;) {
		size_t length = strcspn(places, ":");
		int err;

		*path = join(places, length, name);
		err = check(*path);
		if (!err)
			return 0;
		free(*path);
		*path = NULL;
		if (err == EACCES)
			reason = err;
		if (!places[length])
			return reason;
		places += length + 1;
	}
}

int resolve_program(const char *name, char **path)
{
	const char *places = getenv("PATH");

	*path = NULL;
	if (!*name)
		return ENOENT;
	if (!strchr(name, '/'))
		return search(places ? places : "/bin:/usr/bin", name, path);
	int err = check(name);

	if (!err)
		*path = strdup(name);
	return err ? err : *path ? 0 : ENOMEM;
}
