/* What the keeper remembers, without a program. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "keeper.h"

static int failures;
#define CHECK(condition)                                                                   \
	do {                                                                               \
		if (!(condition)) {                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
			failures++;                                                        \
		}                                                                          \
	} while (0)

#define STOPPED (SIGSTOP << 8 | 0x7f)
#define MANY 5000

static struct keeper keeper_open(void)
{
	struct keeper k = { .control = -1, .net = -1, .program = 1 };

	k.tasks = calloc(TASK_MAX, sizeof(*k.tasks));
	k.spaces = calloc(SPACE_MAX, sizeof(*k.spaces));
	k.arenas = calloc(ARENA_MAX, sizeof(*k.arenas));
	k.tids = calloc(TASK_MAX, sizeof(*k.tids));
	k.early = calloc(EARLY_MAX, sizeof(*k.early));
	return k;
}

static void keeper_close(struct keeper *k)
{
	free(k->tasks);
	free(k->spaces);
	free(k->arenas);
	free(k->tids);
	free(k->early);
}

static void stops_of_thousands_of_unknown_children_are_kept(void)
{
	struct keeper k = keeper_open();
	int status = 0, found = 0;

	for (pid_t tid = 100; tid < 100 + MANY; tid++)
		handle_status(&k, tid, STOPPED);
	for (pid_t tid = 100; tid < 100 + MANY; tid++)
		found += take_early(&k, tid, &status) && status == STOPPED;
	CHECK(found == MANY);
	CHECK(!take_early(&k, 100, &status));
	keeper_close(&k);
}

/* Else the next child with its number would be taken for dead, and stay stopped for ever. */
static void the_death_of_a_stranger_leaves_nothing_behind(void)
{
	struct keeper k = keeper_open();

	handle_status(&k, 100, STOPPED);
	handle_status(&k, 100, SIGKILL);
	handle_status(&k, 101, SIGKILL);
	CHECK(!k.early_count);
	keeper_close(&k);
}

static void a_death_put_aside_is_found_when_its_task_is_known(void)
{
	struct keeper k = keeper_open();
	pid_t tid = 0;
	int status = 0;

	task_add(&k, 100, 100, space_new(&k));
	keep_early(&k, 101, SIGKILL);
	keep_early(&k, 100, SIGKILL);
	CHECK(take_early_death(&k, &tid, &status) && tid == 100 && status == SIGKILL);
	CHECK(!take_early_death(&k, &tid, &status));
	keeper_close(&k);
}

int main(void)
{
	stops_of_thousands_of_unknown_children_are_kept();
	the_death_of_a_stranger_leaves_nothing_behind();
	a_death_put_aside_is_found_when_its_task_is_known();
	return failures != 0;
}
