/* dlopen and dlclose of a library that makes raw syscalls, by many threads at once: it is mapped, called and unmapped all the time,
 * at changing places. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define THREADS 16
#define ROUNDS 40

static char path[4096];
static pthread_barrier_t together;
static atomic_long calls;

static void *run(void *arg)
{
	for (int round = 0; round < ROUNDS; round++) {
		void *library = dlopen(path, round & 1 ? RTLD_NOW : RTLD_LAZY);
		long (*raw)(long, long), (*raw_close)(long);
		void *symbol;

		if (!library)
			printf("%s\n", dlerror());
		CHECK(library);
		symbol = dlsym(library, "raw_in_library");
		CHECK(symbol);
		memcpy(&raw, &symbol, sizeof(raw));
		symbol = dlsym(library, "raw_close");
		CHECK(symbol);
		memcpy(&raw_close, &symbol, sizeof(raw_close));
		for (int i = 0; i < 5; i++) {
			CHECK(raw_close(9994) == -EBADF);
			CHECK(raw(SYS_getppid, 0) == getppid());
			atomic_fetch_add(&calls, 2);
		}
		CHECK(dlclose(library) == 0);
		if (round % 8 == 7)
			pthread_barrier_wait(&together); /* now it is gone for sure */
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	char *slash;

	(void)argc;
	snprintf(path, sizeof(path) - 16, "%s", argv[0]);
	slash = strrchr(path, '/');
	CHECK(slash);
	strcpy(slash, "/libraw.so");
	if (access(path, R_OK) < 0)
		SKIP("libraw.so is not beside the program");
	CHECK(pthread_barrier_init(&together, NULL, THREADS) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, run, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(!dlopen(path, RTLD_NOW | RTLD_NOLOAD));
	printf("dlrace: ok %ld\n", atomic_load(&calls));
	return 0;
}
