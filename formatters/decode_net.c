/* Socket addresses, iovecs and message headers. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "decode.h"
#include "sets.h"
#include "structs.h"

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

/* An interface by its name, where there is one of that number here. */
static const char *interface_name(struct decode *d, uint32_t index)
{
	char name[IF_NAMESIZE];
	struct buf text = { 0 };
	char *known;

	if (!index || !if_indextoname(index, name))
		return NULL;
	render_text(&text, decode_bytes(d, (const uint8_t *)arena_printf(d->arena, "%s", name), strlen(name), 0, sizeof(name)), d->options);
	known = arena_printf(d->arena, "if_nametoindex(%s)", text.data);
	free(text.data);
	return known;
}

static void add_packet(struct decode *d, struct value *value, const uint8_t *at)
{
	uint32_t protocol = ntohs((uint16_t)get_u16(at + 2)), size = at[11] < 8 ? at[11] : 8;
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0), *item;
	const char *name = constant_name(&set_ether_types, protocol);

	add_text(d, value, "sll_protocol", protocol, name ? arena_printf(d->arena, "htons(%s)", name) :
		arena_printf(d->arena, "htons(%#x /* ETH_P_??? */)", protocol));
	add_text(d, value, "sll_ifindex", get_u32(at + 4), interface_name(d, get_u32(at + 4)));
	value_add(value, "sll_hatype", value_set(d->arena, VALUE_ENUM, get_u16(at + 8), &set_arp_types));
	value_add(value, "sll_pkttype", value_set(d->arena, VALUE_ENUM, at[10], &set_packet_types));
	value_add(value, "sll_halen", value_new(d->arena, VALUE_UINT, at[11]));
	for (uint32_t i = 0; i < size; i++) {
		item = value_add(list, NULL, value_new(d->arena, VALUE_HEX, at[12 + i]));
		item->text = arena_printf(d->arena, "0x%02x", at[12 + i]);
	}
	if (size)
		value_add(value, "sll_addr", list);
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
		add_text(d, value, "nl_groups", get_u32(bytes + 8), arena_printf(d->arena, "%#08x", get_u32(bytes + 8)));
	} else if (family == AF_PACKET && size >= sizeof(struct sockaddr_ll)) {
		add_packet(d, value, bytes);
	} else if (size > 2) {
		value_add(value, "sa_data", decode_bytes(d, bytes + 2, size - 2, 0, 128));
	}
	return value;
}

struct value *decode_iovec(struct decode *d, int arg, uint32_t first, const uint8_t *iov, uint64_t count, int64_t bytes)
{
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	for (uint32_t i = 0; i < count; i++) {
		if (i >= d->options->string_limit) {
			list->elided = 1;
			break;
		}
		struct value *item = value_new(d->arena, VALUE_STRUCT, 0);
		uint64_t base = get_u64(iov + i * 16u), length = get_u64(iov + i * 16u + 8), there = length;
		const struct piece *piece = piece_find(d->rec, arg, PIECE_ELEMENT, first + i, -1);

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

#define SCM_TIMESTAMP_OLD 29
#define SCM_TIMESTAMPNS_OLD 35

/* The data of a control message; NULL: not known, it prints as bytes. */
static struct value *control_data(struct decode *d, uint32_t level, uint32_t type, const uint8_t *at, uint64_t size)
{
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	if (level != SOL_SOCKET)
		return NULL;
	switch (type) {
	case SCM_RIGHTS:
		for (uint64_t i = 0; i + 4 <= size; i += 4)
			value_add(list, NULL, value_new(d->arena, VALUE_FD, get_u32(at + i)));
		return list;
	case SCM_CREDENTIALS: return decode_struct(d, STRUCT_UCRED, at, size);
	case SCM_TIMESTAMP_OLD: return decode_struct(d, STRUCT_TIMEVAL, at, size);
	case SCM_TIMESTAMPNS_OLD: return decode_struct(d, STRUCT_TIMESPEC, at, size);
	}
	return NULL;
}

/* The control messages of a header; the address when there is something in them that is no message. */
static struct value *decode_control(struct decode *d, int arg, uint32_t message, uint64_t address, uint64_t length)
{
	const struct piece *piece = piece_find(d->rec, arg, PIECE_CONTROL, message, -1);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	const uint8_t *bytes;
	uint64_t size;

	if (!piece || piece->status || piece->size < length)
		return value_new(d->arena, VALUE_ADDR, address);
	bytes = piece_data(piece);
	for (uint64_t at = 0; at + 16 <= length; at += (size + 7) & ~7ull) {
		struct value *item = value_new(d->arena, VALUE_STRUCT, 0), *data;
		uint32_t level = get_u32(bytes + at + 8), type = get_u32(bytes + at + 12);

		size = get_u64(bytes + at);
		if (size < 16 || size > length - at)
			return value_new(d->arena, VALUE_ADDR, address);
		value_add(item, "cmsg_len", value_new(d->arena, VALUE_UINT, size));
		value_add(item, "cmsg_level", value_set(d->arena, VALUE_ENUM, level, &set_sockopt_levels));
		value_add(item, "cmsg_type", level == SOL_SOCKET ? value_set(d->arena, VALUE_ENUM, type, &set_scm_types) :
			value_new(d->arena, VALUE_HEX, type));
		data = control_data(d, level, type, bytes + at + 16, size - 16);
		if (size > 16)
			value_add(item, "cmsg_data", data ? data : decode_bytes(d, bytes + at + 16, size - 16, size - 16, size - 16));
		if (!data && size > 16)
			item->last->hex = true;
		value_add(list, NULL, item);
	}
	return list;
}

/* What a received name's room was before, where that is another number. */
static struct value *decode_namelen(struct decode *d, uint32_t now, const uint8_t *before)
{
	struct value *value = value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)now);

