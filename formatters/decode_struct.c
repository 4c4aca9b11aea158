/* Structs by table: one row per member. Those with rules of their own stand here; gen/structs has the others. */
#include <string.h>
#include <time.h>
#include "decode.h"
#include "sets.h"

struct layout { uint16_t size; const struct member *members; };

#define MEMBERS(name) static const struct member name[]
#define END { 0, 0, 0, 0, 0, 0, 0 }
MEMBERS(timespec) = { { "tv_sec", 0, 8, M_INT, 0, 0, 0 }, { "tv_nsec", 8, 8, M_UINT, 0, 0, 0 }, END };
MEMBERS(sigframe) = { { "mask", 0, 8, M_SIGSET, 0, 0, 0 }, END };
MEMBERS(timeval) = { { "tv_sec", 0, 8, M_INT, 0, 0, 0 }, { "tv_usec", 8, 8, M_UINT, 0, 0, 0 }, END };
MEMBERS(timezone_) = { { "tz_minuteswest", 0, 4, M_INT, 0, 0, 0 }, { "tz_dsttime", 4, 4, M_INT, 0, 0, 0 }, END };
MEMBERS(itimerval) = { { "it_interval", 0, 16, M_STRUCT, 0, STRUCT_TIMEVAL, 0 }, { "it_value", 16, 16, M_STRUCT, 0, STRUCT_TIMEVAL, 0 }, END };
MEMBERS(itimerspec) = { { "it_interval", 0, 16, M_STRUCT, 0, STRUCT_TIMESPEC, 0 }, { "it_value", 16, 16, M_STRUCT, 0, STRUCT_TIMESPEC, 0 }, END };
MEMBERS(rlimit) = { { "rlim_cur", 0, 8, M_LIMIT, 0, 0, 0 }, { "rlim_max", 8, 8, M_LIMIT, 0, 0, 0 }, END };
MEMBERS(rusage) = {
	{ "ru_utime", 0, 16, M_STRUCT, 0, STRUCT_TIMEVAL, 0 }, { "ru_stime", 16, 16, M_STRUCT, 0, STRUCT_TIMEVAL, 0 },
	{ "ru_maxrss", 32, 8, M_UINT, 1, 0, 0 }, { "ru_ixrss", 40, 8, M_UINT, 1, 0, 0 }, { "ru_idrss", 48, 8, M_UINT, 1, 0, 0 },
	{ "ru_isrss", 56, 8, M_UINT, 1, 0, 0 }, { "ru_minflt", 64, 8, M_UINT, 1, 0, 0 }, { "ru_majflt", 72, 8, M_UINT, 1, 0, 0 },
	{ "ru_nswap", 80, 8, M_UINT, 1, 0, 0 }, { "ru_inblock", 88, 8, M_UINT, 1, 0, 0 }, { "ru_oublock", 96, 8, M_UINT, 1, 0, 0 },
	{ "ru_msgsnd", 104, 8, M_UINT, 1, 0, 0 }, { "ru_msgrcv", 112, 8, M_UINT, 1, 0, 0 }, { "ru_nsignals", 120, 8, M_UINT, 1, 0, 0 },
	{ "ru_nvcsw", 128, 8, M_UINT, 1, 0, 0 }, { "ru_nivcsw", 136, 8, M_UINT, 1, 0, 0 }, END };
MEMBERS(utsname) = {
	{ "sysname", 0, 65, M_TEXT, 0, 0, 0 }, { "nodename", 65, 65, M_TEXT, 0, 0, 0 }, { "release", 130, 65, M_TEXT, 1, 0, 0 },
	{ "version", 195, 65, M_TEXT, 1, 0, 0 }, { "machine", 260, 65, M_TEXT, 1, 0, 0 }, { "domainname", 325, 65, M_TEXT, 1, 0, 0 }, END };
MEMBERS(tms) = { { "tms_utime", 0, 8, M_TICKS, 0, 0, 0 }, { "tms_stime", 8, 8, M_TICKS, 0, 0, 0 },
	{ "tms_cutime", 16, 8, M_TICKS, 0, 0, 0 }, { "tms_cstime", 24, 8, M_TICKS, 0, 0, 0 }, END };
MEMBERS(pollfd) = { { "fd", 0, 4, M_INT, 0, 0, 0 }, { "events", 4, 2, M_FLAGS, 0, 0, &set_poll_events }, END };
MEMBERS(stack) = { { "ss_sp", 0, 8, M_ADDR, 0, 0, 0 }, { "ss_flags", 8, 4, M_FLAGS, 0, 0, &set_sigaltstack_flags }, { "ss_size", 16, 8, M_UINT, 0, 0, 0 }, END };
MEMBERS(flock_) = { { "l_type", 0, 2, M_ENUM, 0, 0, &set_lock_types }, { "l_whence", 2, 2, M_ENUM, 0, 0, &set_seek_whence },
	{ "l_start", 8, 8, M_DECIMAL, 0, 0, 0 }, { "l_len", 16, 8, M_DECIMAL, 0, 0, 0 }, END };
