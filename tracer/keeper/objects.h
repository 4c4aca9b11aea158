/* Files whose text processes map, with their plans: analysed once, found again by device, inode, size and time. */
#ifndef VTRACE_KEEPER_OBJECTS_H
#define VTRACE_KEEPER_OBJECTS_H

#include <stdint.h>
#include <sys/types.h>
#include "heat.h"
#include "../../sites/plan.h"

struct keeper;

#define OBJECT_MAX 1024u
#define OBJECT_SEGMENTS 4u

struct object {
	dev_t device;
	ino_t inode;
	off_t bytes;
	int64_t changed_ns;
	struct site_plan *plan; /* NULL: no sites */
	uint8_t *hot;           /* per site: dispatched before in this session */
	struct heat heat;
	uint8_t *written;       /* per site: rewritten in some process */
	char *name;             /* as the keeper sees the file; NULL: not known */
	uint32_t segment_count;
	struct { uint64_t file_offset, bytes, image_offset; } segments[OBJECT_SEGMENTS]; /* executable */
};

/* The object of `file` (a path the keeper can open) and where in its image the byte at file offset `offset` lies.
 * NO_INDEX when it has no sites that can be rewritten, or cannot be read. */
uint32_t object_open(struct keeper *k, const char *file, uint64_t offset, uint64_t *image_offset);
struct object *object_at(struct keeper *k, uint32_t index);
/* At the end: tells the front what became of all sites, and the cache which were used. */
void objects_close(struct keeper *k);

#endif
