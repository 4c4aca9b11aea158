/* Layer 2: jumps in the place of syscall sites. The keeper's part: which text a process has mapped, where its trampolines
 * lie, and the writing. What can be rewritten is sites/plan.h's knowledge.
 *
 * A site is rewritten the first time it is dispatched, while the process has one thread; sites met before in this session
 * are rewritten when their text is mapped; the rest when the second thread is about to start. So no other thread can be
 * running the bytes that are replaced, and a short process pays only for the sites it uses. */
#ifndef VTRACE_KEEPER_REWRITE_H
#define VTRACE_KEEPER_REWRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "agent.h"

#define TEXT_MAX 48u

/* An executable file mapping with sites. */
struct text {
	uint64_t start, end;
	uint64_t base;         /* address of the image's first page */
	uint32_t object;       /* index into the keeper's objects */
	bool whole;            /* all its sites were written that can be: nothing remains to be done before a thread starts */
};

/* Trampolines: slots of SLOT_BYTES. */
struct region {
	uint64_t start;        /* 0: none */
	uint32_t used;         /* slots */
};

/* Part of struct space. */
struct rewriting {
	bool off;              /* something in the process forbids it */
	bool loaded;           /* a dynamic loader maps its libraries. What a static program maps it may read as data (valgrind) */
	uint64_t program;      /* heat_program() of the image */
	bool crowded;          /* threads that are not traced may run in it */
	uint32_t text_count;
	struct text texts[TEXT_MAX];
	struct region regions[REGION_MAX];
};

#endif
