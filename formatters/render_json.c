/* Prints a value tree as JSON: numbers and strings by declared type, see the schema next to this file. */
#include <string.h>
#include "value.h"

/* Bytes of the UTF-8 sequence at `at`, 0 when it is not one. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
	uint32_t code;
	size_t size = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 :
		at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;

	if (size < 2 || size > left)
		return size > left ? 0 : size;
	code = at[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3fu);
	}
	if ((size == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
	    (size == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0;
	return size;
}

static void json_control(struct buf *out, uint8_t byte)
{
	const char digits[6] = { '\\', 'u', '0', '0', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15] };

	if (byte == '\n' || byte == '\t')
		buf_puts(out, byte == '\n' ? "\\n" : "\\t");
	else
		buf_add(out, digits, sizeof(digits));
}

/* One character that is not plain; how many bytes it has. */
static size_t put_character(struct buf *out, const uint8_t *bytes, size_t size)
{
	size_t step = bytes[0] < 0x80 ? 1 : utf8_length(bytes, size);

	if (!step)
		buf_puts(out, "\xef\xbf\xbd");
	else if (step > 1)
		buf_add(out, bytes, step);
	else if (bytes[0] == '"' || bytes[0] == '\\')
		buf_add(out, (char[]){ '\\', (char)bytes[0] }, 2);
	else
		json_control(out, bytes[0]);
	return step ? step : 1;
}

static void json_quote(struct buf *out, const uint8_t *bytes, size_t size)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < size;) {
		size_t plain = plain_length(bytes + i, size - i);

		if (plain)
			buf_add(out, bytes + i, plain);
		i += plain;
		if (i < size)
			i += put_character(out, bytes + i, size - i);
	}
	buf_putc(out, '"');
}

static bool is_utf8(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0, step; i < size; i += step)
		if (!(step = bytes[i] < 0x80 ? 1 : utf8_length(bytes + i, size - i)))
			return false;
	return true;
}

static void base64(struct buf *out, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < size; i += 3) {
		uint32_t left = (uint32_t)(size - i);
		uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
			(left > 2 ? bytes[i + 2] : 0);

		buf_putc(out, digits[group >> 18]);
		buf_putc(out, digits[group >> 12 & 63]);
		buf_putc(out, left > 1 ? digits[group >> 6 & 63] : '=');
		buf_putc(out, left > 2 ? digits[group & 63] : '=');
	}
}

void json_string(struct buf *out, const char *text)
{
	json_quote(out, (const uint8_t *)text, strlen(text));
}

/* What a double cannot hold no reader is sure to keep, and jansson refuses what is more than INT64_MAX: a string then. */
static void json_number(struct buf *out, bool negative, uint64_t number)
{
	bool quoted = (negative ? 0 - number : number) > 1ull << 53;

	if (quoted)
		buf_putc(out, '"');
	if (negative)
		buf_dec(out, (int64_t)number);
	else
		buf_udec(out, number);
	if (quoted)
		buf_putc(out, '"');
}

void json_bytes(struct buf *out, const uint8_t *bytes, size_t size, bool cut, uint64_t full)
{
	bool text = plain_length(bytes, size) == size || is_utf8(bytes, size);

	if (text && !cut) {
		json_quote(out, bytes, size);
		return;
	}
	buf_putc(out, '{');
	if (!text) {
		buf_puts(out, "\"b64\":\"");
		base64(out, bytes, size);
		buf_puts(out, "\",");
	}
	buf_puts(out, "\"text\":");
	json_quote(out, bytes, size);
	if (cut)
		buf_puts(out, ",\"truncated\":true");
	if (cut && full) {
		buf_puts(out, ",\"len\":");
		json_number(out, false, full);
	}
	buf_putc(out, '}');
}

static void json_hex(struct buf *out, uint64_t number)
{
	buf_putc(out, '"');
	buf_hex(out, number);
	buf_putc(out, '"');
}

/* As "0%03llo". */
static void json_octal(struct buf *out, uint64_t number)
{
	char digits[22], *at = digits + sizeof(digits);

	for (int i = 0; i < 3 || number; i++, number >>= 3)
		*--at = (char)('0' + (number & 7));
	buf_puts(out, "\"0");
	buf_add(out, at, (size_t)(digits + sizeof(digits) - at));
	buf_putc(out, '"');
}

