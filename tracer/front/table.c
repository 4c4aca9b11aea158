/* Open addressing, linear probing; a value of NULL is an empty place. */
#include "memory.h"
#include "table.h"

static size_t place_of(const struct table *table, int32_t key)
{
	size_t at = (uint32_t)key * 2654435761u & (table->capacity - 1);

	while (table->entries[at].value && table->entries[at].key != key)
		at = (at + 1) & (table->capacity - 1);
	return at;
}

static void grow(struct table *table)
{
	struct table old = *table;

	table->capacity = old.capacity ? old.capacity * 2 : 64;
	table->entries = allocate(table->capacity * sizeof(*table->entries));
	for (size_t i = 0; i < old.capacity; i++)
		if (old.entries[i].value)
			table->entries[place_of(table, old.entries[i].key)] = old.entries[i];
	free(old.entries);
}

void table_close(struct table *table)
{
	free(table->entries);
	*table = (struct table){ 0 };
}

void *table_get(const struct table *table, int32_t key)
{
	return table->capacity ? table->entries[place_of(table, key)].value : NULL;
}

void table_put(struct table *table, int32_t key, void *value)
{
	if ((table->count + 1) * 2 > table->capacity)
		grow(table);
	size_t at = place_of(table, key);

	table->count += !table->entries[at].value;
	table->entries[at] = (struct table_entry){ key, value };
}

/* What follows in the same run is put in again. */
void table_remove(struct table *table, int32_t key)
{
	if (!table_get(table, key))
		return;
	size_t at = place_of(table, key), mask = table->capacity - 1;

	table->entries[at].value = NULL;
	table->count--;
	for (at = (at + 1) & mask; table->entries[at].value; at = (at + 1) & mask) {
		struct table_entry moved = table->entries[at];

		table->entries[at].value = NULL;
		table->entries[place_of(table, moved.key)] = moved;
	}
}

int table_next(const struct table *table, size_t *at, void **value)
{
	while (*at < table->capacity) {
		*value = table->entries[(*at)++].value;
		if (*value)
			return 1;
	}
	return 0;
}
