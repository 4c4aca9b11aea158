/* Socket addresses, iovecs and message headers. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include "decode.h"
#include "sets.h"

static struct value *add_text(struct decode *d, struct value *parent, const char *name, uint64_t number, const char *text)
{
	struct value *value = value_add(parent, name, value_new(d->arena, VALUE_UINT, number));

	value->text = text;
	return value;
}

static void add_inet(struct decode *d, struct value *value, const uint8_t *at)
{
	char name[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, at + 4, name, sizeof(name));
	add_text(d, value, "sin_port", ntohs(get_u16(at + 2)), arena_printf(d->arena, "htons(%u)", ntohs(get_u16(at + 2))));
	struct value *address = decode_bytes(d, (uint8_t *)arena_printf(d->arena, "%s", name), strlen(name), 0, 64);
	address->text = arena_printf(d->arena, "inet_addr(\"%s\")", name);
	value_add(value, "sin_addr", address);
}

static void add_inet6(struct decode *d, struct value *value, const uint8_t *at)
{
	char name[INET6_ADDRSTRLEN];
	struct value *address;

	inet_ntop(AF_INET6, at + 8, name, sizeof(name));
	add_text(d, value, "sin6_port", ntohs(get_u16(at + 2)), arena_printf(d->arena, "htons(%u)", ntohs(get_u16(at + 2))));
	add_text(d, value, "sin6_flowinfo", ntohl(get_u32(at + 4)), arena_printf(d->arena, "htonl(%u)", ntohl(get_u32(at + 4))));
	address = decode_bytes(d, (uint8_t *)arena_printf(d->arena, "%s", name), strlen(name), 0, 64);
	address->text = arena_printf(d->arena, "inet_pton(AF_INET6, \"%s\", &sin6_addr)", name);
	value_add(value, "sin6_addr", address)->bare = true;
	value_add(value, "sin6_scope_id", value_new(d->arena, VALUE_UINT, get_u32(at + 24)));
}

struct value *decode_sockaddr(struct decode *d, const uint8_t *bytes, size_t size, uint64_t len)
{
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *path;
	uint32_t family;

	if (len < size)
		size = len;
	if (size < 2)
		return NULL;
	family = get_u16(bytes);
	value_add(value, "sa_family", value_set(d->arena, VALUE_ENUM, family, &set_socket_domains));
	if (family == AF_INET && size >= 16) {
		add_inet(d, value, bytes);
	} else if (family == AF_INET6 && size >= 28) {
		add_inet6(d, value, bytes);
	} else if (family == AF_UNIX && size > 2) {
		bool abstract = !bytes[2];
		path = abstract ? decode_bytes(d, bytes + 3, size - 3, 0, 108) :
			decode_bytes(d, bytes + 2, strnlen((const char *)bytes + 2, size - 2), 0, 108);
		path->abstract = abstract;
		value_add(value, "sun_path", path);
	} else if (family == AF_NETLINK && size >= 12) {
		value_add(value, "nl_pid", value_new(d->arena, VALUE_INT, get_u32(bytes + 4)));
		add_text(d, value, "nl_groups", get_u32(bytes + 8), arena_printf(d->arena, "%08x", get_u32(bytes + 8)));
	} else if (size > 2) {
		value_add(value, "sa_data", decode_bytes(d, bytes + 2, size - 2, 0, 128));
	}
	return value;
}

struct value *decode_iovec(struct decode *d, int arg, const uint8_t *iov, uint64_t count, int64_t bytes)
{
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	for (uint32_t i = 0; i < count; i++) {
		struct value *item = value_new(d->arena, VALUE_STRUCT, 0);
		uint64_t base = get_u64(iov + i * 16u), length = get_u64(iov + i * 16u + 8), there = length;
		const struct piece *piece = piece_find(d->rec, arg, PIECE_ELEMENT, i, -1);

		if (bytes >= 0 && (uint64_t)bytes < there)
			there = (uint64_t)bytes;
		bytes -= bytes >= 0 ? (int64_t)there : 0;
		if (!there && base && !(d->failed || !d->exiting)) /* nothing went there */
			value_add(item, "iov_base", decode_bytes(d, (const uint8_t *)"", 0, 0, 1));
		else if (piece && !piece->status)
			value_add(item, "iov_base", decode_bytes(d, piece_data(piece), piece->size < there ? piece->size : there, there,
				d->options->string_limit));
		else
			value_add(item, "iov_base", value_new(d->arena, base ? VALUE_ADDR : VALUE_NULL, base));
		value_add(item, "iov_len", value_new(d->arena, VALUE_UINT, length));
		value_add(list, NULL, item);
	}
	return list;
}

