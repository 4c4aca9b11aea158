/* Reading one ring. The program can write into it: every record is copied, and only the validated copy is used. */
#ifndef VTRACE_FRONT_SOURCE_H
#define VTRACE_FRONT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include "ring.h"

/* A mapped arena, shared by the sources that read from it. */
struct front_arena {
	unsigned references;               /* sources, and the drain's table while the id is in use */
	void *map;
	uint64_t position[ARENA_SLOTS];    /* how far each ring is read */
};

struct source {
	struct front_arena *arena;
	uint32_t slot;
	bool corrupt;
	bool ended;       /* its thread is gone: free it when the keeper has closed it */
	int32_t tid;
	uint64_t head;    /* of the ring when it was read last: its line is the writer's, who writes it with each record */
	uint64_t told;    /* the position that the writer knows */
};

enum source_result { SOURCE_NONE, SOURCE_RECORD, SOURCE_CORRUPT };

/* The next complete record into `copy` (RECORD_MAX bytes). Its place is given back with others', at the latest by
 * source_give_back(), which NONE does, too. */
enum source_result source_next(struct source *source, struct record *copy);
void source_give_back(struct source *source);
/* Start time of the record being made, 0 when there is none. Only after source_next said NONE. */
uint64_t source_open_since(const struct source *source);
/* The entry part of that record, as a record without result. False when it was completed meanwhile or is not valid. */
bool source_copy_open(const struct source *source, struct record *copy);
/* What its calls cost the program, see struct ring_head: adds to both. */
void source_cost(const struct source *source, uint64_t *ticks, uint64_t *calls);
/* How much is waiting, in bytes. */
uint64_t source_fill(const struct source *source);
/* How far it is read, in bytes since the ring began. */
uint64_t source_position(const struct source *source);
/* True when a word that only the front writes has another value: the writer would wait for ever, or write nothing. */
bool source_disturbed(const struct source *source);
/* Gives the ring up: nothing more is read, and its writer does not wait for a reader. */
void source_abandon(struct source *source);
/* True when an ended source needs no more reading; its slot is then free for another thread. */
bool source_free(struct source *source);

struct front_arena *front_arena_create(void *map);
void front_arena_release(struct front_arena *arena);

#endif
