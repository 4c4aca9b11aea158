/* The tracee's memory. Reads go through process_vm_readv; writes through /proc/PID/mem, which also reaches pages that
 * are read-only for the program itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "keeper.h"

uint64_t thread_block(const struct task *task)
{
	return CHUNK_ADDRESS(task->chunk) + (uint64_t)task->slot * THREAD_BYTES;
}

int tracee_read(struct keeper *k, pid_t tid, uint64_t addr, void *to, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)addr, bytes };
	ssize_t got = process_vm_readv(tid, &local, 1, &remote, 1, 0);

	(void)k;
	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EFAULT;
}

size_t read_proc(pid_t tid, const char *name, char *text, size_t bytes)
{
	char path[64];
	size_t length = 0;
	ssize_t got = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && length < bytes - 1 && (got = read(fd, text + length, bytes - 1 - length)) > 0)
		length += (size_t)got;
	if (fd >= 0)
		close(fd);
	text[length] = 0;
	return length;
}

uint64_t status_number(pid_t tid, const char *name, int base)
{
	static char text[1 << 20]; /* a process may be in 65536 groups */

	read_proc(tid, "status", text, sizeof(text));
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, strlen(name)))
			return strtoull(line + strlen(name), NULL, base);
	}
	return 0;
}

static int open_memory(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* The address space's open file, or a new one that the caller must close (*own). */
static int memory_of(struct keeper *k, pid_t tid, bool *own)
{
	const struct task *task = task_find(k, tid);
	struct space *space = task && task->space != NO_INDEX ? space_of(k, task) : NULL;

	*own = !space;
	if (!space)
		return open_memory(tid);
	if (!space->memory_plus_one)
		space->memory_plus_one = open_memory(tid) + 1;
	return space->memory_plus_one - 1;
}

int tracee_write(struct keeper *k, pid_t tid, uint64_t addr, const void *from, size_t bytes)
{
	bool own;
	int fd = memory_of(k, tid, &own), err = 0;

	if (fd < 0)
		return -errno;
	ssize_t put = pwrite(fd, from, bytes, (off_t)addr);

	if (put < 0)
		err = -errno;
	else if ((size_t)put != bytes)
		err = -EFAULT;
	if (own)
		close(fd);
	return err;
}
