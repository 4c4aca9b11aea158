#include <stdint.h>
#include <string.h>
#include "memory.h"
#include "names.h"

struct name { struct name *next; char text[]; };

static uint32_t hash_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash % NAMES_BUCKETS;
}

const char *names_intern(struct names *names, const char *text)
{
	struct name **bucket = &names->buckets[hash_of(text)];

	for (struct name *at = *bucket; at; at = at->next)
		if (!strcmp(at->text, text))
			return at->text;
	size_t bytes = strlen(text) + 1;
	struct name *name = allocate(sizeof(*name) + bytes);

	memcpy(name->text, text, bytes);
	name->next = *bucket;
	*bucket = name;
	return name->text;
}

void names_close(struct names *names)
{
	for (int i = 0; i < NAMES_BUCKETS; i++)
		for (struct name *next, *at = names->buckets[i]; at; at = next) {
			next = at->next;
			free(at);
		}
	*names = (struct names){ 0 };
}
