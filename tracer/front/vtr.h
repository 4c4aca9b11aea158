/* The recording, FILE.vtr: what the report was given, in its order, so that a replay gives the report the same again.
 *
 *     file    struct vtr_file, blocks up to its end. Or all of that inside zstd frames.
 *     block   struct vtr_block, `bytes` bytes of entries. Whole, or the file ends in it: it is written in one go.
 *     entry   struct vtr_entry, then what its type says; `bytes` counts all of it and is a multiple of 8.
 *
 * Numbers are little-endian, as the machine's. The first entry is VTR_HEADER, the last VTR_END; without VTR_END the recording
 * is cut (vtrace was killed, or the disk was full), and what is there is right. Texts are bytes and a NUL, in no encoding.
 *
 * Times are TSC ticks. The last VTR_CLOCK before an entry says what they are: (tsc - anchor_tsc) * slope + anchor_ns nanoseconds
 * since the trace began, computed in IEEE double and cut to an integer, not below 0. The header says when that was.
 *
 * Records and control messages are those of record.h and control.h, validated when they were recorded and again when they are
 * read. What those files define is part of this format: VTR_VERSION grows with a change, and a reader refuses other versions.
 * New entry types, and more bytes at the end of what is defined here, are no such change: readers skip what they do not know. */
#ifndef VTRACE_FRONT_VTR_H
#define VTRACE_FRONT_VTR_H

#include <stdint.h>
#include "control.h"
#include "record.h"

#define VTR_MAGIC "vtrace\r\n" /* spoilt by a transfer that translates line ends */
#define VTR_VERSION 1u
#define VTR_BLOCK_MAGIC 0x42525456u /* "VTRB" */
#define VTR_BLOCK_MAX (16u << 20)   /* entries of a block are shorter together; else the file is damaged */

struct vtr_file { char magic[8]; uint32_t version, reserved; };
struct vtr_block { uint32_t magic, bytes; uint64_t check; /* vtr_check() of the entries */ };

enum vtr_type {
	VTR_HEADER = 1, /* struct vtr_header, texts */
	VTR_CLOCK,      /* struct vtr_clock */
	VTR_NAME,       /* what `via` of records means: uint64_t number, text: a libc function. Before the first use */
	VTR_CALL,       /* a record: the call began, and ended before anything else happened. Ids and end are the record's */
	VTR_ENTER,      /* struct vtr_enter, the record as it was then */
	VTR_EXIT,       /* struct vtr_exit; the record, if it is another one by now */
	VTR_MESSAGE,    /* struct control, its payload */
	VTR_END,        /* struct vtr_end */
};
/* VTR_CALL, VTR_ENTER: not to be shown. It is there because it changes what is known of the process: mappings, names. */
#define VTR_HIDDEN 1u

struct vtr_entry {
	uint32_t bytes;
	uint8_t type;   /* enum vtr_type */
	uint8_t state;  /* VTR_CALL, VTR_EXIT: enum call_state */
	uint16_t flags; /* VTR_HIDDEN */
};

/* What was asked for, and with what the trace begins. Then the texts: vtrace's version, cwd, kernel release, argv, filters. */
struct vtr_header {
	uint64_t start_realtime_ns, start_monotonic_ns; /* clocks' readings when the trace began */
	uint64_t start_tsc;
	uint32_t flags;           /* enum vtr_flag */
	uint32_t string_limit;    /* bytes: strings are no longer than that and one */
	uint32_t status;          /* enum status_bit: calls that ended otherwise may be missing */
	uint32_t argc, filter_count;
	uint32_t reserved;
};
enum vtr_flag { VTR_FOLLOW = 1, VTR_FD_PATHS = 2, VTR_VDSO = 4 };

struct vtr_clock { uint64_t anchor_tsc, anchor_ns; double slope; /* ns per tick */ };
struct vtr_enter { uint64_t id; int32_t pid, tid; };
struct vtr_exit {
	uint64_t id;      /* of the vtr_enter it ends */
	uint64_t tsc;
	int64_t ret;
	int32_t exit_tid; /* the thread's id by now: an exec changes it */
	uint32_t reserved;
};
struct vtr_end {
	uint64_t lost;
	uint32_t complete; /* 0: vtrace knew that calls are missing */
	int32_t status;    /* wait status of the program, 0 where it could not be run */
};

_Static_assert(sizeof(struct vtr_file) == 16 && sizeof(struct vtr_block) == 16 && sizeof(struct vtr_entry) == 8 &&
	       sizeof(struct vtr_header) == 48 && sizeof(struct vtr_clock) == 24 && sizeof(struct vtr_enter) == 16 &&
	       sizeof(struct vtr_exit) == 32 && sizeof(struct vtr_end) == 16, "these are VTR_VERSION 1");
/* A change of these needs another VTR_VERSION. New messages get numbers behind the others. */
_Static_assert(sizeof(struct record) == 120 && sizeof(struct piece) == 32 && sizeof(struct control) == 48 &&
	       sizeof(struct control_map) == 24, "these are VTR_VERSION 1");
_Static_assert(MSG_THREAD == 2 && MSG_EXEC == 3 && MSG_MAP == 6 && MSG_SIGNAL == 8 && MSG_STOP == 9 && MSG_EXITED == 10 &&
	       MSG_NOTE == 11 && BIRTH_START == 1 && BIRTH_ATTACH == 5, "these are VTR_VERSION 1");

#define VTR_CHECK_FACTOR 0x9e3779b97f4a7c15ull

static inline uint64_t vtr_check_word(uint64_t sum, const char *at)
{
	uint64_t word;

	__builtin_memcpy(&word, at, 8);
	sum = (sum ^ word) * VTR_CHECK_FACTOR;
	return sum ^ sum >> 32;
}

/* Not cryptographic: tells damage. Word i goes into sum i % 4, so that four multiplications run at once. `bytes` is a
 * multiple of 8. */
static inline uint64_t vtr_check(const void *data, uint64_t bytes)
{
	const char *at = data, *end = at + bytes;
	uint64_t sums[4] = { bytes, 1, 2, 3 };

	for (; end - at >= 32; at += 32)
		for (int i = 0; i < 4; i++)
			sums[i] = vtr_check_word(sums[i], at + 8 * i);
	for (int i = 0; at < end; at += 8, i++)
		sums[i] = vtr_check_word(sums[i], at);
	for (int i = 1; i < 4; i++)
		sums[0] = (sums[0] ^ sums[i]) * VTR_CHECK_FACTOR;
	return sums[0] ^ sums[0] >> 32;
}

#endif
