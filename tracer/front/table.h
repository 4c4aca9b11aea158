/* A map from thread or process id to a pointer it does not own. */
#ifndef VTRACE_FRONT_TABLE_H
#define VTRACE_FRONT_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_entry { int32_t key; void *value; };
struct table { struct table_entry *entries; size_t capacity, count; };

void table_close(struct table *table);
void *table_get(const struct table *table, int32_t key);
/* Replaces the value. */
void table_put(struct table *table, int32_t key, void *value);
void table_remove(struct table *table, int32_t key);
/* All values, in no order: for (size_t i = 0; table_next(t, &i, &value);) */
int table_next(const struct table *table, size_t *at, void **value);

#endif