MEMBERS(how) = { { "flags", 0, 8, M_FLAGS, 0, 0, &set_open_flags }, { "mode", 8, 8, M_MODE, 0, 0, 0 },
	{ "resolve", 16, 8, M_FLAGS, 0, 0, &set_openat2_resolve }, END };
MEMBERS(clone3) = { { "flags", 0, 8, M_FLAGS, 0, 0, &set_clone3_flags }, { "child_tid", 16, 8, M_ADDR, 0, 0, 0 }, { "parent_tid", 24, 8, M_ADDR, 0, 0, 0 },
	{ "exit_signal", 32, 8, M_SIGNAL, 0, 0, 0 }, { "stack", 40, 8, M_ADDR, 0, 0, 0 }, { "stack_size", 48, 8, M_HEX, 0, 0, 0 },
	{ "tls", 56, 8, M_ADDR, 0, 0, 0 }, END };
MEMBERS(capheader) = { { "version", 0, 4, M_ENUM, 0, 0, &set_cap_versions }, { "pid", 4, 4, M_INT, 0, 0, 0 }, END };
MEMBERS(utimbuf) = { { "actime", 0, 8, M_DATE, 0, 0, 0 }, { "modtime", 8, 8, M_DATE, 0, 0, 0 }, END };
MEMBERS(statfs_) = { { "f_type", 0, 8, M_ENUM, 0, 0, &set_fs_magic }, { "f_bsize", 8, 8, M_UINT, 0, 0, 0 }, { "f_blocks", 16, 8, M_UINT, 0, 0, 0 },
	{ "f_bfree", 24, 8, M_UINT, 0, 0, 0 }, { "f_bavail", 32, 8, M_UINT, 0, 0, 0 }, { "f_files", 40, 8, M_UINT, 0, 0, 0 },
	{ "f_ffree", 48, 8, M_UINT, 0, 0, 0 }, { "f_fsid", 56, 8, M_HEXES, 0, 4, 0 }, { "f_namelen", 64, 8, M_UINT, 0, 0, 0 },
	{ "f_frsize", 72, 8, M_UINT, 0, 0, 0 }, { "f_flags", 80, 8, M_FLAGS, 0, 0, &set_statfs_flags }, END };
MEMBERS(sysinfo_) = { { "uptime", 0, 8, M_UINT, 0, 0, 0 }, { "loads", 8, 24, M_UINTS, 0, 8, 0 }, { "totalram", 32, 8, M_UINT, 0, 0, 0 },
	{ "freeram", 40, 8, M_UINT, 0, 0, 0 }, { "sharedram", 48, 8, M_UINT, 0, 0, 0 }, { "bufferram", 56, 8, M_UINT, 0, 0, 0 },
	{ "totalswap", 64, 8, M_UINT, 0, 0, 0 }, { "freeswap", 72, 8, M_UINT, 0, 0, 0 }, { "procs", 80, 2, M_UINT, 0, 0, 0 },
	{ "totalhigh", 88, 8, M_UINT, 0, 0, 0 }, { "freehigh", 96, 8, M_UINT, 0, 0, 0 }, { "mem_unit", 104, 4, M_UINT, 0, 0, 0 }, END };
MEMBERS(stat_) = {
	{ "st_dev", 0, 8, M_DEV, 1, 0, 0 }, { "st_ino", 8, 8, M_DECIMAL, 1, 0, 0 }, { "st_mode", 24, 4, M_MODE, 0, 0, 0 },
	{ "st_nlink", 16, 8, M_UINT, 1, 0, 0 }, { "st_uid", 28, 4, M_UINT, 1, 0, 0 }, { "st_gid", 32, 4, M_UINT, 1, 0, 0 },
	{ "st_blksize", 56, 8, M_UINT, 1, 0, 0 }, { "st_blocks", 64, 8, M_UINT, 1, 0, 0 }, { "st_rdev", 40, 8, M_DEV, 0, 1, 0 },
	{ "st_size", 48, 8, M_DECIMAL, 0, 2, 0 }, { "st_atime", 72, 8, M_INT, 1, 0, 0 }, { "st_atime_nsec", 80, 8, M_INT, 1, 0, 0 },
	{ "st_mtime", 88, 8, M_INT, 1, 0, 0 }, { "st_mtime_nsec", 96, 8, M_INT, 1, 0, 0 }, { "st_ctime", 104, 8, M_INT, 1, 0, 0 },
	{ "st_ctime_nsec", 112, 8, M_INT, 1, 0, 0 }, END };
