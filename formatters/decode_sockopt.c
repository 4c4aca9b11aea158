/* The value of a socket option that gen/commands does not describe. */
#include "decode.h"

struct value *decode_sockopt(struct decode *d, int arg)
{
	bool out = d->row->args[arg].direction == DIR_OUT;
	const struct piece *piece = piece_find(d->rec, arg, PIECE_MEM, 0, -1);
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);

	if (!out && d->rec->args[arg] && !d->rec->args[4]) /* nothing is read */
		return decode_bytes(d, (const uint8_t *)"", 0, 0, 1);
	if (!piece || piece->status || piece->size < 4 || (out && (d->failed || !d->exiting)))
		return decode_address(d, arg);
	if (piece->full != 4)
		return decode_bytes(d, piece_data(piece), piece->size, piece->full, d->options->string_limit);
	value_add(list, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(piece_data(piece))));
	return list;
}
