/* Writes a recording (vtr.h). It sees the moments as the report does, and after the report has decided what is shown. */
#ifndef VTRACE_FRONT_VTR_WRITE_H
#define VTRACE_FRONT_VTR_WRITE_H

#include <stdbool.h>
#include <stdio.h>
#include "clock.h"
#include "format.h"
#include "merge.h"
#include "vtr.h"

struct vtr_writer;

/* `head` without argc and filter_count, which are the options'. Borrows `out`, `clock` and, while opening, `options`. */
struct vtr_writer *vtr_writer_open(FILE *out, const struct tsc_clock *clock, const struct vtr_header *head,
				   const struct format_options *options);
void vtr_write_enter(struct vtr_writer *writer, struct call *call);
/* `shown`: the filters show its result. */
void vtr_write_exit(struct vtr_writer *writer, struct call *call, uint64_t tsc, bool shown);
void vtr_write_message(struct vtr_writer *writer, const struct control *head, const char *payload);
/* No call that was given is looked at any more. */
void vtr_writer_settle(struct vtr_writer *writer);
/* All that was given goes out. To be called before the clock is changed, and when a call that was entered may change. */
void vtr_writer_flush(struct vtr_writer *writer);
void vtr_writer_close(struct vtr_writer *writer, const struct vtr_end *end);

#endif