MEMBERS(statx_) = { { "stx_mask", 0, 4, M_FLAGS, 0, 0, &set_statx_mask }, { "stx_blksize", 4, 4, M_UINT, 1, 0, 0 },
	{ "stx_attributes", 8, 8, M_FLAGS, 0, 0, &set_statx_attrs }, { "stx_nlink", 16, 4, M_UINT, 1, 0, 0 }, { "stx_uid", 20, 4, M_UINT, 1, 0, 0 },
	{ "stx_gid", 24, 4, M_UINT, 1, 0, 0 }, { "stx_mode", 28, 2, M_MODE, 0, 0, 0 }, { "stx_ino", 32, 8, M_DECIMAL, 1, 0, 0 },
	{ "stx_size", 40, 8, M_DECIMAL, 0, 0, 0 }, { "stx_blocks", 48, 8, M_UINT, 1, 0, 0 }, END };

static const struct layout layouts[STRUCT_COUNT] = {
	[STRUCT_TIMESPEC] = { 16, timespec }, [STRUCT_SIGFRAME] = { 8, sigframe }, [STRUCT_TIMEVAL] = { 16, timeval }, [STRUCT_TIMEZONE] = { 8, timezone_ },
	[STRUCT_ITIMERVAL] = { 32, itimerval }, [STRUCT_ITIMERSPEC] = { 32, itimerspec }, [STRUCT_RLIMIT] = { 16, rlimit },
	[STRUCT_RUSAGE] = { 144, rusage }, [STRUCT_UTSNAME] = { 390, utsname }, [STRUCT_TMS] = { 32, tms }, [STRUCT_POLLFD] = { 8, pollfd },
	[STRUCT_STACK_T] = { 24, stack }, [STRUCT_FLOCK] = { 32, flock_ }, [STRUCT_SCHED_PARAM] = { 4, NULL }, [STRUCT_OPEN_HOW] = { 24, how },
	[STRUCT_CLONE_ARGS] = { 64, clone3 }, [STRUCT_CAP_HEADER] = { 8, capheader }, [STRUCT_UTIMBUF] = { 16, utimbuf },
	[STRUCT_STATFS] = { 120, statfs_ }, [STRUCT_SYSINFO] = { 112, sysinfo_ }, [STRUCT_STAT] = { 144, stat_ }, [STRUCT_STATX] = { 256, statx_ },
	[STRUCT_U32] = { 4, NULL }, [STRUCT_U64] = { 8, NULL }, [STRUCT_EPOLL_EVENT] = { 12, NULL }, [STRUCT_SIGACTION] = { 32, NULL },
	[STRUCT_SIGINFO] = { 128, NULL }, [STRUCT_TERMIO] = { 18, NULL }, [STRUCT_S32] = { 4, NULL },
	[STRUCT_UID] = { 4, NULL }, [STRUCT_POINTER] = { 8, NULL }, [STRUCT_PAGE_STATUS] = { 4, NULL }, [STRUCT_SIGEVENT] = { 64, NULL },
	[STRUCT_CAP_DATA] = { 24, NULL }, [STRUCT_TERMIOS] = { 36, NULL }, [STRUCT_TERMIOS2] = { 44, NULL }, [STRUCT_TIMESPEC_PAIR] = { 32, NULL }, [STRUCT_TIMEVAL_PAIR] = { 32, NULL },
};

size_t struct_size(int id)
{
	if (id >= STRUCT_COUNT && (uint32_t)(id - STRUCT_COUNT) < struct_row_count)
		return struct_rows[id - STRUCT_COUNT].size;
	return id > 0 && id < STRUCT_COUNT ? layouts[id].size : 0;
}

static struct value *sigaction_value(struct decode *d, const uint8_t *at)
{
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *handler;
	uint64_t address = get_u64(at), flags = get_u64(at + 8);

	handler = value_new(d->arena, VALUE_HEX, address);
	handler->text = address == 0 ? "SIG_DFL" : address == 1 ? "SIG_IGN" : address == UINT64_MAX ? "SIG_ERR" : NULL;
	value_add(value, "sa_handler", handler); /* so called even with SA_SIGINFO, as strace does */
	value_add(value, "sa_mask", decode_sigset(d, at + 24, 8));
	value_add(value, "sa_flags", value_set(d->arena, VALUE_FLAGS, flags, &set_sa_flags));
	if (flags & 0x04000000)
		value_add(value, "sa_restorer", value_new(d->arena, VALUE_ADDR, get_u64(at + 16)));
	return value;
}

