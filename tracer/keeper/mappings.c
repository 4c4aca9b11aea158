/* Executable mappings: told to the front, which names call sites by them, and rewritten. */
#include <stdio.h>
#include <stdlib.h>
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

struct maps_line { uint64_t start, end, offset; const char *mode, *name; };

/* A hexadecimal number and the character behind it. */
static uint64_t take_hex(char **at)
{
	uint64_t number = strtoull(*at, at, 16);

	*at += **at != 0;
	return number;
}

static void skip_word(char **at)
{
	*at += strcspn(*at, " ");
	*at += strspn(*at, " ");
}

/* Without the stdio functions, which would take the most of an exec's time. */
static struct maps_line parse_line(char *at)
{
	struct maps_line line;

	line.start = take_hex(&at);
	line.end = take_hex(&at);
	line.mode = strlen(at) < 4 ? "----" : at;
	skip_word(&at);
	line.offset = take_hex(&at);
	skip_word(&at); /* device */
	skip_word(&at); /* inode */
	line.name = at;
	return line;
}

static void tell_line(struct keeper *k, struct task *task, const struct maps_line *line)
{
	char file[4200];

	if (line->mode[2] != 'x' || !line->name[0]) /* without a name: the agent's own */
		return;
	send_map(k, task, (struct control_map){ .start = line->start, .end = line->end, .offset = line->offset }, line->name);
	if (task->chunk == NO_INDEX || line->name[0] != '/' || line->mode[3] != 'p')
		return;
	snprintf(file, sizeof(file), "/proc/%d/root%s", task->tid, line->name);
	rewrite_mapped(k, task, file, line->start, line->end - line->start, line->offset);
}

void tell_image_maps(struct keeper *k, struct task *task)
{
	static char text[1 << 16]; /* a fresh image has some twenty lines */

	read_proc(task->tid, "maps", text, sizeof(text));
	for (char *at = text, *end; *at; at = end) {
		end = at + strcspn(at, "\n");
		if (*end)
			*end++ = 0;
		struct maps_line line = parse_line(at);

		tell_line(k, task, &line);
	}
}
