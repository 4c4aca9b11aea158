#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lines.h"

#define DEPTH_MAX 32

struct text { const unsigned char *at, *end; };

_Noreturn void fuzz_failed(const char *what, const char *text, size_t bytes)
{
	fprintf(stderr, "%s: %.*s\n", what, (int)(bytes < 4000 ? bytes : 4000), text);
	abort();
}

/* ---- JSON, RFC 8259 ---- */

static bool value(struct text *t, int depth);

static bool literal(struct text *t, const char *word)
{
	size_t bytes = strlen(word);

	if ((size_t)(t->end - t->at) < bytes || memcmp(t->at, word, bytes))
		return false;
	t->at += bytes;
	return true;
}

static bool is_digit(const struct text *t)
{
	return t->at < t->end && *t->at >= '0' && *t->at <= '9';
}

static bool number(struct text *t)
{
	literal(t, "-");
	if (!is_digit(t))
		return false;
	if (*t->at++ == '0')
		return !is_digit(t);
	while (is_digit(t))
		t->at++;
	return true;
}

static bool escape(struct text *t)
{
	if (t->at == t->end)
		return false;
	if (*t->at != 'u')
		return strchr("\"\\/bfnrt", *t->at) && *t->at++;
	if (t->end - t->at < 5)
		return false;
	for (int i = 1; i < 5; i++)
		if (!strchr("0123456789abcdefABCDEF", t->at[i]))
			return false;
	bool surrogate = (t->at[1] | 0x20) == 'd' && strchr("89abcdefABCDEF", t->at[2]);

	t->at += 5;
	return !surrogate;
}

/* The decoded code point must need the bytes it has. */
static bool utf8(struct text *t)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = *t->at;
	int bytes = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
	uint32_t code = bytes == 1 ? first : first & (0x7fu >> bytes);

	if (!bytes || t->end - t->at < bytes)
		return false;
	for (int i = 1; i < bytes; i++) {
		if (t->at[i] >> 6 != 2)
			return false;
		code = code << 6 | (t->at[i] & 63u);
	}
	t->at += bytes;
	return code >= least[bytes] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static bool string(struct text *t)
{
	if (!literal(t, "\""))
		return false;
	while (t->at < t->end && *t->at != '"') {
		if (*t->at < ' ' || *t->at == 0x7f)
			return false;
		if (*t->at == '\\' ? (t->at++, !escape(t)) : !utf8(t))
			return false;
	}
	return literal(t, "\"");
}

static bool members(struct text *t, char close, int depth)
{
	const char end[2] = { close, 0 };

	if (literal(t, end))
		return true;
	do {
		if (close == '}' && (!string(t) || !literal(t, ":")))
			return false;
		if (!value(t, depth + 1))
			return false;
	} while (literal(t, ","));
	return literal(t, end);
}

static bool value(struct text *t, int depth)
{
	if (t->at == t->end || depth > DEPTH_MAX)
		return false;
	switch (*t->at) {
	case '{': t->at++; return members(t, '}', depth);
	case '[': t->at++; return members(t, ']', depth);
	case '"': return string(t);
	case 't': return literal(t, "true");
	case 'f': return literal(t, "false");
	case 'n': return literal(t, "null");
	}
	return number(t);
}

void check_json_lines(const char *text, size_t bytes)
{
	struct text t = { (const unsigned char *)text, (const unsigned char *)text + bytes };

	while (t.at < t.end) {
		const unsigned char *line = t.at;

		if (*t.at != '{' || !value(&t, 0) || !literal(&t, "\n"))
			fuzz_failed("not a line of JSON", (const char *)line, (size_t)(t.end - line));
	}
}

/* ---- text ---- */

void check_text_lines(const char *text, size_t bytes, size_t lines)
{
	size_t ends = 0;

	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			ends++;
		else if (text[i] < ' ' || text[i] > '~')
			fuzz_failed("a character that can spoil a terminal", text, bytes);
	}
	if (ends > lines || (bytes && text[bytes - 1] != '\n'))
		fuzz_failed("not the lines it should be", text, bytes);
}
