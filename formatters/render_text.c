/* Prints a value tree as strace does. */
#include <ctype.h>
#include <string.h>
#include "format.h"
#include "value.h"

static bool wants_hex(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] > 0x7e || (bytes[i] < ' ' && !(bytes[i] >= '\t' && bytes[i] <= '\r')))
			return true;
	return false;
}

static void octal_escape(struct buf *out, const uint8_t *bytes, size_t size, size_t i)
{
	bool digit_follows = i + 1 < size && bytes[i + 1] >= '0' && bytes[i + 1] <= '7';
	char text[4] = { '\\', (char)('0' + (bytes[i] >> 6)), (char)('0' + (bytes[i] >> 3 & 7)), (char)('0' + (bytes[i] & 7)) };
	size_t zeros = digit_follows || bytes[i] >> 6 ? 0 : bytes[i] >> 3 ? 1 : 2; /* that are left out */

	text[zeros] = '\\';
	buf_add(out, text + zeros, sizeof(text) - zeros);
}

/* A byte that is not plain: a letter behind a backslash, or (0) its number in octal. */
static const char letters[256] = {
	['\t'] = 't', ['\n'] = 'n', ['\v'] = 'v', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\',
};

static void put_escaped(struct buf *out, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0, plain; i < size; i++) {
		plain = plain_length(bytes + i, size - i);
		if (plain)
			buf_add(out, bytes + i, plain);
		i += plain;
		if (i == size)
			return;
		if (letters[bytes[i]])
			buf_add(out, (char[]){ '\\', letters[bytes[i]] }, 2);
		else
			octal_escape(out, bytes, size, i);
	}
}

static void quote(struct buf *out, const uint8_t *bytes, size_t size, bool hex)
{
	buf_putc(out, '"');
	if (!hex)
		put_escaped(out, bytes, size);
	for (size_t i = 0; hex && i < size; i++) {
		const char digits[4] = { '\\', 'x', "0123456789abcdef"[bytes[i] >> 4], "0123456789abcdef"[bytes[i] & 15] };

		buf_add(out, digits, sizeof(digits));
	}
	buf_putc(out, '"');
}

static size_t length_before_angle(const uint8_t *name, size_t size)
{
	size_t length = 0;

	while (length < size && name[length] != '<' && name[length] != '>')
		length++;
	return length;
}

void text_file_name(struct buf *out, const char *name, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)name;

	for (size_t i = 0; i < size; i++) {
		size_t part = length_before_angle(bytes + i, size - i);

		put_escaped(out, bytes + i, part);
		i += part;
		if (i < size)
			octal_escape(out, bytes, size, i);
	}
}

static void text_bytes(struct buf *out, const struct value *value, const struct format_options *options)
{
	bool hex = value->hex || options->hex_strings > 1 ||
		(options->hex_strings == 1 && wants_hex(value->bytes, value->size));

	if (value->abstract)
		buf_putc(out, '@');
	quote(out, value->bytes, value->size, hex);
	if (value->cut)
		buf_puts(out, "...");
}

void text_flags(struct buf *out, uint64_t value, const struct constant_set *set)
{
	uint64_t rest = value;
	bool any = false;

	for (uint32_t i = 0; set && i < set->count; i++) {
		const struct constant *item = &set->items[i];

		if (value ? (item->value && (rest & item->value) == item->value) : item->value == 0) {
			if (any)
				buf_putc(out, '|');
			buf_puts(out, item->name);
			any = true;
			rest &= ~item->value;
			if (!rest)
				return;
		}
	}
	if (any)
		buf_putc(out, '|');
	if (any)
		buf_alt_hex(out, rest);
	else if (!value || !set || !set->unknown)
		buf_alt_hex(out, value);
	else
		buf_printf(out, "%#llx /* %s */", (unsigned long long)value, set->unknown);
}

static void text_enum(struct buf *out, const struct value *value)
{
	const char *name = constant_name(value->set, value->number);

	if (name)
		buf_puts(out, name);
	else
		buf_alt_hex(out, value->number);
	if (!name && value->set && value->set->unknown)
		buf_printf(out, " /* %s */", value->set->unknown);
}

static void text_members(struct buf *out, const struct value *value, const struct format_options *options)
{
	bool first = true;

	buf_putc(out, value->type == VALUE_STRUCT ? '{' : '[');
	for (const struct value *at = value->child; at; at = at->next) {
		if (at->hidden)
			continue;
		if (!first)
			buf_puts(out, ", ");
		first = false;
		if (at->name && !at->bare) {
			buf_puts(out, at->name);
			buf_putc(out, '=');
		}
		render_text(out, at, options);
	}
	if (value->elided)
		buf_puts(out, first ? "..." : ", ...");
	buf_putc(out, value->type == VALUE_STRUCT ? '}' : ']');
}

static void text_fd(struct buf *out, const struct value *value)
{
	if ((int32_t)value->number == -100)
		buf_puts(out, "AT_FDCWD");
	else
		buf_dec(out, (int32_t)value->number);
	if (value->path) {
		buf_putc(out, '<');
		text_file_name(out, value->path, strlen(value->path));
		buf_putc(out, '>');
	}
}

void render_text(struct buf *out, const struct value *value, const struct format_options *options)
{
	unsigned long long number = value->number;

	if (value->text) {
		buf_puts(out, value->text);
		goto comment;
	}
	switch (value->type) {
	case VALUE_NULL: buf_puts(out, "NULL"); break;
	case VALUE_INT:
	case VALUE_DECIMAL: buf_dec(out, (int64_t)number); break;
	case VALUE_UINT:
	case VALUE_UDECIMAL: buf_udec(out, number); break;
	case VALUE_HEX: buf_alt_hex(out, number); break;
	case VALUE_OCTAL: buf_printf(out, "%#03llo", number); break;
	case VALUE_ADDR:
	case VALUE_FAULT:
		if (number)
			buf_hex(out, number);
		else
			buf_puts(out, "NULL");
		break;
	case VALUE_BYTES: text_bytes(out, value, options); break;
	case VALUE_FLAGS: text_flags(out, number, value->set); break;
	case VALUE_ENUM: text_enum(out, value); break;
	case VALUE_FD: text_fd(out, value); break;
	case VALUE_STRUCT:
	case VALUE_ARRAY: text_members(out, value, options); break;
	case VALUE_CHANGE:
		render_text(out, value->child, options);
		buf_puts(out, " => ");
		render_text(out, value->last, options);
		break;
	}
comment:
	if (value->comment)
		buf_puts(out, value->comment);
}
