#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include "memory.h"
#include "vtr_read.h"

#define INPUT_BYTES (128u << 10)

struct vtr_reader {
	int fd;
	int error;             /* errno of a failed read */
	ZSTD_DCtx *zstd;       /* NULL: not compressed */
	bool spoilt;           /* the compressed data are */
	char *input;           /* INPUT_BYTES as read; [at, end) is not used yet */
	size_t at, end;
	char *block;           /* the entries of one block */
	size_t capacity, bytes, next;
	uint64_t offset;       /* of what follows the block */
};

/* False at the end of the file. */
static bool refill(struct vtr_reader *reader)
{
	ssize_t got;

	do
		got = read(reader->fd, reader->input, INPUT_BYTES);
	while (got < 0 && errno == EINTR);
	reader->error = got < 0 ? errno : 0;
	reader->at = 0;
	reader->end = got > 0 ? (size_t)got : 0;
	return got > 0;
}

static size_t take_plain(struct vtr_reader *reader, char *to, size_t bytes)
{
	size_t there = reader->end - reader->at;

	bytes = bytes < there ? bytes : there;
	memcpy(to, reader->input + reader->at, bytes);
	reader->at += bytes;
	return bytes;
}

static size_t take_zstd(struct vtr_reader *reader, char *to, size_t bytes)
{
	ZSTD_inBuffer in = { reader->input, reader->end, reader->at };
	ZSTD_outBuffer out = { to, bytes, 0 };

	reader->spoilt = ZSTD_isError(ZSTD_decompressStream(reader->zstd, &out, &in));
	reader->at = in.pos;
	return out.pos;
}

/* How many there are, up to `bytes`. */
static size_t take(struct vtr_reader *reader, void *to, size_t bytes)
{
	size_t done = 0;

	while (done < bytes && !reader->spoilt) {
		size_t got = (reader->zstd ? take_zstd : take_plain)(reader, (char *)to + done, bytes - done);

		done += got;
		if (!got && reader->at == reader->end && !refill(reader))
			break;
	}
	reader->offset += done;
	return done;
}

/* ---- opening ---- */

static bool is_zstd(const struct vtr_reader *reader)
{
	static const unsigned char magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

	return reader->end >= sizeof(magic) && !memcmp(reader->input, magic, sizeof(magic));
}

static bool open_input(struct vtr_reader *reader, const char *name)
{
	reader->fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (reader->fd < 0)
		reader->error = errno;
	else if (refill(reader) && is_zstd(reader))
		reader->zstd = ZSTD_createDCtx();
	return !reader->error;
}

static bool read_file_head(struct vtr_reader *reader, const char *name, char error[VTR_ERROR])
{
	struct vtr_file file = { 0 };
	size_t got = take(reader, &file, sizeof(file));

	if (got < sizeof(file) && (got || reader->zstd) && !reader->spoilt && !memcmp(file.magic, VTR_MAGIC, got < 8 ? got : 8)) {
		snprintf(error, VTR_ERROR, "%.100s: the recording's header is cut off", name);
		return false;
	}
	if (got < sizeof(file) || memcmp(file.magic, VTR_MAGIC, sizeof(file.magic))) {
		snprintf(error, VTR_ERROR, got ? "%.100s is not a recording of vtrace" : "%.100s is empty: no recording", name);
		return false;
	}
	if (file.version == VTR_VERSION)
		return true;
	snprintf(error, VTR_ERROR, "%.100s is a recording of version %u; this vtrace reads version %u", name, file.version,
		 VTR_VERSION);
	return false;
}

struct vtr_reader *vtr_reader_open(const char *name, char error[VTR_ERROR])
{
	struct vtr_reader *reader = allocate(sizeof(*reader));

	reader->input = allocate_unset(INPUT_BYTES);
	if (!open_input(reader, name))
		snprintf(error, VTR_ERROR, "cannot read %.100s: %s", name, strerror(reader->error));
	else if (read_file_head(reader, name, error))
		return reader;
	vtr_reader_close(reader);
	return NULL;
}

/* ---- blocks and entries ---- */

static enum vtr_result cut_or_damaged(const struct vtr_reader *reader)
{
	return reader->spoilt || reader->error ? VTR_DAMAGED : VTR_CUT;
}

static enum vtr_result next_block(struct vtr_reader *reader)
{
	struct vtr_block head;

	reader->bytes = reader->next = 0;
	if (take(reader, &head, sizeof(head)) < sizeof(head))
		return cut_or_damaged(reader);
	if (head.magic != VTR_BLOCK_MAGIC || head.bytes % 8 || !head.bytes || head.bytes >= VTR_BLOCK_MAX)
		return VTR_DAMAGED;
	if (head.bytes > reader->capacity) {
		reader->capacity = head.bytes;
		reader->block = reallocate(reader->block, reader->capacity);
	}
	if (take(reader, reader->block, head.bytes) < head.bytes)
		return cut_or_damaged(reader);
	if (vtr_check(reader->block, head.bytes) != head.check)
		return VTR_DAMAGED;
	reader->bytes = head.bytes;
	return VTR_ENTRY;
}

enum vtr_result vtr_read(struct vtr_reader *reader, const struct vtr_entry **entry)
{
	if (reader->next == reader->bytes) {
		enum vtr_result result = next_block(reader);

		if (result != VTR_ENTRY)
			return result;
	}
	const struct vtr_entry *at = (const struct vtr_entry *)(reader->block + reader->next);

	if (at->bytes < sizeof(*at) || at->bytes % 8 || at->bytes > reader->bytes - reader->next)
		return VTR_DAMAGED;
	reader->next += at->bytes;
	*entry = at;
	return VTR_ENTRY;
}

uint64_t vtr_reader_offset(const struct vtr_reader *reader)
{
	return reader->offset;
}

void vtr_reader_close(struct vtr_reader *reader)
{
	if (reader->fd > STDIN_FILENO)
		close(reader->fd);
	ZSTD_freeDCtx(reader->zstd);
	free(reader->input);
	free(reader->block);
	free(reader);
}
