/* Arena, buffer and value nodes. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "value.h"

#define ARENA_BLOCK 65536
#define STATUS_NO_MEMORY 125 /* vtrace's status when it cannot trace (front/die.h) */

static void *must(void *memory)
{
	if (!memory) {
		fputs("vtrace: out of memory\n", stderr);
		exit(STATUS_NO_MEMORY); /* the front's exit handler closes the trace */
	}
	return memory;
}

static struct arena_block *arena_grow(struct arena *arena, size_t size)
{
	size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
	struct arena_block *block = must(malloc(sizeof(*block) + room));

	block->size = room;
	block->used = 0;
	block->next = NULL;
	if (arena->at)
		arena->at->next = block;
	else
		arena->first = block;
	return arena->at = block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->at;
	void *memory;

	size = (size + 15) & ~(size_t)15;
	while (block && block->size - block->used < size && block->next) {
		block = arena->at = block->next;
		block->used = 0;
	}
	if (!block || block->size - block->used < size)
		block = arena_grow(arena, size);
	memory = (char *)block->data + block->used;
	block->used += size;
	return memset(memory, 0, size);
}

void arena_reset(struct arena *arena)
{
	arena->at = arena->first;
	if (arena->at)
		arena->at->used = 0;
}

void arena_destroy(struct arena *arena)
{
	while (arena->first) {
		struct arena_block *next = arena->first->next;

		free(arena->first);
		arena->first = next;
	}
	arena->at = NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list list;
	char *text;
	int size;

	va_start(list, format);
	size = vsnprintf(NULL, 0, format, list);
	va_end(list);
	text = arena_alloc(arena, (size_t)(size < 0 ? 0 : size) + 1);
	va_start(list, format);
	vsnprintf(text, (size_t)size + 1, format, list);
	va_end(list);
	return text;
}

void buf_add(struct buf *buf, const void *data, size_t size)
{
	if (buf->size - buf->len < size + 1) {
		buf->size = (buf->size + size + 1) * 2;
		buf->data = must(realloc(buf->data, buf->size));
	}
	if (size)
		memcpy(buf->data + buf->len, data, size);
	buf->len += size;
	buf->data[buf->len] = 0;
}

void buf_puts(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	char small[512];
	va_list list;
	int size;

	va_start(list, format);
	size = vsnprintf(small, sizeof(small), format, list);
	va_end(list);
	if (size < 0)
		return;
	if ((size_t)size < sizeof(small)) {
		buf_add(buf, small, (size_t)size);
		return;
	}
	char *big = must(malloc((size_t)size + 1));
	va_start(list, format);
	vsnprintf(big, (size_t)size + 1, format, list);
	va_end(list);
	buf_add(buf, big, (size_t)size);
	free(big);
}

void buf_flush(struct buf *buf, FILE *out)
{
	if (buf->len)
		fwrite(buf->data, 1, buf->len, out);
	buf->len = 0;
}

struct value *value_new(struct arena *arena, enum value_type type, uint64_t number)
{
	struct value *value = arena_alloc(arena, sizeof(*value));

	value->type = type;
	value->number = number;
	return value;
}

struct value *value_set(struct arena *arena, enum value_type type, uint64_t number, const struct constant_set *set)
{
	struct value *value = value_new(arena, type, number);

	value->set = set;
	return value;
}

struct value *value_add(struct value *parent, const char *name, struct value *child)
{
	child->name = name;
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->child = child;
	return parent->last = child;
}

const char *constant_name(const struct constant_set *set, uint64_t value)
{
	for (uint32_t i = 0; set && i < set->count; i++)
		if (set->items[i].value == value)
			return set->items[i].name;
	return NULL;
}
