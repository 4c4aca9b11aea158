/* The capture interpreter: runs a generated capture_row and appends pieces to a record. It serves the agent (its own
 * memory, fault-safe) and the keeper's ptrace path (another process's memory). Freestanding; static so that each side
 * gets its own copy with its own flags. */
#ifndef VTRACE_WIRE_CAPTURE_H
#define VTRACE_WIRE_CAPTURE_H

#include "record.h"
#include "tables.h"

struct capture_source {
	/* Copies up to `bytes` from the program's address; returns how many were readable. */
	uint64_t (*copy)(void *context, void *to, uint64_t from, uint64_t bytes);
	/* The same for a string: may end behind its NUL. NULL: `copy` does it. */
	uint64_t (*copy_string)(void *context, void *to, uint64_t from, uint64_t bytes);
	/* Path of an fd of the program, without NUL; < 0 when there is none. NULL: not asked for. */
	long (*fd_path)(void *context, int fd, char *to, uint64_t bytes);
	void *context;
	uint32_t string_limit;
};

#define CAPTURE_PATH_MAX 4096u
#define CAPTURE_PAGE 4096u

static inline uint64_t capture_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A piece header at the record's end, with room for at least `wanted` bytes after it clipped to what is left; NULL when full. */
static inline struct piece *capture_open(struct record *rec, uint64_t *room)
{
	struct piece *piece = (struct piece *)((char *)rec + rec->size);

	if (rec->size + sizeof(*piece) + 8 > RECORD_MAX)
		return 0;
	*room = RECORD_MAX - rec->size - sizeof(*piece);
	return piece;
}

static inline void capture_close(struct record *rec, struct piece *piece, const struct capture_op *op, int kind,
				 uint32_t index, uint64_t addr, uint64_t size, uint64_t full, int status)
{
	piece->arg = op->arg;
	piece->kind = (uint8_t)kind;
	piece->phase = op->phase;
	piece->status = (uint8_t)status;
	piece->size = (uint32_t)size;
	piece->index = index;
	piece->reserved = 0;
	piece->addr = addr;
	piece->full = full;
	for (char *pad = (char *)(piece + 1) + size; (uintptr_t)pad & 7; pad++)
		*pad = 0;
	rec->size += (uint32_t)(sizeof(*piece) + WIRE_ALIGN8(size));
}

/* `bytes` at addr, at most `limit` of them. */
static inline struct piece *capture_bytes(struct record *rec, const struct capture_source *from,
					  const struct capture_op *op, int kind, uint32_t index, uint64_t addr,
					  uint64_t bytes, uint64_t limit)
{
	uint64_t room;
	struct piece *piece = addr ? capture_open(rec, &room) : 0;

	if (!piece)
		return 0;
	uint64_t wanted = capture_min(capture_min(bytes, limit), room);
	uint64_t got = from->copy(from->context, piece + 1, addr, wanted);

	capture_close(rec, piece, op, kind, index, addr, got, bytes, got < wanted ? PIECE_FAULT : PIECE_OK);
	return piece;
}

static inline uint64_t capture_nul(const char *text, uint64_t bytes)
{
	const uint64_t ones = 0x0101010101010101ull;
	uint64_t word, at = 0;

	for (; at + 8 <= bytes; at += 8) {
		__builtin_memcpy(&word, text + at, 8);
		if ((word - ones) & ~word & ones << 7)
			return at + (uint64_t)__builtin_ctzll((word - ones) & ~word & ones << 7) / 8;
	}
	for (; at < bytes; at++)
		if (!text[at])
			return at;
	return bytes;
}

/* A NUL-terminated string of at most `limit` bytes, copied page by page so that its end is never overrun into
 * an unmapped page. */
static inline void capture_string(struct record *rec, const struct capture_source *from, const struct capture_op *op,
				  int kind, uint32_t index, uint64_t addr, uint64_t limit)
{
	uint64_t room, got = 0;
	struct piece *piece = addr ? capture_open(rec, &room) : 0;

	if (!piece)
		return;
	limit = capture_min(limit, room);
	while (got < limit) {
		uint64_t part = capture_min(limit - got, CAPTURE_PAGE - (addr + got) % CAPTURE_PAGE);
		char *to = (char *)(piece + 1) + got;

		part = capture_min(part, 256);
		uint64_t copied = (from->copy_string ? from->copy_string : from->copy)(from->context, to, addr + got, part);
		uint64_t length = capture_nul(to, copied);

		got += length;
		if (length < copied) {
			capture_close(rec, piece, op, kind, index, addr, got, got, PIECE_OK);
			return;
		}
		if (copied < part) {
			capture_close(rec, piece, op, kind, index, addr, 0, 0, PIECE_FAULT);
			return;
		}
	}
	capture_close(rec, piece, op, kind, index, addr, got, UINT64_MAX, PIECE_OK);
}