	if (before && get_u32(before + 8) != now)
		value->text = arena_printf(d->arena, "%d => %d", (int32_t)get_u32(before + 8), (int32_t)now);
	return value;
}

/* One header: 56 bytes at `at`, 16 at `before` as they were before a call that receives, or NULL. `bytes`: as decode_iovec. */
static struct value *decode_message(struct decode *d, int arg, uint32_t message, const uint8_t *at, const uint8_t *before,
				    int64_t bytes)
{
	const struct piece *name = piece_find(d->rec, arg, PIECE_NAME, message, -1);
	const struct piece *iov = piece_find(d->rec, arg, PIECE_IOV, message, -1);
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *item;

	item = name && !name->status ? decode_sockaddr(d, piece_data(name), name->size, get_u32(at + 8)) : NULL;
	value_add(value, "msg_name", item ? item : value_new(d->arena, get_u64(at) ? VALUE_ADDR : VALUE_NULL, get_u64(at)));
	value_add(value, "msg_namelen", decode_namelen(d, get_u32(at + 8), before));
	item = iov && !iov->status ?
		decode_iovec(d, arg, PIECE_MESSAGE(message), piece_data(iov), iov->size / 16, bytes) :
		value_new(d->arena, VALUE_ADDR, get_u64(at + 16));
	value_add(value, "msg_iov", item);
	value_add(value, "msg_iovlen", value_new(d->arena, VALUE_UINT, get_u64(at + 24)));
	if (get_u64(at + 32) && get_u64(at + 40))
		value_add(value, "msg_control", decode_control(d, arg, message, get_u64(at + 32), get_u64(at + 40)));
	value_add(value, "msg_controllen", value_new(d->arena, VALUE_UINT, get_u64(at + 40)));
	value_add(value, "msg_flags", value_set(d->arena, VALUE_FLAGS, get_u32(at + 48), &set_msg_flags));
	return value;
}

struct value *decode_msghdr(struct decode *d, int arg)
{
	bool receive = d->row->args[arg].direction != DIR_IN;
	const uint8_t *at = decode_mem(d, arg, 56, receive && d->exiting ? PHASE_EXIT : -1);
	const uint8_t *before = receive ? decode_mem(d, arg, 16, PHASE_ENTRY) : NULL;
	struct value *value;

	if (receive && d->failed) /* all that is known is how much room the name had */
		at = before;
	if (!at || (receive && !d->exiting))
		return decode_address(d, arg);
	if (!receive || !d->failed)
		return decode_message(d, arg, 0, at, before, receive ? d->rec->ret : -1);
	value = value_new(d->arena, VALUE_STRUCT, 0);
	value_add(value, "msg_namelen", value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at + 8)));
	return value;
}

#define MMSGHDR_BYTES 64u
#define MMSGHDR_LEN 56u

struct value *decode_mmsghdr(struct decode *d, int arg)
{
	bool receive = d->row->args[arg].direction == DIR_OUT;
	const struct piece *all = piece_find(d->rec, arg, PIECE_MEM, 0, receive ? PHASE_EXIT : PHASE_ENTRY);
	const struct piece *other = piece_find(d->rec, arg, PIECE_MEM, 0, receive ? PHASE_ENTRY : PHASE_EXIT);
	const struct piece *lengths = receive ? all : other; /* where msg_len is the kernel's */
	uint64_t count = all ? all->size / MMSGHDR_BYTES : 0, done = d->exiting && !d->failed ? (uint64_t)d->rec->ret : 0;
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	if (receive && d->exiting && !d->failed && !done && d->rec->args[arg])
		return list;
	if (!all || all->status || (receive && !done))
		return decode_address(d, arg);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = (const uint8_t *)piece_data(all) + i * MMSGHDR_BYTES;
		bool known = i < done && lengths && (i + 1) * MMSGHDR_BYTES <= lengths->size;
		uint32_t bytes = known ? get_u32((const uint8_t *)piece_data(lengths) + i * MMSGHDR_BYTES + MMSGHDR_LEN) : 0;
		const uint8_t *before = receive && other && (i + 1) * MMSGHDR_BYTES <= other->size ?
			(const uint8_t *)piece_data(other) + i * MMSGHDR_BYTES : NULL;
		struct value *item = value_new(d->arena, VALUE_STRUCT, 0);

		value_add(item, "msg_hdr", decode_message(d, arg, i, at, before, receive ? (int64_t)bytes : -1));
		if (known)
			value_add(item, "msg_len", value_new(d->arena, VALUE_UINT, bytes));
		value_add(list, NULL, item);
	}
	return list;
}
