/* Arena, buffer and value nodes. */
#include <emmintrin.h>
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

void *arena_more(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->at;
	void *memory;

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
	free(arena->text.data);
	arena->text = (struct buf){ 0 };
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

struct buf *arena_text(struct arena *arena)
{
	arena->text.len = 0;
	buf_add(&arena->text, "", 0);
	return &arena->text;
}

char *arena_keep(struct arena *arena, const struct buf *text)
{
	char *copy = arena_alloc(arena, text->len + 1);

	memcpy(copy, text->data, text->len);
	return copy;
}

void buf_grow(struct buf *buf, size_t size)
{
	size_t grown = (buf->size + size + 1) * 2;

	buf->data = must(realloc(buf->data, grown));
	buf->size = grown;
}

void buf_fill(struct buf *buf, char c, size_t count)
{
	char *at = buf_room(buf, count);

	memset(at, c, count);
	buf_end(buf, at + count);
}

#define DIGITS_MAX 20 /* of 2^64 */

static unsigned digits_of(uint64_t number)
{
	unsigned digits = 1;

	for (; number >= 10000; number /= 10000)
		digits += 4;
	return digits + (number >= 10) + (number >= 100) + (number >= 1000);
}

void buf_udec(struct buf *buf, uint64_t number)
{
	static const char pairs[] =
		"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263"
		"6465666768697071727374757677787980818283848586878889909192939495969798" "99";
	if (number < 10) {
		buf_putc(buf, (char)('0' + number));
		return;
	}
	char *at = buf_room(buf, DIGITS_MAX) + digits_of(number);

	buf_end(buf, at);
	for (; number >= 100; number /= 100) {
		at -= 2;
		memcpy(at, pairs + number % 100 * 2, 2);
	}
	if (number >= 10)
		memcpy(at - 2, pairs + number * 2, 2);
	else
		at[-1] = (char)('0' + number);
}

void buf_dec(struct buf *buf, int64_t number)
{
	if (number < 0)
		buf_putc(buf, '-');
	buf_udec(buf, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void buf_hex(struct buf *buf, uint64_t number)
{
	unsigned digits = (67u - (unsigned)__builtin_clzll(number | 1)) / 4;
	char *at = buf_room(buf, DIGITS_MAX);

	at[0] = '0';
	at[1] = 'x';
	at += 2 + digits;
	buf_end(buf, at);
	for (; digits; digits--, number >>= 4)
		*--at = "0123456789abcdef"[number & 15];
}

void buf_alt_hex(struct buf *buf, uint64_t number)
{
	if (number)
		buf_hex(buf, number);
	else
		buf_putc(buf, '0');
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

void buf_flush(struct buf *buf, size_t size, FILE *out)
{
	if (size)
		fwrite_unlocked(buf->data, 1, size, out);
	buf->len = 0;
}

static bool is_plain(uint8_t byte)
{
	return byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\';
}

/* A bit for each of the 16 bytes that is not plain. Compared as signed: above 0x7f is below ' '. */
static unsigned not_plain(const uint8_t *bytes)
{
	__m128i all = _mm_loadu_si128((const __m128i *)bytes);
	__m128i below = _mm_cmplt_epi8(all, _mm_set1_epi8(' ')), del = _mm_cmpeq_epi8(all, _mm_set1_epi8(0x7f));
	__m128i quote = _mm_cmpeq_epi8(all, _mm_set1_epi8('"')), slash = _mm_cmpeq_epi8(all, _mm_set1_epi8('\\'));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(below, del), _mm_or_si128(quote, slash)));
}

size_t plain_length(const uint8_t *bytes, size_t size)
{
	size_t length = 0;

	for (; size - length >= 16; length += 16) {
		unsigned other = not_plain(bytes + length);

		if (other)
			return length + (size_t)__builtin_ctz(other);
	}
	while (length < size && is_plain(bytes[length]))
		length++;
	return length;
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