static inline void capture_strings(struct record *rec, const struct capture_source *from, const struct capture_op *op,
				   uint64_t addr)
{
	uint64_t room, count = 0, pointer = 1;
	struct piece *piece = addr ? capture_open(rec, &room) : 0;

	if (!piece)
		return;
	uint64_t *items = (uint64_t *)(piece + 1);
	uint64_t limit = op->limit ? op->limit : 255, full;

	while (count < limit && (count + 2) * 8 < room / 2) {
		if (from->copy(from->context, &pointer, addr + count * 8, 8) < 8)
			break;
		if (!pointer)
			break;
		items[count++] = pointer;
	}
	full = pointer ? UINT64_MAX : count;
	capture_close(rec, piece, op, PIECE_MEM, 0, addr, count * 8, full, count || !pointer ? PIECE_OK : PIECE_FAULT);
	for (uint64_t i = 0; op->size != 1 && i < count; i++)
		capture_string(rec, from, op, PIECE_ELEMENT, (uint32_t)i, items[i], (uint64_t)from->string_limit + 1);
}

struct capture_iovec { uint64_t base, bytes; };

/* The data of an iovec array already captured in `array`; `total` bounds the data (a read's result). `first`: the piece index
 * of the first element. */
static inline void capture_iovec_data(struct record *rec, const struct capture_source *from, const struct capture_op *op,
				      const struct piece *array, uint32_t first, uint64_t total)
{
	if (!array)
		return;
	const struct capture_iovec *items = (const struct capture_iovec *)(array + 1);

	for (uint32_t i = 0; i < array->size / sizeof(*items) && total; i++) {
		uint64_t bytes = capture_min(items[i].bytes, total);

		capture_bytes(rec, from, op, PIECE_ELEMENT, first + i, items[i].base, bytes, (uint64_t)from->string_limit + 1);
		total -= bytes;
	}
}

static inline uint64_t capture_length(const struct record *rec, const struct capture_source *from,
				      const struct capture_op *op)
{
	uint32_t length = 0;

	switch (op->len_from) {
	case LEN_ARG:
		return rec->args[op->len_arg];
	case LEN_RET:
		return rec->ret > 0 ? (uint64_t)rec->ret : 0;
	case LEN_ARG_PTR:
		from->copy(from->context, &length, rec->args[op->len_arg], sizeof(length));
		return length;
	default:
		return op->size;
	}
}

struct capture_msghdr { uint64_t name; uint32_t namelen, pad; uint64_t iov, iovlen, control, controllen; uint32_t flags; };

/* What a header points to. `index`: which message it is; `total` bounds its data. */
static inline void capture_message(struct record *rec, const struct capture_source *from, const struct capture_op *op,
				   uint32_t index, const struct capture_msghdr *head, uint64_t total)
{
	capture_bytes(rec, from, op, PIECE_NAME, index, head->name, head->namelen, 128);
	const struct piece *array = capture_bytes(rec, from, op, PIECE_IOV, index, head->iov, head->iovlen * 16, 64 * 16);

	capture_iovec_data(rec, from, op, array, PIECE_MESSAGE(index), total);
	capture_bytes(rec, from, op, PIECE_CONTROL, index, head->control, head->controllen, 1024);
}

static inline void capture_msghdr(struct record *rec, const struct capture_source *from, const struct capture_op *op,
				  uint64_t addr)
{
	struct capture_msghdr head;

	capture_bytes(rec, from, op, PIECE_MEM, 0, addr, 56, 56);
	if (addr && from->copy(from->context, &head, addr, 56) == 56)
		capture_message(rec, from, op, 0, &head,
				op->phase == PHASE_EXIT && rec->ret >= 0 ? (uint64_t)rec->ret : UINT64_MAX);
}

#define MMSGHDR_BYTES 64u
#define MMSGHDR_LEN 56u /* offset of msg_len */