/* "2026-11-30T05:15:49.000001+0000"; `part` of a second has so many digits and prints when it is not 0. */
const char *decode_date_text(struct decode *d, uint64_t seconds, uint64_t part, int digits)
{
	char date[64], zone[16], text[24] = "";
	time_t at = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&at, &tm))
		return NULL;
	strftime(date, sizeof(date), "%FT%T", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	if (part)
		snprintf(text, sizeof(text), ".%0*u", digits, (unsigned)part);
	return arena_printf(d->arena, "%s%s%s", date, text, zone);
}

static const char *date_comment(struct decode *d, uint64_t seconds, uint64_t part, int digits)
{
	const char *text = (!seconds && !part) || part > (digits == 6 ? 999999 : 999999999) ? NULL :
		decode_date_text(d, seconds, part, digits);

	return text ? arena_printf(d->arena, " /* %s */", text) : NULL;
}

/* The date strace puts in a comment behind a file's time; the epoch itself has none. */
const char *decode_time_comment(struct decode *d, uint64_t seconds, uint64_t nanos)
{
	return date_comment(d, seconds, nanos, 9);
}

struct value *decode_date(struct decode *d, uint64_t seconds)
{
	struct value *value = value_new(d->arena, VALUE_INT, seconds);

	value->comment = decode_time_comment(d, seconds, 0);
	return value;
}

static struct value *file_time(struct decode *d, int id, const uint8_t *at)
{
	struct value *value = decode_struct(d, id, at, 16);
	uint64_t part = get_u64(at + 8);

	if (id == STRUCT_TIMESPEC && (part == 0x3fffffff || part == 0x3ffffffe))
		value->text = part == 0x3fffffff ? "UTIME_NOW" : "UTIME_OMIT";
	else
		value->comment = date_comment(d, get_u64(at), part, id == STRUCT_TIMEVAL ? 6 : 9);
	return value;
}

static struct value *epoll_value(struct decode *d, const uint8_t *at)
{
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *data = value_new(d->arena, VALUE_STRUCT, 0);

	value_add(value, "events", value_set(d->arena, VALUE_FLAGS, get_u32(at), &set_epoll_events));
	value_add(data, "u32", value_new(d->arena, VALUE_UINT, get_u32(at + 4)));
	value_add(data, "u64", value_new(d->arena, VALUE_UDECIMAL, get_u64(at + 4)));
	value_add(value, "data", data);
	return value;
}

static bool all_zero(const uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

static struct value *generated_struct(struct decode *d, const struct struct_row *row, const uint8_t *bytes)
{
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0);

	value->elided = row->elided;
	for (const struct member *m = row->members; m->name; m++) {
		if (m->when == MEMBER_VERBOSE && !d->options->verbose)
			value->elided++;
		else if (m->when == MEMBER_OUTPUT && d->before)
			continue;
		else if (m->when != MEMBER_NOT_ZERO || !all_zero(bytes + m->offset, m->size))
			value_add(value, m->name, decode_member(d, m, bytes + m->offset));
	}
	return value;
}

/* A node, or an error. */
static struct value *page_status(struct decode *d, int32_t status)
{
	struct value *value = value_new(d->arena, VALUE_INT, (uint64_t)(int64_t)status);

	if (status < 0 && errno_name(-status))
		value->text = arena_printf(d->arena, "-%s", errno_name(-status));
	return value;
}

struct value *decode_capabilities(struct decode *d, const uint8_t *at)
{
	static const char *const names[] = { "effective", "permitted", "inheritable" };
	const uint8_t *header = decode_mem(d, 0, 8, PHASE_ENTRY);
	uint32_t version = header ? get_u32(header) : 0;
	bool wide = version == 0x20071026 || version == 0x20080522; /* _LINUX_CAPABILITY_VERSION_2 and _3 */
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0);

	if (!header)
		return NULL;
	for (int i = 0; i < 3; i++)
		value_add(value, names[i], decode_bits(d, get_u32(at + i * 4) | (wide ? (uint64_t)get_u32(at + 12 + i * 4) << 32 : 0),
			&set_capabilities));
	return value;
}

static struct value *special_struct(struct decode *d, int id, const uint8_t *at)
{
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	int half = id == STRUCT_TIMESPEC_PAIR ? STRUCT_TIMESPEC : STRUCT_TIMEVAL;
	siginfo_t info;