/* The control messages of a header; the address when there is something in them that is not known. */
static struct value *decode_control(struct decode *d, int arg, uint64_t address, uint64_t length)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_CONTROL, 0, -1);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	const uint8_t *bytes;
	uint64_t size;

	if (!piece || piece->status || piece->size < length)
		return value_new(d->arena, VALUE_ADDR, address);
	bytes = piece_data(piece);
	for (uint64_t at = 0; at + 16 <= length; at += (size + 7) & ~7ull) {
		struct value *item = value_new(d->arena, VALUE_STRUCT, 0), *fds = value_new(d->arena, VALUE_ARRAY, 0);

		size = get_u64(bytes + at);
		if (size < 16 || size > length - at || get_u32(bytes + at + 8) != SOL_SOCKET || get_u32(bytes + at + 12) != SCM_RIGHTS)
			return value_new(d->arena, VALUE_ADDR, address);
		value_add(item, "cmsg_len", value_new(d->arena, VALUE_UINT, size));
		value_add(item, "cmsg_level", value_set(d->arena, VALUE_ENUM, SOL_SOCKET, &set_sockopt_levels));
		value_add(item, "cmsg_type", value_set(d->arena, VALUE_ENUM, SCM_RIGHTS, &set_scm_types));
		for (uint64_t i = 16; i + 4 <= size; i += 4)
			value_add(fds, NULL, value_new(d->arena, VALUE_FD, get_u32(bytes + at + i)));
		value_add(item, "cmsg_data", fds);
		value_add(list, NULL, item);
	}
	return list;
}

struct value *decode_msghdr(struct decode *d, int arg)
{
	bool receive = d->row->args[arg].direction != DIR_IN;
	const uint8_t *at = decode_mem(d, arg, 56, receive && d->exiting ? PHASE_EXIT : -1);
	const struct piece *name = piece_find(d->rec, arg, PIECE_NAME, 0, -1), *iov = piece_find(d->rec, arg, PIECE_IOV, 0, -1);
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *item;

	if (receive && d->failed) /* all that is known is how much room the name had */
		at = decode_mem(d, arg, 16, PHASE_ENTRY);
	if (!at || (receive && !d->exiting))
		return decode_address(d, arg);
	if (receive && d->failed) {
		value_add(value, "msg_namelen", value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at + 8)));
		return value;
	}
	item = name && !name->status ? decode_sockaddr(d, piece_data(name), name->size, get_u32(at + 8)) : NULL;
	value_add(value, "msg_name", item ? item : value_new(d->arena, get_u64(at) ? VALUE_ADDR : VALUE_NULL, get_u64(at)));
	value_add(value, "msg_namelen", value_new(d->arena, VALUE_INT, get_u32(at + 8)));
	item = iov && !iov->status ? decode_iovec(d, arg, piece_data(iov), iov->size / 16, receive ? d->rec->ret : -1) :
		value_new(d->arena, VALUE_ADDR, get_u64(at + 16));
	value_add(value, "msg_iov", item);
	value_add(value, "msg_iovlen", value_new(d->arena, VALUE_UINT, get_u64(at + 24)));
	if (get_u64(at + 32) && get_u64(at + 40))
		value_add(value, "msg_control", decode_control(d, arg, get_u64(at + 32), get_u64(at + 40)));
	value_add(value, "msg_controllen", value_new(d->arena, VALUE_UINT, get_u64(at + 40)));
	value_add(value, "msg_flags", value_set(d->arena, VALUE_FLAGS, get_u32(at + 48), &set_msg_flags));
	return value;
}
