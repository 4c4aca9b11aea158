/* The record: what the agent (in the tracee) or the keeper (ptrace path) writes for one syscall, and the
 * front reads. Freestanding: fixed-width types only, no pointers. Written by a process we do not trust:
 * readers copy, validate the copy (record_valid), then use it. */
#ifndef VTRACE_WIRE_RECORD_H
#define VTRACE_WIRE_RECORD_H

#include <stdint.h>

/* RECORD_VDSO: the vDSO answered in place of the system call `nr`. Never seen open; site is 0. */
enum record_kind { RECORD_SYSCALL = 1, RECORD_PAD = 2, RECORD_VDSO = 3 };
enum record_abi { ABI_X86_64 = 0, ABI_I386 = 1, ABI_X32 = 2 };
enum record_caught { CAUGHT_SITE = 1, CAUGHT_DISPATCH = 2, CAUGHT_NET = 3, CAUGHT_PTRACE = 4, CAUGHT_WRAPPER = 5 };

#define RECORD_NO_RESULT 1 /* the call is complete, but nobody saw its result */

/* Largest record, header and pieces included. A ring holds several. */
#define RECORD_MAX 16384u

struct record {
	uint32_t size;       /* bytes with all pieces, multiple of 8 */
	uint32_t entry_size; /* bytes up to and including the pieces captured at entry */
	uint16_t kind;       /* enum record_kind */
	uint16_t abi;        /* enum record_abi */
	uint16_t caught;     /* enum record_caught */
	uint16_t via;        /* index into libc_functions[] + 1; 0: not known */
	int32_t pid;         /* thread group, as vtrace sees it */
	int32_t tid;
	uint64_t start_tsc;
	uint64_t end_tsc;    /* 0 while open */
	int32_t nr;
	int32_t reserved;    /* 0, or RECORD_NO_RESULT */
	uint64_t args[6];
	int64_t ret;         /* raw: -4095..-1 is -errno (512..516 are the ERESTART codes) */
	uint64_t site;       /* address of the syscall instruction */
	uint64_t caller;     /* return address into the caller of the libc function, when via != 0 */
};
_Static_assert(sizeof(struct record) == 120, "struct record is part of the wire format");

enum piece_kind {
	PIECE_MEM = 1,     /* bytes at the argument's address: string, struct, array, buffer */
	PIECE_ELEMENT = 2, /* what element `index` of a pointer array or iovec points to */
	PIECE_FDPATH = 3,  /* path of the fd in this argument (arg 7: of the returned fd) */
	PIECE_NAME = 4,    /* msghdr.msg_name */
	PIECE_CONTROL = 5, /* msghdr.msg_control */
	PIECE_IOV = 6,     /* msghdr.msg_iov, an array of struct iovec; its data are PIECE_ELEMENTs */
	PIECE_LEN = 7,     /* the socklen_t read through an address-length pointer, at entry */
};
/* Pieces of message i of an mmsghdr array have index i, its PIECE_ELEMENTs begin at PIECE_MESSAGE(i). */
#define PIECE_MESSAGE(i) ((i) << 8)
#define PIECE_MESSAGES_MAX 16u
enum piece_phase { PHASE_ENTRY = 0, PHASE_EXIT = 1 };
enum piece_status { PIECE_OK = 0, PIECE_FAULT = 1 };
#define PIECE_ARG_RET 7

/* Followed by `size` bytes, padded to 8. Strings carry no NUL when cut: `full` tells.
 * `full`: bytes (or, for pointer arrays, elements) there are; UINT64_MAX when unknown because the copy was cut. */
struct piece {
	uint8_t arg;    /* 0..5, or PIECE_ARG_RET */
	uint8_t kind;   /* enum piece_kind */
	uint8_t phase;  /* enum piece_phase */
	uint8_t status; /* enum piece_status */
	uint32_t size;
	uint32_t index;
	uint32_t reserved;
	uint64_t addr;
	uint64_t full;
};
_Static_assert(sizeof(struct piece) == 32, "struct piece is part of the wire format");

#define WIRE_ALIGN8(n) (((n) + 7u) & ~(uint64_t)7u)

static inline const struct piece *piece_first(const struct record *rec)
{
	return rec->size > sizeof(*rec) ? (const struct piece *)(rec + 1) : 0;
}

static inline const struct piece *piece_next(const struct record *rec, const struct piece *at)
{
	uint64_t end = (uint64_t)((const char *)(at + 1) - (const char *)rec) + WIRE_ALIGN8(at->size);

	return end < rec->size ? (const struct piece *)((const char *)rec + end) : 0;
}

static inline const void *piece_data(const struct piece *at)
{
	return at + 1;
}

/* First piece of that argument and kind, or null. `phase` < 0: any, the exit one preferred. */
static inline const struct piece *piece_find(const struct record *rec, int arg, int kind, uint32_t index, int phase)
{
	const struct piece *found = 0;

	for (const struct piece *at = piece_first(rec); at; at = piece_next(rec, at))
		if (at->arg == arg && at->kind == kind && at->index == index && (phase < 0 || at->phase == phase))
			found = at;
	return found;
}

/* True when the record, `bytes` long in the reader's own copy, can be walked safely. */
static inline int record_valid(const struct record *rec, uint64_t bytes)
{
	uint64_t at = sizeof(*rec);

	if (bytes < sizeof(*rec) || rec->size != bytes || bytes > RECORD_MAX || bytes % 8 ||
	    rec->entry_size < sizeof(*rec) || rec->entry_size > bytes)
		return 0;
	while (at < bytes) {
		const struct piece *piece = (const struct piece *)((const char *)rec + at);

		if (bytes - at < sizeof(*piece) || WIRE_ALIGN8(piece->size) > bytes - at - sizeof(*piece))
			return 0;
		at += sizeof(*piece) + WIRE_ALIGN8(piece->size);
	}
	return 1;
}

#endif
