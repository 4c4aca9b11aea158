/* Records by hand, output compared to the letter. */
#include <stdlib.h>
#include <string.h>
#include "format.h"
#include "tables.h"

static int failures;
#define CHECK(got, want) do { if (strcmp(got, want)) { failures++; \
	printf("%s:%d\n got: %s\nwant: %s\n", __func__, __LINE__, got, want); } } while (0)

static _Alignas(8) unsigned char memory[RECORD_MAX];
static struct record *rec = (struct record *)memory;
static char *output;

static void call(int nr, int64_t ret, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	memset(memory, 0, sizeof(memory));
	*rec = (struct record){ .size = sizeof(*rec), .entry_size = sizeof(*rec), .kind = RECORD_SYSCALL,
		.caught = CAUGHT_SITE, .nr = nr, .args = { a, b, c, d, e, f }, .ret = ret };
}

static void piece(int arg, int kind, int phase, const void *data, uint32_t size, uint64_t full)
{
	struct piece *at = (struct piece *)(memory + rec->size);

	*at = (struct piece){ .arg = (uint8_t)arg, .kind = (uint8_t)kind, .phase = (uint8_t)phase, .size = size, .full = full };
	memcpy(at + 1, data, size);
	rec->size += (uint32_t)(sizeof(*at) + WIRE_ALIGN8(size));
}

static const char *run(const struct formatter_ops *ops, const struct event *events, int count)
{
	static char *options_argv[] = { "ls", NULL };
	struct format_options options = { .string_limit = 32, .columns = 40, .argc = 1, .argv = options_argv, .version = "0" };
	size_t size;
	free(output);
	FILE *out = open_memstream(&output, &size);
	struct formatter *f = ops->open(out, &options);

	for (int i = 0; i < count; i++)
		ops->event(f, &events[i]);
	ops->close(f, &(struct trace_end){ .complete = true });
	fclose(out);
	return output;
}

static const char *text(void)
{
	struct event event = { .type = EVENT_EXIT, .pid = 1, .tid = 1, .comm = "x", .id = 1, .record = rec };

	return run(&formatter_text, &event, 1);
}

static void calls_print_as_strace_prints_them(void)
{
	call(3, 0, 3, 0, 0, 0, 0, 0);
	CHECK(text(), "close(3)                                = 0\n");
	call(0, 4, 3, 0x1000, 10, 0, 0, 0);
	piece(1, PIECE_MEM, PHASE_EXIT, "a\0011\n", 4, 4);
	CHECK(text(), "read(3, \"a\\0011\\n\", 10)                 = 4\n");
	call(0, -9, 3, 0x1000, 10, 0, 0, 0);
	CHECK(text(), "read(3, 0x1000, 10)                     = -1 EBADF (Bad file descriptor)\n");
	call(257, 3, (uint64_t)-100, 0x1000, 02000000, 0, 0, 0);
	piece(1, PIECE_MEM, PHASE_ENTRY, "/etc/x", 7, 7);
	CHECK(text(), "openat(AT_FDCWD, \"/etc/x\", O_RDONLY|O_CLOEXEC) = 3\n");
	call(56, 5, 0x1200011, 0, 0, 0x7f00, 0, 0);
	CHECK(text(), "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f00) = 5\n");
	call(501, -38, 1, 2, 3, 4, 5, 6);
	CHECK(text(), "syscall_0x1f5(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS (Function not implemented)\n");
	call(34, -514, 0, 0, 0, 0, 0, 0);
	CHECK(text(), "pause()                                 = ? ERESTARTNOHAND (To be restarted if no handler)\n");
	call(9, 0x7f0000000000, 0, 8192, 3, 0x22, (uint64_t)-1, 0);
	CHECK(text(), "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n");
}

