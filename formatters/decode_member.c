/* Members of structs, by kind. */
#include <arpa/inet.h>
#include <string.h>
#include "decode.h"
#include "sets.h"

struct value *decode_file_mode(struct decode *d, uint64_t mode)
{
	static const char *const types[16] = { [1] = "S_IFIFO", [2] = "S_IFCHR", [4] = "S_IFDIR", [6] = "S_IFBLK",
		[8] = "S_IFREG", [10] = "S_IFLNK", [12] = "S_IFSOCK" };
	struct value *value = value_new(d->arena, VALUE_OCTAL, mode & 0xffff);

	const char *type = mode >> 12 & 15 ? types[mode >> 12 & 15] : "";

	if (!type) /* all of it in octal */
		return value;
	struct buf *text = arena_text(d->arena);

	buf_puts(text, type);
	buf_puts(text, *type ? "|" : "");
	buf_puts(text, mode & 04000 ? "S_ISUID|" : "");
	buf_puts(text, mode & 02000 ? "S_ISGID|" : "");
	buf_puts(text, mode & 01000 ? "S_ISVTX|" : "");
	buf_add(text, (char[]){ '0', (char)('0' + (mode >> 6 & 7)), (char)('0' + (mode >> 3 & 7)), (char)('0' + (mode & 7)) } +
		(mode & 0700 ? 0 : 1), mode & 0700 ? 4 : 3);
	value->text = arena_keep(d->arena, text);
	return value;
}

static struct value *limit_value(struct decode *d, uint64_t limit)
{
	struct value *value = value_new(d->arena, VALUE_UDECIMAL, limit);

	if (limit == UINT64_MAX)
		value->text = "RLIM64_INFINITY";
	else if (limit > 1024 && limit % 1024 == 0)
		value->text = arena_printf(d->arena, "%llu*1024", (unsigned long long)limit / 1024);
	return value;
}

static struct value *array_value(struct decode *d, const struct member *m, const uint8_t *at)
{
	struct value *value = value_new(d->arena, VALUE_ARRAY, 0);
	struct member one = *m;

	one.size = m->struct_id ? m->struct_id : 1;
	one.kind = m->kind == M_INTS ? M_INT : m->kind == M_UINTS ? M_UINT : M_HEX;
	for (size_t i = 0; i + one.size <= m->size; i += one.size)
		if (i / one.size >= d->options->string_limit) {
			value->elided = 1;
			break;
		} else
			value_add(value, NULL, decode_member(d, &one, at + i));
	return value;
}

/* f_fsid alone has its array in a struct. */
static struct value *hexes_value(struct decode *d, const struct member *m, const uint8_t *at)
{
	struct value *value = array_value(d, m, at);

	if (!strcmp(m->name, "f_fsid"))
		value->text = arena_printf(d->arena, "{val=[%#x, %#x]}", get_u32(at), get_u32(at + 4));
	return value;
}

static struct value *address_text(struct decode *d, const struct member *m, const uint8_t *at)
{
	char name[INET6_ADDRSTRLEN];
	bool six = m->kind == M_INET6;
	struct value *value;

	inet_ntop(six ? AF_INET6 : AF_INET, at, name, sizeof(name));
	value = decode_bytes(d, (uint8_t *)arena_printf(d->arena, "%s", name), strlen(name), 0, 64);
	value->text = six ? arena_printf(d->arena, "inet_pton(AF_INET6, \"%s\", &%s)", name, m->name) :
		arena_printf(d->arena, "inet_addr(\"%s\")", name);
	value->bare = six;
	return value;
}

/* "00:11:22:33:44:55" */
#define ETHERNET_BYTES 6

static struct value *mac_value(struct decode *d, const uint8_t *at, size_t size)
{
	struct value *value = decode_bytes(d, at, size, size, size);
	struct buf *text = arena_text(d->arena);

	for (size_t i = 0; i < size; i++)
		buf_printf(text, i ? ":%02x" : "%02x", at[i]);
	value->text = arena_keep(d->arena, text);
	return value;
}

/* "1<<CAP_CHOWN|1<<CAP_KILL": the set names bits by their numbers. */
struct value *decode_bits(struct decode *d, uint64_t number, const struct constant_set *set)
{
	struct value *value = value_new(d->arena, VALUE_HEX, number);
	struct buf *text = arena_text(d->arena);
	uint64_t rest = number;

	for (uint32_t i = 0; i < set->count; i++) {
		uint64_t bit = set->items[i].value < 64 ? 1ull << set->items[i].value : 0;

		if (!(rest & bit))
			continue;
		buf_printf(text, "%s1<<%s", text->len ? "|" : "", set->items[i].name);
		rest &= ~bit;
	}
	if (text->len && rest)
		buf_printf(text, "|%#llx", (unsigned long long)rest);
	if (text->len)
		value->text = arena_keep(d->arena, text);
	return value;
}

