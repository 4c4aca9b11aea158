/* Executable mappings: told to the front, which names call sites by them, and rewritten. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "keeper.h"

/* `start` 0: the front learns the address from the record of the mmap, which comes after. */
static void send_map(struct keeper *k, const struct task *task, struct control_map map, const char *name)
{
	char payload[sizeof(map) + 4200];

	memcpy(payload, &map, sizeof(map));
	snprintf(payload + sizeof(map), sizeof(payload) - sizeof(map), "%s", name);
	send_control(k, (struct control){ .type = MSG_MAP, .pid = task->pid, .tid = task->tid }, payload,
		     (uint32_t)(sizeof(map) + strlen(payload + sizeof(map)) + 1), -1);
}

void tell_mapping(struct keeper *k, struct task *task, uint64_t start, uint64_t bytes, int fd, uint64_t offset)
{
	char link[64], name[4097];

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", task->tid, fd);
	ssize_t got = readlink(link, name, sizeof(name) - 1);

	if (got < 0)
		return;
	name[got] = 0;
	send_map(k, task, (struct control_map){ .offset = offset }, name);
	if (task->chunk != NO_INDEX && space_of(k, task)->rewriting.loaded)
		rewrite_mapped(k, task, link, start, (bytes + 4095) & ~4095ull, offset);
}

void tell_image_maps(struct keeper *k, struct task *task)
{
	char path[64], line[4600];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", task->tid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		char mode[8], name[4100] = "", file[4200];
		struct control_map map;

		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4099[^\n]", &map.start, &map.end, mode, &map.offset, name) < 4 ||
		    mode[2] != 'x' || !name[0]) /* without a name: the agent's own */
			continue;
		send_map(k, task, map, name);
		if (task->chunk == NO_INDEX || name[0] != '/' || mode[3] != 'p')
			continue;
		snprintf(file, sizeof(file), "/proc/%d/root%s", task->tid, name);
		rewrite_mapped(k, task, file, map.start, map.end - map.start, map.offset);
	}
	if (maps)
		fclose(maps);
}