static void short_struct_reads_as_address(void)
{
	call(5, 0, 3, 0x1000, 0, 0, 0, 0);
	piece(1, PIECE_MEM, PHASE_EXIT, "abc", 3, 3);
	CHECK(text(), "fstat(3, 0x1000)                        = 0\n");
	for (int nr = 0; nr < 470; nr++)
		for (uint32_t size = 0; size < 40; size++) {
			struct event event = { .type = EVENT_EXIT, .comm = "x", .record = rec };

			call(nr, 64, 64, 64, 64, 64, 64, 64);
			for (int arg = 0; arg < 6; arg++)
				for (int kind = PIECE_MEM; kind <= PIECE_LEN; kind++)
					piece(arg, kind, arg & 1, "\377\1\2\3\4\5\6\7\1\2\3\4\5\6\7\1\2\3\4\5\6\7\1\2\3\4\5\6\7\1\2\3\4\5\6\7\1\2\3\4", size, 9);
			unsigned char *exact = malloc(rec->size);
			memcpy(exact, rec, rec->size);
			event.record = (struct record *)exact;
			run(&formatter_text, &event, 1);
			run(&formatter_json, &event, 1);
			free(exact);
		}
}

/* The arguments of the one event in JSON, and its result. */
static const char *json_args(void)
{
	struct event event = { .type = EVENT_EXIT, .pid = 1, .tid = 1, .comm = "x", .id = 1, .record = rec };
	static char part[1024];
	const char *text = run(&formatter_jsonl, &event, 1), *from = strstr(text, "\"args\":"), *to = from ? strstr(from, ",\"state\"") : NULL;

	snprintf(part, sizeof(part), "%.*s", to ? (int)(to - from) : 0, from ? from : "");
	return part;
}

static void arguments_behind_a_command_print_as_strace_prints_them(void)
{
	call(16, 0, 3, 0x5414, 0x1000, 0, 0, 0);
	piece(2, PIECE_MEM, PHASE_ENTRY, (uint16_t[]){ 24, 80, 0, 0 }, 8, 8);
	CHECK(text(), "ioctl(3, TIOCSWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0\n");
	CHECK(json_args(), "\"args\":[{\"name\":\"fd\",\"type\":\"unsigned int\",\"value\":{\"value\":3}}"
		",{\"name\":\"cmd\",\"type\":\"unsigned int\",\"value\":{\"value\":21524,\"name\":\"TIOCSWINSZ\"}}"
		",{\"name\":\"arg\",\"type\":\"unsigned long\",\"value\":{\"ws_row\":24,\"ws_col\":80,\"ws_xpixel\":0,\"ws_ypixel\":0}}],\"ret\":{\"value\":0}");
	call(72, 2, 3, 1025, 0, 0, 0, 0);
	CHECK(text(), "fcntl(3, F_GETLEASE)                    = 0x2 (F_UNLCK)\n");
	call(157, 0, 47, 2, 1, 0, 0, 0);
	CHECK(text(), "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0) = 0\n");
	CHECK(json_args(), "\"args\":[{\"name\":\"option\",\"type\":\"int\",\"value\":{\"value\":47,\"name\":\"PR_CAP_AMBIENT\"}}"
		",{\"name\":\"arg2\",\"type\":\"unsigned long\",\"value\":{\"value\":2,\"name\":\"PR_CAP_AMBIENT_RAISE\"}}"
		",{\"name\":\"arg3\",\"type\":\"unsigned long\",\"value\":{\"value\":1,\"name\":\"CAP_DAC_OVERRIDE\"}}"
		",{\"name\":\"arg4\",\"type\":\"unsigned long\",\"value\":\"0x0\"}"
		",{\"name\":\"arg5\",\"type\":\"unsigned long\",\"value\":\"0x0\"}],\"ret\":{\"value\":0}");
	call(54, 0, 3, 1, 13, 0x1000, 8, 0);
	piece(3, PIECE_MEM, PHASE_ENTRY, (uint32_t[]){ 1, 5 }, 8, 8);
	CHECK(text(), "setsockopt(3, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}, 8) = 0\n");
	CHECK(json_args(), "\"args\":[{\"name\":\"fd\",\"type\":\"int\",\"value\":{\"value\":3}}"
		",{\"name\":\"level\",\"type\":\"int\",\"value\":{\"value\":1,\"name\":\"SOL_SOCKET\"}}"
		",{\"name\":\"optname\",\"type\":\"int\",\"value\":{\"value\":13,\"name\":\"SO_LINGER\"}}"
		",{\"name\":\"optval\",\"type\":\"char *\",\"value\":{\"l_onoff\":1,\"l_linger\":5}}"
		",{\"name\":\"optlen\",\"type\":\"int\",\"value\":8}],\"ret\":{\"value\":0}");
	call(126, 0, 0x1000, 0x2000, 0, 0, 0, 0);
	piece(0, PIECE_MEM, PHASE_ENTRY, (uint32_t[]){ 0x20080522, 0 }, 8, 8);
	piece(1, PIECE_MEM, PHASE_ENTRY, (uint32_t[]){ 1, 0, 0, 1, 0, 0 }, 24, 24);
	CHECK(text(), "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, "
		"{effective=1<<CAP_CHOWN|1<<CAP_MAC_OVERRIDE, permitted=0, inheritable=0}) = 0\n");
}

