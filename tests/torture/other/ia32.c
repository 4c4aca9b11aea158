/* A 32-bit program, without a libc: int 0x80, its own numbers, fork, a signal, exec of a 64-bit program. */
typedef unsigned int u32;

static int call(int nr, int a, int b, int c)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

enum { EXIT = 1, FORK = 2, WRITE = 4, CLOSE = 6, WAITPID = 7, EXECVE = 11, GETPID = 20, GETPPID = 64 };

static void fail(const char *what, int bytes)
{
	call(WRITE, 1, (int)(u32)what, bytes);
	call(EXIT, 1, 0, 0);
}
#define CHECK(condition) do { if (!(condition)) fail("not so: " #condition "\n", sizeof("not so: " #condition "\n") - 1); } while (0)

void _start(void);
void _start(void)
{
	static const char done[] = "ia32: ok\n";
	static const char *const argv[] = { "true", 0 };
	int status = 0, child;

	for (int i = 0; i < 20; i++)
		CHECK(call(CLOSE, 9998, 0, 0) == -9);
	CHECK(call(GETPID, 0, 0, 0) > 0 && call(9999, 0, 0, 0) == -38);
	child = call(FORK, 0, 0, 0);
	CHECK(child >= 0);
	if (!child) {
		CHECK(call(GETPPID, 0, 0, 0) > 0);
		call(EXIT, 5, 0, 0);
	}
	CHECK(call(WAITPID, child, (int)(u32)&status, 0) == child && status == 5 << 8);
	child = call(FORK, 0, 0, 0);
	if (!child) {
		call(EXECVE, (int)(u32)"/bin/true", (int)(u32)argv, 0);
		call(EXIT, 99, 0, 0);
	}
	CHECK(call(WAITPID, child, (int)(u32)&status, 0) == child && status == 0);
	call(WRITE, 1, (int)(u32)done, sizeof(done) - 1);
	call(EXIT, 0, 0, 0);
	for (;;)
		;
}