/* The headers; and what they point to at the one moment when that is there: before sending, after receiving. */
static inline void capture_mmsghdr(struct record *rec, const struct capture_source *from, const struct capture_op *op,
				   uint64_t addr, uint64_t count)
{
	const struct piece *array = capture_bytes(rec, from, op, PIECE_MEM, 0, addr, count * MMSGHDR_BYTES,
						  PIECE_MESSAGES_MAX * MMSGHDR_BYTES);
	struct capture_msghdr head;
	uint32_t bytes;

	if (op->size == 1 || !array) /* headers only */
		return;
	for (uint32_t i = 0; (i + 1) * MMSGHDR_BYTES <= array->size; i++) {
		const char *at = (const char *)(array + 1) + i * MMSGHDR_BYTES;

		__builtin_memcpy(&head, at, sizeof(head));
		__builtin_memcpy(&bytes, at + MMSGHDR_LEN, sizeof(bytes));
		capture_message(rec, from, op, i, &head, op->phase == PHASE_EXIT ? bytes : UINT64_MAX);
	}
}

static inline void capture_op_run(struct record *rec, const struct capture_source *from, const struct capture_op *op);

/* What a multiplexed call's arguments point to is decided by its command. */
static inline void capture_command(struct record *rec, const struct capture_source *from, const struct capture_op *op)
{
	const struct capture_group *group = &capture_groups[op->limit];
	uint32_t command = (uint32_t)rec->args[op->len_arg] & group->mask, low = group->first;
	uint32_t end = low + group->count, high = end;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (capture_commands[middle].command < command)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < end && capture_commands[low].command == command; low++)
		if (capture_commands[low].op.phase == op->phase)
			capture_op_run(rec, from, &capture_commands[low].op);
}

static inline void capture_fd_path(struct record *rec, const struct capture_source *from, const struct capture_op *op)
{
	uint64_t room;
	int fd = op->arg == PIECE_ARG_RET ? (int)rec->ret : (int)rec->args[op->arg];
	struct piece *piece = from->fd_path ? capture_open(rec, &room) : 0;

	if (!piece)
		return;
	long got = from->fd_path(from->context, fd, (char *)(piece + 1), capture_min(room, CAPTURE_PATH_MAX));

	if (got > 0)
		capture_close(rec, piece, op, PIECE_FDPATH, 0, 0, (uint64_t)got, (uint64_t)got, PIECE_OK);
}

#define NR_GETDENTS64 217
#define DIRENT_RECLEN 16u /* offset of d_reclen */
#define DIRENT_LEAST 19u

/* How many directory entries a buffer holds: the piece is cut, but the entries are counted by their number. */
static inline uint32_t capture_count_entries(const struct capture_source *from, const struct piece *piece)
{
	uint64_t at = 0;
	uint32_t count = 0;
	uint16_t bytes;

	for (; at + DIRENT_LEAST <= piece->full && count < 65536; at += bytes, count++) {
		if (at + DIRENT_LEAST <= piece->size)
			__builtin_memcpy(&bytes, (const char *)(piece + 1) + at + DIRENT_RECLEN, sizeof(bytes));
		else if (from->copy(from->context, &bytes, piece->addr + at + DIRENT_RECLEN, sizeof(bytes)) < sizeof(bytes))
			break;
		if (bytes < DIRENT_LEAST)
			break;
	}
	return count;
}

#define NODEMASK_BITS 1024u

/* pselect6's last argument. */
static inline void capture_sigset_pair(struct record *rec, const struct capture_source *from, const struct capture_op *op, uint64_t addr)
{
	const struct piece *pair = capture_bytes(rec, from, op, PIECE_MEM, 0, addr, 16, 16);
	uint64_t words[2];

	if (!pair || pair->size < sizeof(words))
		return;
	__builtin_memcpy(words, pair + 1, sizeof(words));
	if (words[1] == 8)
		capture_bytes(rec, from, op, PIECE_ELEMENT, 0, words[0], 8, 8);
}

#define FILE_HANDLE_HEAD 8u
#define FILE_HANDLE_MAX 128u

static inline void capture_file_handle(struct record *rec, const struct capture_source *from, const struct capture_op *op, uint64_t addr)
{
	const struct piece *head = capture_bytes(rec, from, op, PIECE_MEM, 0, addr, FILE_HANDLE_HEAD, FILE_HANDLE_HEAD);
	uint32_t bytes;

	if (!head || head->size < FILE_HANDLE_HEAD)
		return;
	__builtin_memcpy(&bytes, head + 1, sizeof(bytes));
	capture_bytes(rec, from, op, PIECE_ELEMENT, 0, addr + FILE_HANDLE_HEAD, bytes, FILE_HANDLE_MAX);
}

