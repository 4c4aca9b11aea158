/* A library that makes its syscalls itself, for dlrace.c: it comes and goes while threads call into it. */
long raw_in_library(long nr, long a)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "0"(nr), "D"(a), "S"(0), "d"(0) : "rcx", "r11", "memory");
	return result;
}

long raw_close(long fd)
{
	long result;

	__asm__ volatile("movl $3, %%eax\n\tsyscall" : "=a"(result) : "D"(fd) : "rcx", "r11", "memory");
	return result;
}
