/* A cancelled thread is unwound: destructors run, from the innermost out, and catch (...) sees it pass. */
#include <atomic>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

static int ends[2];
static sem_t ready;
static std::atomic<int> destroyed, passed;

struct Guard {
	int place;
	explicit Guard(int at) : place(at) {}
	~Guard()
	{
		CHECK(destroyed.fetch_add(1) == place);
		CHECK(close(9001) == -1); /* a syscall while unwinding */
	}
};

static __attribute__((noinline)) void block(bool sleeping)
{
	Guard inner(0);
	char byte;
	timespec hour = { 3600, 0 };

	for (;;) {
		if (sleeping)
			nanosleep(&hour, nullptr);
		else
			(void)!read(ends[0], &byte, 1);
	}
}

static __attribute__((noinline)) void middle(bool sleeping)
{
	Guard outer(1);

	try {
		block(sleeping);
	} catch (...) {
		passed++;
		throw;
	}
}

static void *run(void *arg)
{
	Guard last(2);

	sem_post(&ready);
	middle(arg != nullptr);
	return nullptr;
}

int main()
{
	CHECK(pipe(ends) == 0 && sem_init(&ready, 0, 0) == 0);
	for (int i = 0; i < 100; i++) {
		pthread_t thread;
		void *result = nullptr;

		destroyed = passed = 0;
		CHECK(pthread_create(&thread, nullptr, run, i & 1 ? &ends : nullptr) == 0);
		CHECK(sem_wait(&ready) == 0);
		for (int spin = 0; spin < (i & 2 ? 100000 : 0); spin++)
			__asm__ volatile("pause");
		CHECK(pthread_cancel(thread) == 0);
		CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
		CHECK(destroyed == 3 && passed == 1);
	}
	puts("cancel_cxx: ok");
	return 0;
}
