/* Which calls a filter shows; the lists are parsed in filter_parse.c. */
#include <string.h>
#include "filter.h"
#include "memory.h"

#define X32_BIT 0x40000000

void filter_open(struct filter *filter)
{
	*filter = (struct filter){ .others = true, .signals = UINT64_MAX, .status = STATUS_ALL };
	memset(filter->by_abi, true, sizeof(filter->by_abi));
}

void filter_close(struct filter *filter)
{
	free(filter->paths);
	filter->paths = NULL;
}

void filter_path(struct filter *filter, const char *path)
{
	filter->paths = reallocate(filter->paths, (filter->path_count + 1) * sizeof(*filter->paths));
	filter->paths[filter->path_count++] = path;
}

static bool in_set(const struct filter *filter, const struct record *record)
{
	uint32_t nr = (uint32_t)(record->abi == ABI_X32 ? record->nr & ~X32_BIT : record->nr);

	if (nr >= FILTER_NUMBERS)
		return filter->others;
	return filter->by_abi[record->abi == ABI_I386][nr];
}

static bool piece_is_path(const struct piece *piece, const char *path)
{
	size_t length = strlen(path);

	return (piece->kind == PIECE_MEM || piece->kind == PIECE_FDPATH) && piece->size == length &&
	       !memcmp(piece_data(piece), path, length);
}

static bool has_path(const struct filter *filter, const struct record *record)
{
	if (!filter->path_count)
		return true;
	for (const struct piece *at = piece_first(record); at; at = piece_next(record, at))
		for (size_t i = 0; i < filter->path_count; i++)
			if (piece_is_path(at, filter->paths[i]))
				return true;
	return false;
}

bool filter_shows_call(const struct filter *filter, const struct record *record, enum raw_state raw)
{
	return in_set(filter, record) && (!filter->raw_only || raw == RAW_YES) && has_path(filter, record);
}

bool filter_shows_result(const struct filter *filter, const struct record *record, enum call_state state)
{
	bool failed = record->ret < 0 && record->ret >= -4095;

	switch (state) {
	case CALL_UNFINISHED:
		return filter->status & STATUS_UNFINISHED;
	case CALL_DETACHED:
		return filter->status & STATUS_DETACHED;
	case CALL_NOT_MADE:
		return false;
	case CALL_UNAVAILABLE:
		return filter->status & STATUS_UNAVAILABLE;
	case CALL_DONE:
	case CALL_INTERRUPTED:
		break;
	}
	return filter->status & (failed ? STATUS_FAILED : STATUS_SUCCESSFUL);
}

bool filter_shows_signal(const struct filter *filter, int sig)
{
	return sig < 0 || sig > 63 ? filter->signals == UINT64_MAX : filter->signals >> sig & 1;
}
