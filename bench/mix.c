/* mix N FILE: N times openat, fstat, read, write, close: what a program that reads and writes files is made of. Only the read is
 * from FILE; the write is to /dev/null, so that no disk is measured. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct stat facts;
	char text[256];

	if (argc != 3 || sink < 0) {
		fprintf(stderr, "usage: mix N FILE\n");
		return 2;
	}
	for (long i = atol(argv[1]); i > 0; i--) {
		int fd = openat(AT_FDCWD, argv[2], O_RDONLY | O_CLOEXEC);
		ssize_t got;

		if (fd < 0 || fstat(fd, &facts))
			return 1;
		got = read(fd, text, sizeof(text));
		if (got < 0 || write(sink, text, (size_t)got) != got || close(fd))
			return 1;
	}
	return 0;
}
