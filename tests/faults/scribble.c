/* scribble SEED WHAT: writes random bytes over what vtrace shares with a traced program. What happens to this program then
 * is its own fault; vtrace itself must go on. Untraced there is nothing to write to, and it ends with status 0.
 * WHAT: arena      all rings, headers too
 *       heads      the positions of the own ring only, to wild values
 *       positions  to slightly wrong values
 *       data       the records of the own ring, after they were published
 *       wait       the reader's position only: the ring looks full for ever
 *       silence    the mark that says that nobody reads
 *       freed      the marks that say whose rings are free: then threads, which must not share what they have
 *       thread     the agent's block of this thread */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent.h"

static uint64_t seed;

static uint64_t random_word(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void scribble(void *at, size_t bytes)
{
	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t word = random_word();

		memcpy((char *)at + i, &word, 8);
	}
}

static struct ring_head *own_ring(void)
{
	for (uint32_t slot = 0; slot < ARENA_SLOTS; slot++) {
		struct ring_head *ring = arena_ring((void *)CHUNK_ARENA(0), slot);

		if (ring->tid == getpid())
			return ring;
	}
	return arena_ring((void *)CHUNK_ARENA(0), 0);
}

static void positions(struct ring_head *ring, uint64_t range)
{
	_Atomic uint64_t *words[] = { &ring->head, &ring->open_at, &ring->tail };

	for (int i = 0; i < 3; i++)
		if (random_word() & 1)
			*words[i] = range ? *words[i] + random_word() % range - range / 2 : random_word();
}

static void *thread(void *argument)
{
	for (int i = 0; i < 20; i++)
		if (syscall(SYS_lseek, -1, i, 0) != -1)
			_exit(1);
	return argument;
}

/* All rings look free while threads begin, run and end. */
static void freed(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		for (uint32_t slot = 0; slot < ARENA_SLOTS; slot++)
			arena_ring((void *)CHUNK_ARENA(0), slot)->state = RING_FREE;
		if (pthread_create(&threads[i], NULL, thread, NULL))
			_exit(1);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	unsigned char there;

	if (argc != 3)
		return 2;
	if (mincore((void *)AGENT_BASE, 4096, &there) < 0)
		return 0; /* not traced */
	seed = strtoull(argv[1], NULL, 10) * 2654435761u + 1;
	for (int round = 0; round < 200; round++) {
		struct ring_head *ring = own_ring();

		for (int i = 0; i < 40; i++)
			syscall(SYS_getppid);
		switch (argv[2][0]) {
		case 'a': scribble((void *)CHUNK_ARENA(0), ARENA_BYTES); break;
		case 'h': positions(ring, 0); break;
		case 'p': positions(ring, 4096); break;
		case 'd': scribble(ring_data(ring), RING_BYTES); break;
		case 'w': ring->tail -= RING_BYTES; break;
		case 'f': freed(); break;
		case 's': ring->abandoned = 1; break;
		case 't': scribble((void *)CHUNK_ADDRESS(0), sizeof(struct agent_thread)); break;
		}
	}
	return 0;
}
