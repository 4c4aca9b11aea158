/* The tree a decoder makes of an argument and the renderers print, and the arena and buffer they use.
 * Nodes live in the arena: one event long, never freed one by one. */
#ifndef VTRACE_FORMATTERS_VALUE_H
#define VTRACE_FORMATTERS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "tables.h"

struct arena_block { struct arena_block *next; size_t size, used; max_align_t data[]; };
struct buf { char *data; size_t len, size; };
struct arena { struct arena_block *first, *at; struct buf text; };

void *arena_more(struct arena *arena, size_t size); /* of arena_alloc(), where the block is full */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An empty buffer, for one text at a time; and what was made in it, for as long as the event lasts. */
struct buf *arena_text(struct arena *arena);
char *arena_keep(struct arena *arena, const struct buf *text);
void arena_reset(struct arena *arena);
void arena_destroy(struct arena *arena);

/* Zeroed; never NULL: out of memory ends vtrace. */
static inline void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->at;
	size_t rounded = (size + 15) & ~(size_t)15;

	if (!block || block->size - block->used < rounded)
		return arena_more(arena, rounded);
	void *memory = (char *)block->data + block->used;

	block->used += rounded;
	return __builtin_memset(memory, 0, size);
}

void buf_grow(struct buf *buf, size_t size); /* room for so many bytes and a NUL */
void buf_fill(struct buf *buf, char c, size_t count);
void buf_dec(struct buf *buf, int64_t number);
void buf_udec(struct buf *buf, uint64_t number);
void buf_hex(struct buf *buf, uint64_t number);     /* "0x..", "0x0" for 0 */
void buf_alt_hex(struct buf *buf, uint64_t number); /* as %#llx: "0" for 0 */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes the first `size` bytes and forgets all. */
void buf_flush(struct buf *buf, size_t size, FILE *out);

/* Where the next `size` bytes go; buf_end() says up to where they were written. There is always a NUL behind them. */
static inline char *buf_room(struct buf *buf, size_t size)
{
	if (buf->size - buf->len < size + 1)
		buf_grow(buf, size);
	return buf->data + buf->len;
}

static inline void buf_end(struct buf *buf, char *end)
{
	buf->len = (size_t)(end - buf->data);
	*end = 0;
}

static inline void buf_add(struct buf *buf, const void *data, size_t size)
{
	char *at = buf_room(buf, size);

	__builtin_memcpy(at, data, size);
	buf_end(buf, at + size);
}

static inline void buf_puts(struct buf *buf, const char *text)
{
	buf_add(buf, text, __builtin_strlen(text));
}

static inline void buf_putc(struct buf *buf, char c)
{
	char *at = buf_room(buf, 1);

	*at = c;
	buf_end(buf, at + 1);
}

/* How many bytes at the beginning are ASCII that stands for itself in quotes, in text as in JSON. */
size_t plain_length(const uint8_t *bytes, size_t size);

enum value_type {
	VALUE_NULL,     /* NULL pointer */
	VALUE_INT,      /* JSON number */
	VALUE_UINT,
	VALUE_DECIMAL,  /* signed 64-bit, string in JSON */
	VALUE_UDECIMAL,
	VALUE_HEX,      /* "0x.." */
	VALUE_OCTAL,
	VALUE_ADDR,     /* an address that was not followed */
	VALUE_FAULT,    /* an address that could not be read */
	VALUE_BYTES,
	VALUE_FLAGS,
	VALUE_ENUM,
	VALUE_FD,
	VALUE_STRUCT,
	VALUE_ARRAY,
	VALUE_CHANGE,   /* two children: before and after, "a => b" */
};

/* Small, because each argument of each call is one. What is in a union belongs to the types it names. */
struct value {
	enum value_type type;
	bool bare;              /* text: member without its name= */
	bool hidden;            /* not in the text: JSON only */
	bool cut;               /* VALUE_BYTES: there is more */
	bool hex;               /* VALUE_BYTES: always \x.. */
	bool abstract;          /* VALUE_BYTES: @"..." of AF_UNIX */
	const char *name;       /* member name, or NULL */
	const char *text;       /* text form, when it is not what the type says */
	const char *comment;    /* text: printed after the value */
	uint64_t number;
	struct value *next;
	union {
		const char *path;                       /* VALUE_FD */
		struct {                                /* VALUE_BYTES */
			const uint8_t *bytes;
			size_t size;
			uint64_t full;                  /* length when it was not cut; 0 unknown */
		};
		struct {                                /* VALUE_FLAGS, VALUE_ENUM */
			const struct constant_set *set;
			const char *first_name;         /* VALUE_FLAGS: of the bits in first_mask (O_RDWR, MAP_PRIVATE) */
			uint64_t first_mask;
		};
		struct {                                /* VALUE_STRUCT, VALUE_ARRAY, VALUE_CHANGE */
			struct value *child, *last;
			uint32_t elided;                /* members left out */
		};
	};
};

static inline struct value *value_new(struct arena *arena, enum value_type type, uint64_t number)
{
	struct value *value = arena_alloc(arena, sizeof(*value));

	value->type = type;
	value->number = number;
	return value;
}

struct value *value_set(struct arena *arena, enum value_type type, uint64_t number, const struct constant_set *set);
/* Appends `child` under `parent` with a member name (or NULL); returns `child`. */
struct value *value_add(struct value *parent, const char *name, struct value *child);

struct format_options;
void render_text(struct buf *out, const struct value *value, const struct format_options *options);
void render_json(struct buf *out, const struct value *value);
void json_string(struct buf *out, const char *text);
void json_bytes(struct buf *out, const uint8_t *bytes, size_t size, bool cut, uint64_t full);
/* A file's name without quotes: no byte of it can end the line or the <> around it. */
void text_file_name(struct buf *out, const char *name, size_t size);
/* Flags as strace prints them: names, rest in hex, comment when nothing matched. */
void text_flags(struct buf *out, uint64_t value, const struct constant_set *set);
const char *constant_name(const struct constant_set *set, uint64_t value);

#endif