	switch (id) {
	case STRUCT_U32: return value_new(d->arena, VALUE_UINT, get_u32(at));
	case STRUCT_S32: return value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at));
	case STRUCT_UID: return value_new(d->arena, get_u32(at) == UINT32_MAX ? VALUE_INT : VALUE_UINT,
			get_u32(at) == UINT32_MAX ? UINT64_MAX : get_u32(at));
	case STRUCT_POINTER: return value_new(d->arena, get_u64(at) ? VALUE_ADDR : VALUE_NULL, get_u64(at));
	case STRUCT_PAGE_STATUS: return page_status(d, (int32_t)get_u32(at));
	case STRUCT_SIGEVENT: return decode_sigevent(d, at);
	case STRUCT_CAP_DATA: return decode_capabilities(d, at);
	case STRUCT_U64: return value_new(d->arena, VALUE_UDECIMAL, get_u64(at));
	case STRUCT_SCHED_PARAM:
		value_add(list, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at)));
		return list;
	case STRUCT_SIGACTION: return sigaction_value(d, at);
	case STRUCT_TERMIO: return decode_termios(d, at, 2);
	case STRUCT_TERMIOS: case STRUCT_TERMIOS2: return decode_termios(d, at, 4);
	case STRUCT_EPOLL_EVENT: return epoll_value(d, at);
	case STRUCT_SIGINFO:
		memcpy(&info, at, sizeof(info));
		return decode_siginfo(d, &info);
	case STRUCT_TIMESPEC_PAIR: case STRUCT_TIMEVAL_PAIR:
		for (int i = 0; i < 2; i++)
			value_add(list, NULL, file_time(d, half, at + i * 16));
		return list;
	}
	return NULL;
}

static struct value *dirents(struct decode *d, const uint8_t *at)
{
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	const struct piece *piece = piece_find(d->rec, 1, PIECE_MEM, 0, PHASE_EXIT);
	size_t size = piece ? piece->size : 0, count = 0;

	for (size_t i = 0; i + 19 <= size && get_u16(at + i + 16) >= 19; i += get_u16(at + i + 16), count++)
		if (i + get_u16(at + i + 16) > size)
			break;
	if (piece && piece->reserved) /* counted where all of the buffer was at hand */
		count = piece->reserved;
	list->text = arena_printf(d->arena, "%#llx /* %zu entries */", (unsigned long long)d->rec->args[1], count);
	return list;
}

/* Some members of clone_args mean something only with a flag. */
static bool clone_member_shown(const struct member *m, uint64_t flags)
{
	uint64_t need = m->offset == 16 ? 0x01200000 : m->offset == 24 ? 0x00100000 : m->offset == 56 ? 0x00080000 : 0;

	return !need || (flags & need);
}

static void add_member(struct decode *d, int id, struct value *value, const struct member *m, const uint8_t *bytes)
{
	struct value *item = value_add(value, m->name, decode_member(d, m, bytes + m->offset));

	if (id == STRUCT_STAT && m->offset >= 72 && m->offset % 16 == 8) /* st_atime, st_mtime, st_ctime */
		item->comment = decode_time_comment(d, get_u64(bytes + m->offset), get_u64(bytes + m->offset + 8));
}

struct value *decode_struct(struct decode *d, int id, const uint8_t *bytes, size_t size)
{
	struct value *value;
	bool device;

	if (id == STRUCT_DIRENT64 && bytes)
		return dirents(d, bytes);
	if (!bytes || !struct_size(id) || size < struct_size(id))
		return NULL;
	if (id >= STRUCT_COUNT)
		return generated_struct(d, &struct_rows[id - STRUCT_COUNT], bytes);
	if (!layouts[id].members)
		return special_struct(d, id, bytes);
	value = value_new(d->arena, VALUE_STRUCT, 0);
	device = id == STRUCT_STAT && ((get_u32(bytes + 24) & 0170000) == 0020000 || (get_u32(bytes + 24) & 0170000) == 0060000);
	for (const struct member *m = layouts[id].members; m->name; m++) {
		if (id == STRUCT_STAT && ((m->struct_id == 1 && !device) || (m->struct_id == 2 && device)))
			continue;
		if (id == STRUCT_OPEN_HOW && m->offset == 8 && !(get_u64(bytes) & 020000100) && !get_u64(bytes + 8))
			continue;
		if (id == STRUCT_POLLFD && m->offset == 4 && (int32_t)get_u32(bytes) < 0)
			continue;
		if (id == STRUCT_CLONE_ARGS && !clone_member_shown(m, get_u64(bytes)))
			continue;
		if (m->when && !d->options->verbose)
			value->elided++;
		else
			add_member(d, id, value, m, bytes);
	}
	return value;
}