static void json_flags(struct buf *out, const struct value *value)
{
	unsigned long long rest = value->number;
	bool any = false;

	buf_puts(out, "{\"value\":\"");
	buf_hex(out, rest);
	buf_puts(out, "\",\"names\":[");
	if (value->first_name) {
		json_string(out, value->first_name);
		any = true;
		rest &= ~value->first_mask;
	}
	for (uint32_t i = 0; value->set && i < value->set->count; i++) {
		const struct constant *item = &value->set->items[i];

		if (item->value ? (rest & item->value) != item->value : value->number != 0)
			continue;
		buf_puts(out, any ? ",\"" : "\"");
		buf_puts(out, item->name);
		buf_putc(out, '"');
		any = true;
		rest &= ~item->value;
	}
	buf_puts(out, "],\"rest\":\"");
	buf_hex(out, rest);
	buf_puts(out, "\"}");
}

static void json_enum(struct buf *out, const struct value *value)
{
	const char *name = constant_name(value->set, value->number);

	buf_puts(out, "{\"value\":");
	if (value->number <= (1ull << 53) || value->number >= (uint64_t)-(1ll << 31))
		buf_dec(out, (int64_t)value->number);
	else
		json_hex(out, value->number);
	buf_puts(out, ",\"name\":");
	if (name)
		json_string(out, name);
	else
		buf_puts(out, "null");
	buf_putc(out, '}');
}

static void json_members(struct buf *out, const struct value *value)
{
	bool object = value->type == VALUE_STRUCT;

	buf_putc(out, object ? '{' : '[');
	for (const struct value *at = value->child; at; at = at->next) {
		if (at != value->child)
			buf_putc(out, ',');
		if (object) {
			buf_putc(out, '"'); /* an identifier of ours */
			buf_puts(out, at->name ? at->name : "");
			buf_puts(out, "\":");
		}
		render_json(out, at);
	}
	if (object && value->elided)
		buf_printf(out, "%s\"elided\":%u", value->child ? "," : "", value->elided);
	buf_putc(out, object ? '}' : ']');
}

static void json_fd(struct buf *out, const struct value *value)
{
	buf_puts(out, "{\"value\":");
	buf_dec(out, (int32_t)value->number);
	if (value->path) {
		buf_puts(out, ",\"path\":");
		json_bytes(out, (const uint8_t *)value->path, strlen(value->path), false, 0);
	}
	buf_putc(out, '}');
}

void render_json(struct buf *out, const struct value *value)
{
	unsigned long long number = value->number;

	switch (value->type) {
	case VALUE_NULL: buf_puts(out, "null"); break;
	case VALUE_INT: json_number(out, (int64_t)number < 0, number); break;
	case VALUE_UINT: json_number(out, false, number); break;
	case VALUE_DECIMAL:
		buf_putc(out, '"');
		buf_dec(out, (int64_t)number);
		buf_putc(out, '"');
		break;
	case VALUE_UDECIMAL:
		buf_putc(out, '"');
		buf_udec(out, number);
		buf_putc(out, '"');
		break;
	case VALUE_HEX: json_hex(out, number); break;
	case VALUE_OCTAL: json_octal(out, number); break;
	case VALUE_ADDR:
	case VALUE_FAULT:
		if (value->type == VALUE_ADDR && !number) {
			buf_puts(out, "null");
			break;
		}
		buf_puts(out, "{\"addr\":");
		json_hex(out, number);
		buf_puts(out, value->type == VALUE_FAULT ? ",\"error\":\"EFAULT\"}" : "}");
		break;
	case VALUE_BYTES: json_bytes(out, value->bytes, value->size, value->cut, value->full); break;
	case VALUE_FLAGS: json_flags(out, value); break;
	case VALUE_ENUM: json_enum(out, value); break;
	case VALUE_FD: json_fd(out, value); break;
	case VALUE_STRUCT:
	case VALUE_ARRAY: json_members(out, value); break;
	case VALUE_CHANGE:
		buf_puts(out, "{\"in\":");
		render_json(out, value->child);
		buf_puts(out, ",\"out\":");
		render_json(out, value->last);
		buf_putc(out, '}');
		break;
	}
}
