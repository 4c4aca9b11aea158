/* dlopen and dlclose of a library that makes raw syscalls, by many threads at once, while others call into it. Half of the threads
 * share it; each of the others has a copy, which is mapped, called and unmapped in every round, at changing places.
 * VTRACE_TEST_ALL=1 in the environment: 64 threads and a million calls. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define THREADS_MAX 64

struct size { long threads, rounds, calls; };
static const struct size normal = { 16, 40, 10 }, heavy = { 64, 100, 160 };

static struct size size;
static char shared[4096];
static pthread_barrier_t together;
static atomic_long calls;

/* A file of its own, with the same text, under a name that dlopen takes. */
static void copy_library(char *name, size_t bytes)
{
	int from = open(shared, O_RDONLY | O_CLOEXEC), to = memfd_create("copy", MFD_CLOEXEC);

	CHECK(from >= 0 && to >= 0);
	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	close(from);
	snprintf(name, bytes, "/proc/self/fd/%d", to);
}

static void find(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	CHECK(symbol);
	memcpy(function, &symbol, sizeof(symbol));
}

static void *run(void *arg)
{
	long me = (long)arg;
	char own[64];

	if (me & 1)
		copy_library(own, sizeof(own));
	for (long round = 0; round < size.rounds; round++) {
		void *library = dlopen(me & 1 ? own : shared, round & 1 ? RTLD_NOW : RTLD_LAZY);
		long (*raw)(long, long), (*raw_close)(long);

		if (!library)
			printf("%s\n", dlerror());
		CHECK(library);
		find(library, "raw_in_library", &raw);
		find(library, "raw_close", &raw_close);
		for (long i = 0; i < size.calls; i += 2) {
			CHECK(raw_close(9994) == -EBADF);
			CHECK(raw(SYS_getppid, 0) == getppid());
			atomic_fetch_add(&calls, 2);
		}
		CHECK(dlclose(library) == 0);
		if (round % 8 == 7)
			pthread_barrier_wait(&together); /* now the shared one is gone for sure */
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *all = getenv("VTRACE_TEST_ALL");
	pthread_t threads[THREADS_MAX];
	char *slash;

	(void)argc;
	size = all && *all == '1' ? heavy : normal;
	snprintf(shared, sizeof(shared) - 16, "%s", argv[0]);
	slash = strrchr(shared, '/');
	CHECK(slash);
	strcpy(slash, "/libraw.so");
	if (access(shared, R_OK) < 0)
		SKIP("libraw.so is not beside the program");
	CHECK(pthread_barrier_init(&together, NULL, (unsigned)size.threads) == 0);
	for (long i = 0; i < size.threads; i++)
		CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
	for (long i = 0; i < size.threads; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(!dlopen(shared, RTLD_NOW | RTLD_NOLOAD));
	printf("dlrace: ok %ld\n", atomic_load(&calls));
	return 0;
}
