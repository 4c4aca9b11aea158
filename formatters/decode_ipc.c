/* System V IPC. */
#include <stdlib.h>
#include "decode.h"
#include "sets.h"

struct value *decode_ipc_key(struct decode *d, uint32_t key)
{
	struct value *value = value_new(d->arena, VALUE_HEX, key);

	if (!key)
		value->text = "IPC_PRIVATE";
	return value;
}

#define MODE_BITS 0777u
#define HUGE_SHIFT 26
/* "IPC_CREAT|30<<SHM_HUGE_SHIFT|0600": the mode is always there. */
struct value *decode_ipc_flags(struct decode *d, const struct constant_set *set, uint32_t number)
{
	struct value *value = value_set(d->arena, VALUE_FLAGS, number, set);
	uint32_t huge = set == &set_shm_get_flags ? number >> HUGE_SHIFT : 0, flags = number & ~MODE_BITS & ~(huge << HUGE_SHIFT);
	struct constant_set bare = *set;
	struct buf text = { 0 };

	bare.unknown = NULL;
	if (flags) {
		text_flags(&text, flags, &bare);
		buf_putc(&text, '|');
	}
	if (huge)
		buf_printf(&text, "%u<<SHM_HUGE_SHIFT|", huge);
	buf_printf(&text, "%#03o", number & MODE_BITS);
	value->text = arena_printf(d->arena, "%s", text.data);
	free(text.data);
	return value;
}