static inline void capture_op_run(struct record *rec, const struct capture_source *from, const struct capture_op *op)
{
	uint64_t addr = op->arg < 6 ? rec->args[op->arg] : 0, length;
	uint64_t text = (uint64_t)from->string_limit + 1;
	struct piece *piece;

	switch ((enum capture_kind)op->kind) {
	case CAPTURE_STRING:
		capture_string(rec, from, op, PIECE_MEM, 0, addr, op->size ? op->size : text);
		return;
	case CAPTURE_PATH:
		capture_string(rec, from, op, PIECE_MEM, 0, addr, CAPTURE_PATH_MAX);
		return;
	case CAPTURE_BUFFER:
		length = capture_length(rec, from, op);
		capture_bytes(rec, from, op, PIECE_MEM, 0, addr, length, text);
		return;
	case CAPTURE_FIXED:
		capture_bytes(rec, from, op, PIECE_MEM, 0, addr, op->size, op->size);
		return;
	case CAPTURE_ARRAY:
		length = capture_length(rec, from, op);
		if (op->limit)
			length = capture_min(length, op->limit);
		piece = capture_bytes(rec, from, op, PIECE_MEM, 0, addr, capture_min(length, 1u << 28) * op->size, RECORD_MAX / 2);
		if (piece && rec->nr == NR_GETDENTS64)
			piece->reserved = capture_count_entries(from, piece);
		return;
	case CAPTURE_STRINGV:
		capture_strings(rec, from, op, addr);
		return;
	case CAPTURE_IOVEC:
		length = capture_min(op->len_from == LEN_RET ? 0 : rec->args[op->len_arg], 64);
		capture_iovec_data(rec, from, op,
				   capture_bytes(rec, from, op, PIECE_MEM, 0, addr, length * 16, 64 * 16), 0,
				   op->phase == PHASE_EXIT ? rec->ret >= 0 ? (uint64_t)rec->ret : 0 : UINT64_MAX);
		return;
	case CAPTURE_MSGHDR:
		capture_msghdr(rec, from, op, addr);
		return;
	case CAPTURE_SOCKADDR:
		capture_bytes(rec, from, op, PIECE_MEM, 0, addr, capture_length(rec, from, op), 128);
		return;
	case CAPTURE_FDPATH:
		capture_fd_path(rec, from, op);
		return;
	case CAPTURE_COMMAND:
		capture_command(rec, from, op);
		return;
	case CAPTURE_MMSGHDR:
		length = op->len_from == LEN_RET ? capture_length(rec, from, op) : rec->args[op->len_arg];
		capture_mmsghdr(rec, from, op, addr, capture_min(length, PIECE_MESSAGES_MAX));
		return;
	case CAPTURE_SIGSET_PAIR:
		capture_sigset_pair(rec, from, op, addr);
		return;
	case CAPTURE_FILE_HANDLE:
		capture_file_handle(rec, from, op, addr);
		return;
	case CAPTURE_NODEMASK:
		length = capture_min(capture_length(rec, from, op), NODEMASK_BITS);
		capture_bytes(rec, from, op, PIECE_MEM, 0, addr, (length + 63) / 64 * 8, NODEMASK_BITS / 8);
		return;
	case CAPTURE_MSGBUF:
		capture_bytes(rec, from, op, PIECE_MEM, 0, addr, 8, 8);
		capture_bytes(rec, from, op, PIECE_ELEMENT, 0, addr ? addr + 8 : 0, capture_length(rec, from, op), text);
		return;
	case CAPTURE_LEN:
		capture_bytes(rec, from, op, PIECE_LEN, 0, addr, 4, 4);
		return;
	}
}

/* What remains of a sleep is written just when a signal cut it short. Where data should have gone is known in any case. */
static inline int capture_after_failure(const struct record *rec, const struct capture_op *op)
{
	return op->kind == CAPTURE_IOVEC || (op->kind == CAPTURE_FILE_HANDLE && rec->ret == -75 /* EOVERFLOW: how long it would be */) || (rec->ret == -516 && (rec->nr == 35 || rec->nr == 230)); /* ERESTART_RESTARTBLOCK; nanosleep, clock_nanosleep */
}

/* Appends the pieces of one phase. After a failed call nothing is captured at exit: the kernel wrote nothing it
 * promises, and strace prints addresses. */
static inline void capture_run(struct record *rec, const struct capture_source *from, int phase)
{
	int failed = phase == PHASE_EXIT && rec->ret < 0 && rec->ret > -4096;

	if (rec->abi != ABI_X86_64 || rec->nr < 0 || (uint32_t)rec->nr >= capture_x86_64_count)
		return;
	const struct capture_row *row = &capture_x86_64[rec->nr];
	const struct capture_op *op = &capture_ops[row->first + (phase == PHASE_EXIT ? row->entry : 0)];

	for (uint32_t count = phase == PHASE_EXIT ? row->exit : row->entry; count; count--, op++)
		if (!failed || capture_after_failure(rec, op))
			capture_op_run(rec, from, op);
}

#endif
