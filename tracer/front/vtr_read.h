/* Reads a recording (vtr.h), plain or in zstd frames, from a file or a pipe. Nothing in it is trusted. */
#ifndef VTRACE_FRONT_VTR_READ_H
#define VTRACE_FRONT_VTR_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vtr.h"

#define VTR_ERROR 256

enum vtr_result {
	VTR_ENTRY,   /* there is an entry */
	VTR_CUT,     /* the file ends */
	VTR_DAMAGED, /* it goes on with something that is no block or no entry */
};
struct vtr_reader;

/* "-": stdin. NULL, with one line in `error`, when it cannot be read or is no recording of this version. */
struct vtr_reader *vtr_reader_open(const char *name, char error[VTR_ERROR]);
/* The payload follows the entry; both are there until the next call. Its end is a multiple of 8. */
enum vtr_result vtr_read(struct vtr_reader *reader, const struct vtr_entry **entry);
/* Bytes of the recording read so far, before compression: where it is damaged. */
uint64_t vtr_reader_offset(const struct vtr_reader *reader);
void vtr_reader_close(struct vtr_reader *reader);

#endif