/* One record with `size` bytes of everything at every argument, in memory of just its size. */
static void render_with_bytes(int nr, const uint64_t args[6], uint32_t size, int fill)
{
	struct event event = { .type = EVENT_EXIT, .comm = "x", .record = rec };
	unsigned char bytes[64];

	memset(bytes, fill, sizeof(bytes));
	call(nr, 1, args[0], args[1], args[2], args[3], args[4], args[5]);
	for (int arg = 0; arg < 6; arg++)
		for (int kind = PIECE_MEM; kind <= PIECE_LEN; kind++)
			piece(arg, kind, kind & 1 ? PHASE_EXIT : PHASE_ENTRY, bytes, size, size);
	unsigned char *exact = malloc(rec->size);
	memcpy(exact, rec, rec->size);
	event.record = (struct record *)exact;
	run(&formatter_text, &event, 1);
	run(&formatter_json, &event, 1);
	free(exact);
}

static void render_commands(int nr, const struct command_group *group, uint64_t args[6])
{
	static const uint32_t sizes[] = { 0, 3, 8, 20, 64 };

	for (uint32_t i = 0; i < group->count; i++) {
		args[group->lead] = group->rows[i].command;
		if (group->rows[i].row.commands)
			render_commands(nr, group->rows[i].row.commands, args);
		for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++)
			render_with_bytes(nr, args, sizes[j], j & 1 ? 0xff : 1);
	}
}

static void every_command_takes_any_bytes(void)
{
	for (uint32_t nr = 0; nr < syscalls_x86_64_count; nr++) {
		uint64_t args[6] = { 40, 40, 40, 40, 40, 40 };

		if (syscalls_x86_64[nr].name && syscalls_x86_64[nr].commands)
			render_commands((int)nr, syscalls_x86_64[nr].commands, args);
	}
}

static void interleaved_calls_are_unfinished_and_resumed(void)
{
	struct event events[3] = { { .type = EVENT_ENTER, .tid = 1, .comm = "x", .id = 1, .record = rec },
		{ .type = EVENT_EXITED, .tid = 2, .comm = "x" }, { .type = EVENT_EXIT, .tid = 1, .comm = "x", .id = 1, .record = rec } };

	call(3, 0, 3, 0, 0, 0, 0, 0);
	CHECK(run(&formatter_text, events, 3), "close(3 <unfinished ...>\n+++ exited with 0 +++\n<... close resumed>)                    = 0\n");
}

int main(int argc, char **argv)
{
	struct event event = { .type = EVENT_EXIT, .pid = 1, .tid = 1, .comm = "x", .record = rec };

	calls_print_as_strace_prints_them();
	interleaved_calls_are_unfinished_and_resumed();
	arguments_behind_a_command_print_as_strace_prints_them();
	call(257, -2, (uint64_t)-100, 0x1000, 02000000, 0, 0, 0);
	piece(1, PIECE_MEM, PHASE_ENTRY, "/\377", 3, 3);
	run(&formatter_json, &event, 1);
	if (argc > 1 && !strcmp(argv[1], "--json"))
		fputs(output, stdout);
	short_struct_reads_as_address();
	every_command_takes_any_bytes();
	free(output);
	return failures != 0;
}