static struct value *structs_value(struct decode *d, const struct member *m, const uint8_t *at)
{
	struct value *value = value_new(d->arena, VALUE_ARRAY, 0);
	size_t size = struct_size(m->struct_id);

	for (size_t i = 0; size && i + size <= m->size; i += size)
		value_add(value, NULL, decode_struct(d, m->struct_id, at + i, size));
	return value;
}

static struct value *port_value(struct decode *d, uint32_t number)
{
	struct value *value = value_new(d->arena, VALUE_UINT, ntohs((uint16_t)number));

	value->text = arena_printf(d->arena, "htons(%u)", ntohs((uint16_t)number));
	return value;
}

static struct value *empty_struct(struct decode *d)
{
	return value_new(d->arena, VALUE_STRUCT, 0);
}

struct value *decode_member(struct decode *d, const struct member *m, const uint8_t *at)
{
	uint64_t number = m->size == 1 ? at[0] : m->size == 2 ? get_u16(at) : m->size == 4 ? get_u32(at) : m->size == 8 ? get_u64(at) : 0;
	struct value *value;

	switch ((enum member_kind)m->kind) {
	case M_INT: return value_new(d->arena, VALUE_INT, m->size == 1 ? (uint64_t)(int8_t)number : m->size == 2 ? (uint64_t)(int16_t)number :
			m->size == 4 ? (uint64_t)(int32_t)number : number);
	case M_UINT: return value_new(d->arena, m->size == 8 ? VALUE_UDECIMAL : VALUE_UINT, number);
	case M_HEX: return value_new(d->arena, VALUE_HEX, number);
	case M_ADDR: return value_new(d->arena, number ? VALUE_ADDR : VALUE_NULL, number);
	case M_MODE:
		if (number > 0xffff)
			return value_new(d->arena, VALUE_OCTAL, number);
		return decode_file_mode(d, number);
	case M_DEV:
		value = value_new(d->arena, VALUE_HEX, number);
		value->text = arena_printf(d->arena, "makedev(%#llx, %#llx)", (unsigned long long)(number >> 8 & 0xfff),
			(unsigned long long)((number & 0xff) | (number >> 12 & 0xfff00)));
		return value;
	case M_FLAGS: return m->set == &set_open_flags ? decode_open_flags(d, number) : value_set(d->arena, VALUE_FLAGS, number, m->set);
	case M_ENUM: return decode_one_of(d, number, m->set);
	case M_TEXT: return decode_bytes(d, at, strnlen((const char *)at, m->size), 0, m->size);
	case M_BYTES: return decode_bytes(d, at, m->size, m->size, d->options->string_limit);
	case M_LIMIT: return limit_value(d, number);
	case M_SIGSET: return decode_sigset(d, at, 8);
	case M_STRUCT: return decode_struct(d, m->struct_id, at, m->size) ?: empty_struct(d);
	case M_STRUCTS: return structs_value(d, m, at);
	case M_TICKS: return decode_ticks(d, number);
	case M_DECIMAL: return value_new(d->arena, VALUE_DECIMAL, number);
	case M_SIGNAL: return signal_name((int)number) ? decode_signal_number(d, (int)number) : value_new(d->arena, VALUE_UINT, number);
	case M_FD: return value_new(d->arena, VALUE_FD, number);
	case M_UID: return value_new(d->arena, (uint32_t)number == UINT32_MAX ? VALUE_INT : VALUE_UINT,
			(uint32_t)number == UINT32_MAX ? UINT64_MAX : number);
	case M_INTS: case M_UINTS: return array_value(d, m, at);
	case M_HEXES: return hexes_value(d, m, at);
	case M_INET: case M_INET6: return address_text(d, m, at);
	case M_SOCKADDR: return decode_sockaddr(d, at, m->size, m->size) ?: empty_struct(d);
	case M_HWADDR: return mac_value(d, at, get_u16(at - 2) ? ETHERNET_BYTES : m->size); /* 0: AX.25, 7 bytes */
	case M_MAC: return mac_value(d, at, m->size);
	case M_IOPRIO: return decode_ioprio(d, (uint32_t)number);
	case M_BITS: return decode_bits(d, number, m->set);
	case M_DATE: return decode_date(d, number);
	case M_NOTHING: return value_new(d->arena, VALUE_ARRAY, 0);
	case M_BE16: return port_value(d, (uint32_t)number);
	}
	return value_new(d->arena, VALUE_HEX, number);
}
