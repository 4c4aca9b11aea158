/* Socket options: their names by level, their values by name. */
#include "decode.h"
#include "sets.h"

#define LEVEL_SOCKET 1
#define SO_LINGER 13
#define SO_PEERCRED 17
#define SO_FILTER 26 /* SO_ATTACH_FILTER, and SO_GET_FILTER when it is asked for */

/* Levels whose options have a set; the others only say of what kind an unknown one is. */
static const struct { uint32_t level; const struct constant_set *set; const char *unknown; } levels[] = {
	{ 0, &set_ip_options, "IP_???" }, { 1, &set_so_options, "SO_???" }, { 6, &set_tcp_options, "TCP_???" },
	{ 17, &set_udp_options, "UDP_???" }, { 41, &set_ipv6_options, "IPV6_???" }, { 132, &set_sctp_options, "SCTP_???" },
	{ 255, NULL, "RAW_???" }, { 256, NULL, "IPX_???" }, { 257, NULL, "AX25_???" }, { 261, NULL, "DN_???" },
	{ 263, &set_packet_options, "PACKET_???" }, { 266, NULL, "IRLMP_???" }, 
	{ 269, NULL, "DCCP_SOCKOPT_???" }, { 270, &set_netlink_options, "NETLINK_???" }, { 271, NULL, "TIPC_???" },
	{ 272, NULL, "RXRPC_???" }, { 273, NULL, "PPPOL2TP_SO_???" }, { 274, NULL, "BT_???" }, { 275, NULL, "PNPIPE_???" },
	{ 276, NULL, "RDS_???" }, { 277, NULL, "SO_???" }, { 278, NULL, "CAIFSO_???" }, { 279, NULL, "ALG_???" }, 
	{ 281, NULL, "KCM_???" }, { 282, NULL, "TLS_???" }, { 283, NULL, "XDP_???" },
};

static struct value *option_name(struct decode *d, uint32_t level, uint32_t number)
{
	static const struct constant_set none;
	struct constant_set *unknown;

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		if (levels[i].level != level)
			continue;
		if (level == LEVEL_SOCKET && number == SO_FILTER && d->row->args[3].direction == DIR_OUT) {
			struct value *value = value_set(d->arena, VALUE_ENUM, number, levels[i].set);

			value->text = "SO_GET_FILTER";
			return value;
		}
		unknown = arena_alloc(d->arena, sizeof(*unknown));
		*unknown = levels[i].set ? *levels[i].set : none;
		unknown->unknown = levels[i].unknown;
		return value_set(d->arena, VALUE_ENUM, number, unknown);
	}
	return value_new(d->arena, VALUE_HEX, number);
}

static struct value *ints(struct decode *d, const uint8_t *at, size_t count, const char *const names[])
{
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0);

	for (size_t i = 0; i < count; i++)
		value_add(value, names[i], value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at + i * 4)));
	return value;
}

/* Options of SOL_SOCKET that are an int however long they are said to be: a bit each. */
static bool is_int(uint32_t level, uint32_t name)
{
	static const uint64_t bits[2] = { 0x91227f3f680ddfe6ull, 0x273ull };

	if (level == 270) /* SOL_NETLINK */
		return constant_name(&set_netlink_options, name);
	return level == LEVEL_SOCKET && name < 128 && bits[name / 64] >> name % 64 & 1;
}

static struct value *option_value(struct decode *d, int arg)
{
	static const char *const linger[] = { "l_onoff", "l_linger" }, *const cred[] = { "pid", "uid", "gid" };
	bool out = d->row->args[arg].direction == DIR_OUT;
	uint32_t level = (uint32_t)d->rec->args[1], name = (uint32_t)d->rec->args[2];
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	if (!piece || piece->status || piece->size < 4 || (out && (d->failed || !d->exiting)))
		return decode_address(d, arg);
	if (level == LEVEL_SOCKET && (name == SO_LINGER || name == SO_PEERCRED)) {
		size_t count = name == SO_LINGER ? 2 : 3;

		return piece->size >= count * 4 ? ints(d, piece_data(piece), count, name == SO_LINGER ? linger : cred) :
			decode_address(d, arg);
	}
	if (level == LEVEL_SOCKET && name == SO_FILTER)
		return decode_address(d, arg);
	if (piece->full != 4 && (out || !is_int(level, name)))
		return decode_bytes(d, piece_data(piece), piece->size, piece->full, d->options->string_limit);
	value_add(list, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(piece_data(piece))));
	return list;
}

struct value *decode_sockopt(struct decode *d, int arg)
{
	return arg == 2 ? option_name(d, (uint32_t)d->rec->args[1], (uint32_t)d->rec->args[arg]) : option_value(d, arg);
}
