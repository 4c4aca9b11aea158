/* The tracee's memory. Reads go through process_vm_readv; writes through /proc/PID/mem, which also reaches pages that
 * are read-only for the program itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

int tracee_write(struct keeper *k, pid_t tid, uint64_t addr, const void *from, size_t bytes)
{
	char path[64];
	int fd, err = 0;

	(void)k;
	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t put = pwrite(fd, from, bytes, (off_t)addr);

	if (put < 0)
		err = -errno;
	else if ((size_t)put != bytes)
		err = -EFAULT;
	close(fd);
	return err;
}
