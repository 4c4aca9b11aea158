/* Decides for one syscall instruction how it is rewritten. */
#ifndef VTRACE_SITES_CHOOSE_H
#define VTRACE_SITES_CHOOSE_H

#include "sweep.h"

/* First for every site: fills offset, nr, original; SITE_MOV when that is possible, else SITE_LEFT with the reason. */
void choose_before(const struct sweep *sweep, uint64_t offset, struct site *site);
/* Then for those left, in address order; `limit` is the first byte of the next rewritten site, UINT64_MAX without. */
void choose_after(const struct sweep *sweep, const struct image_facts *facts, uint64_t limit, struct site *site);

#endif
