/* Plans on disk: $XDG_CACHE_HOME/vtrace or ~/.cache/vtrace, one file of each kind per object. A cache that cannot be read or written
 * costs time only: no error here may stop a trace. */
#ifndef VTRACE_SITES_CACHE_H
#define VTRACE_SITES_CACHE_H

#include "plan.h"

/* 0: *plan is the caller's, sites_destroy. Else NULL and -errno: -ENOENT there is none; -EPERM the file is not ours alone
 * (another owner, or others may write); -ESTALE another version's or another object's; -EBADMSG damaged. */
int site_cache_load(const struct site_key *key, struct site_plan **plan);

/* 0 or -errno. Readers see the old file or the whole new one. */
int site_cache_store(const struct site_plan *plan);

/* Which sites programs use (keeper/heat.h), of `bytes` bytes. 0 or -errno: then *heat may have been written to. */
int site_cache_load_heat(const struct site_plan *plan, void *heat, size_t bytes);
int site_cache_store_heat(const struct site_plan *plan, const void *heat, size_t bytes);

/* What `version` of an analysis found out about the object whose memory holds the bytes `key`, a multiple of 8 as `bytes` is.
 * 0 or -errno, as above: then *facts may have been written to. */
#define SITE_CACHE_KEY_MAX 4096u
int site_cache_load_facts(uint32_t version, const void *key, size_t key_bytes, void *facts, size_t bytes);
int site_cache_store_facts(uint32_t version, const void *key, size_t key_bytes, const void *facts, size_t bytes);

#endif
