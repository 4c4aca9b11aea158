/* The front without a program: lists, names, maps, rings, and a whole drain fed by a little keeper of our own. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clock.h"
#include "drain.h"
#include "filter.h"
#include "maps.h"
#include "merge.h"
#include "nearest.h"
#include "options.h"
#include "output.h"
#include "pace.h"
#include "processes.h"
#include "report.h"
#include "resolve.h"
#include "source.h"

static int failures;
#define CHECK(condition)                                                                   \
	do {                                                                               \
		if (!(condition)) {                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
			failures++;                                                        \
		}                                                                          \
	} while (0)

/* ---- filters ---- */

static bool shows(const char *list, int nr)
{
	char error[FILTER_ERROR] = "";
	struct filter filter;
	struct record record = { .size = sizeof(record), .entry_size = sizeof(record), .nr = nr };

	filter_open(&filter);
	CHECK(filter_trace(&filter, list, error));
	bool shown = filter_shows_call(&filter, &record, RAW_NO);

	filter_close(&filter);
	return shown;
}

static const char *trace_error(const char *list)
{
	static char error[FILTER_ERROR];
	struct filter filter;

	error[0] = 0;
	filter_open(&filter);
	CHECK(!filter_trace(&filter, list, error));
	filter_close(&filter);
	return error;
}

static void trace_lists_choose_names_classes_patterns_and_numbers(void)
{
	CHECK(shows("openat,read", 257) && shows("openat,read", 0) && !shows("openat,read", 1));
	CHECK(!shows("!openat,read", 257) && shows("!openat,read", 1) && shows("!openat", 5000));
	CHECK(shows("%file", 257) && !shows("%file", 0) && shows("file", 257));
	CHECK(shows("%memory", 9) && shows("%%stat", 4) && shows("%network", 41) && shows("%net", 41));
	CHECK(shows("/^open", 257) && shows("/^open", 2) && !shows("/^open", 0));
	CHECK(shows("2,1", 1) && !shows("2,1", 0));
	CHECK(shows("all", 5000) && !shows("none", 0) && shows("!none", 0) && !shows("!all", 5000));
	CHECK(shows("?nosuchcall,read", 0) && shows("read@64", 0) && !shows("read@32", 0));
}

static void unknown_names_get_one_line_with_the_nearest(void)
{
	CHECK(!strcmp(trace_error("opn"), "unknown syscall 'opn': did you mean 'open'?"));
	CHECK(!strcmp(trace_error("opeant"), "unknown syscall 'opeant': did you mean 'openat'?"));
	CHECK(!strcmp(trace_error("zzzzzzzzzzzz"), "unknown syscall 'zzzzzzzzzzzz'"));
	CHECK(!strcmp(trace_error("%fil"), "unknown syscall class 'fil': did you mean 'file'?"));
	CHECK(!strcmp(trace_error("99999"), "unknown syscall '99999'"));
	CHECK(strstr(trace_error("/["), "bad regular expression"));
	CHECK(edit_distance("openat", "opeant") == 1 && edit_distance("", "abc") == 3 && edit_distance("kitten", "sitting") == 3);
}

static void results_and_signals_are_filtered(void)
{
	char error[FILTER_ERROR] = "";
	struct filter filter;
	struct record good = { .ret = 3 }, bad = { .ret = -2 };

	filter_open(&filter);
	CHECK(filter_status(&filter, "failed", error));
	CHECK(!filter_shows_result(&filter, &good, CALL_DONE) && filter_shows_result(&filter, &bad, CALL_DONE));
	CHECK(!filter_shows_result(&filter, &bad, CALL_UNFINISHED));
	CHECK(!filter_status(&filter, "faild", error) && strstr(error, "'failed'"));
	CHECK(filter_signal(&filter, "INT,SIGTERM,9", error));
	CHECK(filter_shows_signal(&filter, 2) && filter_shows_signal(&filter, 15) && filter_shows_signal(&filter, 9));
	CHECK(!filter_shows_signal(&filter, 17));
	CHECK(filter_signal(&filter, "!SIGCHLD", error) && !filter_shows_signal(&filter, 17) && filter_shows_signal(&filter, 2));
	CHECK(!filter_signal(&filter, "SIGFOO", error));
	CHECK(filter_caught(&filter, "raw", error) && filter.raw_only);
	filter_close(&filter);
}

/* ---- options ---- */

static bool parse(struct options *options, char *error, char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return options_parse(options, argc, argv, error);
}
#define ARGV(...) (char *[]){ "vtrace", __VA_ARGS__, NULL }

static void options_stop_at_the_program(void)
{
	char error[OPTIONS_ERROR];
	struct options o;
	bool good;

	good = parse(&o, error, ARGV("-fttTo", "x.json", "-s64", "--trace=read", "-xx", "ls", "-l"));
	CHECK(good);
	CHECK(o.follow && o.time_style == TIME_MICROS && o.call_times && o.outputs[0].format == FORMAT_JSON && o.string_limit == 64);
	CHECK(o.hex_strings == 2 && !strcmp(o.program[0], "ls") && !strcmp(o.program[1], "-l"));
	CHECK(o.filter.quiet & QUIET_ATTACH && o.filter_count == 1);
	options_close(&o);
	good = parse(&o, error, ARGV("-o", "x.jsonl", "--format=text", "-qq", "--", "-odd"));
	CHECK(good);
	CHECK(o.outputs[0].format == FORMAT_TEXT && !strcmp(o.program[0], "-odd") && o.filter.quiet & QUIET_EXIT);
	options_close(&o);
	good = parse(&o, error, ARGV("-e", "caught=raw", "-e", "read", "-E", "A=b", "--follow", "true"));
	CHECK(good);
	CHECK(o.filter.raw_only && o.follow && o.environment_count == 1);
	options_close(&o);
}

static void outputs_are_what_their_names_say(void)
{
	char error[OPTIONS_ERROR];
	struct options o;
	bool good;

	good = parse(&o, error, ARGV("-o", "a.json", "-o", "a.vtr.zst", "-oa.ndjson.zst", "-o", "|cat >x.vtr", "-o", "a.zst", "ls"));
	CHECK(good && o.output_count == 5 && o.to_file);
	CHECK(o.outputs[0].format == FORMAT_JSON && o.outputs[1].format == FORMAT_VTR && o.outputs[2].format == FORMAT_JSONL);
	CHECK(o.outputs[3].format == FORMAT_TEXT && o.outputs[4].format == FORMAT_TEXT);
	options_close(&o);
	good = parse(&o, error, ARGV("record", "-f", "ls"));
	CHECK(good && o.output_count == 1 && !strcmp(o.outputs[0].name, "trace.vtr") && o.outputs[0].format == FORMAT_VTR);
	options_close(&o);
	good = parse(&o, error, ARGV("record", "-o", "a.json", "-o", "b", "ls"));
	CHECK(good && o.outputs[0].format == FORMAT_JSON && o.outputs[1].format == FORMAT_VTR);
	options_close(&o);
	good = parse(&o, error, ARGV("replay", "-e", "read", "-c", "a.vtr"));
	CHECK(good && o.command == COMMAND_REPLAY && !strcmp(o.recording, "a.vtr") && !o.program && o.output_count == 1);
	CHECK(!o.outputs[0].name && o.outputs[0].format == FORMAT_TEXT);
	options_close(&o);
	good = parse(&o, error, ARGV("--", "record", "x"));
	CHECK(good && o.command == COMMAND_TRACE && !strcmp(o.program[0], "record"));
	options_close(&o);
}

static void wrong_options_get_one_line(void)
{
	static const struct { const char *words[3]; const char *error; } rows[] = {
		{ { "-f" }, "no program to run; usage: vtrace [options] [--] PROGRAM [ARGUMENTS]" },
		{ { "-J", "ls" }, "unknown option '-J'; 'vtrace -h' lists them" },
		{ { "--folow-forks", "ls" }, "unknown option '--folow-forks': did you mean '--follow-forks'?" },
		{ { "-s" }, "option '-s' needs a value" },
		{ { "-s", "x", "ls" }, "bad value for --string-limit: 'x'" },
		{ { "--format=xml", "ls" }, "bad value for --format: 'xml'" },
		{ { "-e", "trce=read", "ls" }, "unknown expression 'trce' in -e: did you mean 'trace'?" },
		{ { "-cC", "ls" }, "-c and -C cannot be combined" },
		{ { "record" }, "no program to run; usage: vtrace record [options] [--] PROGRAM [ARGUMENTS]" },
		{ { "record", "-ox.json", "ls" }, "record: none of the outputs is a recording; name one FILE.vtr" },
		{ { "-Aox.vtr", "ls" }, "-A: nothing can be appended to a recording" },
		{ { "--format=vtr", "ls" }, "--format=vtr needs -o FILE: a recording is not for a terminal" },
		{ { "replay" }, "no recording to read; usage: vtrace replay [options] FILE.vtr" },
		{ { "replay", "a", "b" }, "replay reads one recording, and 'b' is a second" },
		{ { "replay", "--vdso", "a" }, "--vdso is for running a program: replay shows what was recorded" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[OPTIONS_ERROR] = "";
		struct options o;
		char *argv[] = { "vtrace", (char *)rows[i].words[0], (char *)rows[i].words[1], (char *)rows[i].words[2], NULL };

		CHECK(!parse(&o, error, argv));
		CHECK(!strcmp(error, rows[i].error));
		options_close(&o);
	}
}

static void programs_are_found_as_execvp_does(void)
{
	char *path;

	CHECK(resolve_program("sh", &path) == 0 && strchr(path, '/'));
	free(path);
	CHECK(resolve_program("no-such-program-at-all", &path) == ENOENT && !path);
	CHECK(resolve_program("/etc/passwd", &path) == EACCES && !path);
	CHECK(resolve_program("", &path) == ENOENT);
}

/* ---- maps ---- */

static void maps_are_found_replaced_and_cut(void)
{
	struct maps maps = { 0 }, copy = { 0 };

	maps_add(&maps, (struct map){ .start = 0x1000, .end = 0x5000, .offset = 0, .object = "/bin/a" });
	maps_add(&maps, (struct map){ .start = 0x8000, .end = 0x9000, .offset = 0x2000, .object = "/lib64/ld-linux-x86-64.so.2" });
	CHECK(!strcmp(maps_find(&maps, 0x1234).object, "/bin/a") && maps_find(&maps, 0x1234).offset == 0x234);
	CHECK(!maps_find(&maps, 0x5000).object && !maps_find(&maps, 0xfff).object);
	CHECK(maps_find(&maps, 0x8010).offset == 0x2010);
	maps_add(&maps, (struct map){ .start = 0x2000, .end = 0x3000, .offset = 0x7000, .object = "/lib/libc.so.6" });
	CHECK(maps.count == 4 && maps_find(&maps, 0x2004).offset == 0x7004 && maps_find(&maps, 0x3004).offset == 0x2004);
	CHECK(maps_raw(&maps, 0x2004) == RAW_NO && maps_raw(&maps, 0x1004) == RAW_YES);
	CHECK(maps_raw(&maps, 0x8004) == RAW_NO && maps_raw(&maps, 0x70000) == RAW_YES);
	maps_copy(&copy, &maps);
	maps_remove(&maps, 0, 0x4000);
	CHECK(maps.count == 2 && !maps_find(&maps, 0x2004).object && maps_find(&maps, 0x4000).offset == 0x3000 && copy.count == 4);
	maps_clear(&maps);
	CHECK(maps_raw(&maps, 0x1004) == RAW_UNKNOWN);
	maps_close(&maps);
	maps_close(&copy);
}

/* ---- merge and clock ---- */

static void moments_come_out_in_order_and_stable(void)
{
	static const uint64_t times[] = { 5, 3, 9, 3, 1, 7, 3, 5 };
	struct merge merge = { 0 };
	struct moment moment;
	uint64_t last = 0, last_sequence = 0;
	size_t count = 0;

	for (size_t i = 0; i < 8; i++)
		merge_add(&merge, (struct moment){ .tsc = times[i] });
	while (merge_take(&merge, 7, &moment)) {
		CHECK(moment.tsc > last || (moment.tsc == last && moment.sequence > last_sequence));
		last = moment.tsc;
		last_sequence = moment.sequence;
		count++;
	}
	CHECK(count == 7 && merge.count == 1);
	merge_close(&merge);
}

struct expected { uint64_t tsc, sequence; };

static int by_time(const void *left, const void *right)
{
	const struct expected *a = left, *b = right;

	if (a->tsc != b->tsc)
		return a->tsc < b->tsc ? -1 : 1;
	return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

/* Calls of several threads, most of them in the order of each thread, taken in rounds: as if each had been two moments. */
static void calls_come_out_in_the_order_of_their_beginnings_and_ends(void)
{
	enum { CALLS = 4000, THREADS = 7 };
	static struct expected expected[CALLS * 2];
	struct merge merge = { 0 };
	struct moment moment;
	uint64_t clocks[THREADS] = { 0 };
	size_t taken = 0, whole = 0;

	srand(1);
	for (uint64_t i = 0; i < CALLS; i++) {
		int thread = i / 20 % THREADS;
		uint64_t start = clocks[thread] + (uint64_t)rand() % 3, end = start + (uint64_t)rand() % 9;

		clocks[thread] = rand() % 50 ? end : start;
		expected[i * 2] = (struct expected){ start, i * 2 };
		expected[i * 2 + 1] = (struct expected){ end, i * 2 + 1 };
		struct record record = { .size = sizeof(record), .nr = (int32_t)i };

		merge_add(&merge, (struct moment){ .tsc = start, .end_tsc = end, .kind = MOMENT_CALL,
						   .call = call_create(&merge.pool, &record, sizeof(record)) });
	}
	qsort(expected, CALLS * 2, sizeof(expected[0]), by_time);
	for (uint64_t limit = 0; merge.count; limit += 5)
		while (merge_take(&merge, limit, &moment)) {
			bool is_call = moment.kind == MOMENT_CALL;

			CHECK(moment.tsc <= limit && (!is_call || moment.end_tsc <= limit));
			CHECK(taken < CALLS * 2 && expected[taken].sequence == moment.sequence);
			CHECK(moment.call->record->nr == (int32_t)(moment.sequence / 2));
			CHECK((moment.kind == MOMENT_EXIT) == (moment.sequence % 2 == 1));
			CHECK(!is_call || expected[taken + 1].sequence == moment.sequence + 1);
			whole += is_call;
			taken += is_call ? 2 : 1;
			moment_release(&moment);
		}
	CHECK(taken == CALLS * 2 && whole > 100);
	merge_close(&merge);
}

static void times_never_go_back_when_the_rate_is_learned(void)
{
	struct tsc_clock clock = { .slope = 1.0 };
	uint64_t before = tsc_clock_ns(&clock, 1000000), late;

	tsc_clock_learn(&clock, (struct clock_pair){ 1000000, 500000 });
	CHECK(tsc_clock_ns(&clock, 1000000) >= before);
	CHECK(tsc_clock_ns(&clock, 1000001) >= tsc_clock_ns(&clock, 1000000));
	for (uint64_t tsc = 2000000; tsc < 2000000000; tsc += 40000000)
		tsc_clock_learn(&clock, (struct clock_pair){ tsc, tsc / 2 });
	late = tsc_clock_ns(&clock, 2000000000);
	CHECK(late > 999000000 && late < 1001000000);
}

/* ---- pace ---- */

static void quick_threads_are_watched_and_idle_ones_left_alone(void)
{
	struct pace pace = { 0 };
	uint64_t now = 0;

	for (int i = 0; i < 20; i++)
		CHECK(pace_after_round(&pace, now += 1000000, 0) == PACE_SLEEP);
	CHECK(pace.wait_ns == 20000000);
	CHECK(pace_after_round(&pace, now += 1000000, 160) == PACE_SLEEP && pace.wait_ns == 1000000);
	CHECK(pace_after_round(&pace, now += 200000, RING_BYTES / 4) == PACE_SLEEP && pace.wait_ns == 100000);
	CHECK(pace_after_round(&pace, now += 10000, RING_BYTES / 8) == PACE_WATCH);
	CHECK(pace_after_round(&pace, now += 200000, 0) == PACE_WATCH); /* longer than a thread sleeps that finds its ring full */
	CHECK(pace_after_round(&pace, now += 200000, 0) == PACE_SLEEP && pace.wait_ns < 100000);
}

/* ---- rings ---- */

struct fake_ring { void *memory; struct front_arena *arena; struct source source; };

static void fake_ring_open(struct fake_ring *ring)
{
	ring->memory = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ring->arena = front_arena_create(ring->memory);
	ring->source = (struct source){ .arena = ring->arena, .slot = 1 };
	arena_ring(ring->memory, 1)->state = RING_USED;
}

/* As the agent: opens a record of `bytes`, completes it when `ret` is wanted. */
static struct record *write_open(struct ring_head *ring, int nr, uint32_t bytes, uint64_t tsc)
{
	uint64_t left = RING_BYTES - ring->head % RING_BYTES;

	if (left < RECORD_MAX) {
		uint32_t *pad = (uint32_t *)(ring_data(ring) + ring->head % RING_BYTES);

		pad[0] = (uint32_t)left;
		pad[1] = 0;
		ring->head += left;
	}
	struct record *record = (struct record *)(ring_data(ring) + ring->head % RING_BYTES);

	memset(record, 0, bytes);
	*record = (struct record){ .size = bytes, .entry_size = sizeof(*record), .kind = RECORD_SYSCALL, .nr = nr,
				   .start_tsc = tsc };
	if (bytes > sizeof(*record)) {
		struct piece *piece = (struct piece *)(record + 1);

		piece->size = bytes - (uint32_t)sizeof(*record) - (uint32_t)sizeof(*piece);
		piece->phase = PHASE_EXIT;
	}
	ring->open_at = ring->head + 1;
	return record;
}

static void write_done(struct ring_head *ring, struct record *record, int64_t ret, uint64_t tsc)
{
	record->ret = ret;
	record->end_tsc = tsc;
	ring->head += record->size;
}

static void rings_wrap_by_pads_and_give_space_back(void)
{
	_Alignas(8) static char copy[RECORD_MAX];
	struct record *record = (struct record *)copy;
	struct fake_ring ring;

	fake_ring_open(&ring);
	struct ring_head *head = arena_ring(ring.memory, 1);

	for (int i = 0; i < 500; i++) {
		write_done(head, write_open(head, i, 152 + (uint32_t)(i % 40) * 8 * 30, (uint64_t)i), i, (uint64_t)i + 1);
		CHECK(source_next(&ring.source, record) == SOURCE_RECORD && record->nr == i && record->ret == i);
		CHECK(source_next(&ring.source, record) == SOURCE_NONE && head->tail == head->head);
	}
	front_arena_release(ring.arena);
}

static void open_records_show_their_entry_part(void)
{
	_Alignas(8) static char copy[RECORD_MAX];
	struct record *record = (struct record *)copy;
	struct fake_ring ring;

	fake_ring_open(&ring);
	struct ring_head *head = arena_ring(ring.memory, 1);

	CHECK(!source_open_since(&ring.source));
	struct record *open = write_open(head, 7, 200, 1234);

	CHECK(source_next(&ring.source, record) == SOURCE_NONE && source_open_since(&ring.source) == 1234);
	CHECK(source_copy_open(&ring.source, record) && record->size == sizeof(*record) && record->nr == 7);
	write_done(head, open, 0, 1240);
	CHECK(!source_copy_open(&ring.source, record) && !source_open_since(&ring.source));
	CHECK(source_next(&ring.source, record) == SOURCE_RECORD && record->size == 200);
	ring.source.ended = true;
	CHECK(!source_free(&ring.source));
	head->state = RING_CLOSED;
	CHECK(source_free(&ring.source) && head->state == RING_FREE);
	front_arena_release(ring.arena);
}

static void check_damage(uint64_t head_at, uint32_t size, uint32_t entry_size, uint32_t piece_size)
{
	_Alignas(8) static char copy[RECORD_MAX];
	struct fake_ring ring;

	fake_ring_open(&ring);
	struct ring_head *head = arena_ring(ring.memory, 1);
	struct record *record = (struct record *)ring_data(head);
	struct piece *piece = (struct piece *)(record + 1);

	record->size = size;
	record->entry_size = entry_size;
	piece->size = piece_size;
	head->head = head_at;
	CHECK(source_next(&ring.source, (struct record *)copy) == SOURCE_CORRUPT);
	CHECK(source_next(&ring.source, (struct record *)copy) == SOURCE_NONE && !source_open_since(&ring.source));
	CHECK(head->abandoned);
	front_arena_release(ring.arena);
}

static void damaged_rings_are_not_read(void)
{
	check_damage(UINT64_MAX & ~7ull, 120, 120, 0);  /* more than the ring holds */
	check_damage(124, 124, 120, 0);                 /* not aligned */
	check_damage(160, 8, 120, 0);                   /* shorter than a record */
	check_damage(160, 200, 120, 0);                 /* runs past the head */
	check_damage(RING_BYTES, 20000, 120, 0);        /* larger than a record may be */
	check_damage(160, 160, 168, 0);                 /* entry part beyond the record */
	check_damage(160, 160, 120, 4000);              /* a piece beyond the record */
	check_damage(160, 160, 0, 0);                   /* a pad that does not end the ring */
}

/* ---- a keeper of our own, and all the way to the events ---- */

struct fake_keeper { int socket; int arena_fd; void *memory; };

static void tell(struct fake_keeper *keeper, struct control head, const void *payload, uint32_t bytes, int fd)
{
	_Alignas(struct cmsghdr) char rights[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec parts[2] = { { &head, sizeof(head) }, { (void *)payload, bytes } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };

	head.payload = bytes;
	head.tsc = head.tsc ? head.tsc : tsc_now();
	if (fd >= 0) {
		msg.msg_control = rights;
		msg.msg_controllen = sizeof(rights);
		struct cmsghdr *rights_head = CMSG_FIRSTHDR(&msg);

		rights_head->cmsg_level = SOL_SOCKET;
		rights_head->cmsg_type = SCM_RIGHTS;
		rights_head->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(rights_head), &fd, sizeof(fd));
	}
	CHECK(sendmsg(keeper->socket, &msg, 0) == (ssize_t)(sizeof(head) + bytes));
}

static void tell_map(struct fake_keeper *keeper, int32_t pid, uint64_t start, uint64_t end, const char *path)
{
	struct { struct control_map map; char path[64]; } payload = { { start, end, 0 }, "" };

	snprintf(payload.path, sizeof(payload.path), "%s", path);
	tell(keeper, (struct control){ .type = MSG_MAP, .pid = pid, .tid = pid }, &payload,
	     (uint32_t)(sizeof(payload.map) + strlen(path) + 1), -1);
}

/* A formatter that writes one short line per event. */
struct formatter { FILE *out; };

static struct formatter *note_open(FILE *out, const struct format_options *options)
{
	struct formatter *formatter = calloc(1, sizeof(*formatter));

	(void)options;
	formatter->out = out;
	return formatter;
}

static void note_event(struct formatter *formatter, const struct event *event)
{
	static const char *const types[] = { "enter", "exit", "signal", "stop", "exited", "process", "note", "lost" };

	fprintf(formatter->out, "%d %s", event->tid, event->whole ? "call" : types[event->type]);
	if (event->type == EVENT_ENTER || event->type == EVENT_EXIT)
		fprintf(formatter->out, " %d", event->record->nr);
	if (event->type == EVENT_EXIT)
		fprintf(formatter->out, "=%lld/%d raw%d %s %s", (long long)event->record->ret, event->state, event->raw,
			event->site.object ? event->site.object : "-", event->comm);
	if (event->type == EVENT_PROCESS)
		fprintf(formatter->out, " %s", event->what);
	fputc('\n', formatter->out);
}

static void note_flush(struct formatter *formatter)
{
	(void)formatter;
}

static void note_close(struct formatter *formatter, const struct trace_end *end)
{
	(void)end;
	free(formatter);
}

static const struct formatter_ops note_ops = { note_open, note_event, note_flush, note_close };

struct fixture {
	struct fake_keeper keeper;
	struct options options;
	struct tsc_clock clock;
	struct merge merge;
	struct control_shared shared;
	struct drain drain;
	struct sink sink;
	struct report report;
	char *text;
	size_t bytes;
	FILE *out;
};

static void fixture_open(struct fixture *f)
{
	char error[OPTIONS_ERROR];
	int ends[2];

	memset(f, 0, sizeof(*f));
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	bool good = parse(&f->options, error, ARGV("--format=jsonl", "true"));

	CHECK(good);
	f->keeper.socket = ends[1];
	f->keeper.arena_fd = memfd_create("arena", MFD_CLOEXEC);
	CHECK(ftruncate(f->keeper.arena_fd, ARENA_BYTES) == 0);
	f->keeper.memory = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->keeper.arena_fd, 0);
	tsc_clock_start(&f->clock);
	f->out = open_memstream(&f->text, &f->bytes);
	drain_open(&f->drain, ends[0], &f->shared, &f->merge);
	f->sink = (struct sink){ .ops = &note_ops, .out = f->out, .formatter = note_open(f->out, NULL) };
	f->report = (struct report){ .options = &f->options, .clock = &f->clock, .sinks = &f->sink, .sink_count = 1 };
}

static void fixture_round(struct fixture *f)
{
	uint64_t limit = drain_round(&f->drain);
	struct moment moment;

	while (merge_take(&f->merge, f->drain.ended ? UINT64_MAX : limit, &moment)) {
		report_moment(&f->report, &moment);
		moment_release(&moment);
	}
	fflush(f->out);
}

static void fixture_close(struct fixture *f, const char *expected)
{
	fixture_round(f);
	CHECK(f->drain.finished);
	if (strcmp(f->text, expected)) {
		fprintf(stderr, "--- got\n%s--- expected\n%s", f->text, expected);
		failures++;
	}
	note_close(f->sink.formatter, NULL);
	fclose(f->out);
	free(f->text);
	report_close(&f->report);
	close(f->drain.socket);
	close(f->keeper.socket);
	close(f->keeper.arena_fd);
	munmap(f->keeper.memory, ARENA_BYTES);
	drain_close(&f->drain);
	merge_close(&f->merge);
	options_close(&f->options);
}

static struct ring_head *use_ring(struct fixture *f, uint32_t slot)
{
	struct ring_head *ring = arena_ring(f->keeper.memory, slot);

	ring->state = RING_USED;
	return ring;
}

static void a_program_execs_blocks_and_ends(void)
{
	struct fixture f;

	fixture_open(&f);
	struct fake_keeper *keeper = &f.keeper;
	struct record execve = { .size = sizeof(execve), .entry_size = sizeof(execve), .nr = 59, .start_tsc = tsc_now() };
	struct ring_head *ring = use_ring(&f, 0);

	tell(keeper, (struct control){ .type = MSG_THREAD, .pid = 10, .tid = 10, .slot = -1, .value = BIRTH_START }, "vt", 3, -1);
	execve.start_tsc = tsc_now();
	tell(keeper, (struct control){ .type = MSG_RECORD, .pid = 10, .tid = 10 }, &execve, sizeof(execve), -1);
	tell(keeper, (struct control){ .type = MSG_EXEC, .pid = 10, .tid = 10, .aux = 10 }, "/bin/cat", 9, -1);
	tell(keeper, (struct control){ .type = MSG_ARENA, .pid = 10, .tid = 10, .arena = 3 }, "", 0, keeper->arena_fd);
	tell_map(keeper, 10, 0x1000, 0x2000, "/lib/libc.so.6");
	tell_map(keeper, 10, 0x3000, 0x4000, "/lib64/ld-linux-x86-64.so.2");
	tell(keeper, (struct control){ .type = MSG_RING, .pid = 10, .tid = 10, .arena = 3, .slot = 0 }, "", 0, -1);
	struct record *read = write_open(ring, 0, 200, tsc_now());

	read->site = 0x1234;
	fixture_round(&f); /* seen open once */
	CHECK(!strstr(f.text, "enter 0"));
	fixture_round(&f);
	fixture_round(&f);
	CHECK(strstr(f.text, "enter 0\n"));
	write_done(ring, read, -512, tsc_now());
	write_open(ring, 231, 120, tsc_now())->site = 0x9000;
	fixture_round(&f);
	ring->state = RING_CLOSED;
	tell(keeper, (struct control){ .type = MSG_EXITED, .pid = 10, .tid = 10 }, "", 0, -1);
	tell(keeper, (struct control){ .type = MSG_FINISHED, .pid = 10 }, "", 0, -1);
	fixture_close(&f, "10 process start\n10 enter 59\n10 process exec\n10 exit 59=0/0 raw2 - vt\n10 enter 0\n"
			  "10 exit 0=-512/2 raw0 /lib/libc.so.6 cat\n10 enter 231\n10 exit 231=0/1 raw1 - cat\n10 exited\n");
}

static void a_vdso_record_is_whole_and_ends_no_open_call(void)
{
	struct fixture f;

	fixture_open(&f);
	struct fake_keeper *keeper = &f.keeper;
	struct record call = { .size = sizeof(call), .entry_size = sizeof(call), .nr = 20, .start_tsc = tsc_now() };
	struct ring_head *ring = use_ring(&f, 0);

	tell(keeper, (struct control){ .type = MSG_ARENA, .pid = 10, .tid = 10, .arena = 0 }, "", 0, keeper->arena_fd);
	tell(keeper, (struct control){ .type = MSG_THREAD, .pid = 10, .tid = 10, .slot = 0, .value = BIRTH_START }, "a", 2, -1);
	call.start_tsc = tsc_now();
	tell(keeper, (struct control){ .type = MSG_RECORD, .pid = 10, .tid = 10 }, &call, sizeof(call), -1);
	fixture_round(&f);
	struct record *asked = write_open(ring, 228, 120, tsc_now());

	asked->kind = RECORD_VDSO;
	write_done(ring, asked, 0, tsc_now());
	fixture_round(&f);
	call.ret = 5;
	call.end_tsc = tsc_now();
	tell(keeper, (struct control){ .type = MSG_RECORD, .pid = 10, .tid = 10, .value = 1 }, &call, sizeof(call), -1);
	tell(keeper, (struct control){ .type = MSG_FINISHED, .pid = 10 }, "", 0, -1);
	fixture_close(&f, "10 process start\n10 enter 20\n10 call 228=0/0 raw0 - a\n10 exit 20=5/0 raw2 - a\n");
}

/* int 0x80: the thread goes on when its end was sent, and its next record may be read before that message. */
static void a_record_of_the_ring_ends_no_call_that_the_keeper_tells(void)
{
	struct fixture f;

	fixture_open(&f);
	struct fake_keeper *keeper = &f.keeper;
	struct record call = { .size = sizeof(call), .entry_size = sizeof(call), .nr = 20, .caught = CAUGHT_PTRACE };
	struct ring_head *ring = use_ring(&f, 0);

	tell(keeper, (struct control){ .type = MSG_ARENA, .pid = 10, .tid = 10, .arena = 0 }, "", 0, keeper->arena_fd);
	tell(keeper, (struct control){ .type = MSG_THREAD, .pid = 10, .tid = 10, .slot = 0, .value = BIRTH_START }, "a", 2, -1);
	call.start_tsc = tsc_now();
	tell(keeper, (struct control){ .type = MSG_RECORD, .pid = 10, .tid = 10 }, &call, sizeof(call), -1);
	fixture_round(&f);
	call.end_tsc = tsc_now();
	struct record *next = write_open(ring, 3, 120, tsc_now());

	next->caught = CAUGHT_SITE;
	write_done(ring, next, 0, tsc_now());
	fixture_round(&f);
	call.ret = 5;
	tell(keeper, (struct control){ .type = MSG_RECORD, .pid = 10, .tid = 10, .value = 1 }, &call, sizeof(call), -1);
	fixture_round(&f);
	CHECK(strstr(f.text, "10 exit 20=5/0") && strstr(f.text, "10 call 3=0/0"));
	tell(keeper, (struct control){ .type = MSG_FINISHED, .pid = 10 }, "", 0, -1);
	char *same = strdup(f.text);

	fixture_close(&f, same);
	free(same);
}

static void two_threads_are_merged_and_a_damaged_ring_is_noted_once(void)
{
	struct fixture f;

	fixture_open(&f);
	struct fake_keeper *keeper = &f.keeper;
	struct ring_head *first = use_ring(&f, 0), *second = use_ring(&f, 1);

	tell(keeper, (struct control){ .type = MSG_ARENA, .pid = 10, .tid = 10, .arena = 0 }, "", 0, keeper->arena_fd);
	tell(keeper, (struct control){ .type = MSG_THREAD, .pid = 10, .tid = 10, .slot = 0, .value = BIRTH_START }, "a", 2, -1);
	tell(keeper, (struct control){ .type = MSG_THREAD, .pid = 10, .tid = 11, .slot = 1, .value = BIRTH_CLONE, .aux = 10 },
	     "b", 2, -1);
	struct record *slow = write_open(first, 1, 120, tsc_now());
	struct record *fast = write_open(second, 2, 120, tsc_now());

	write_done(second, fast, 5, tsc_now());
	write_done(first, slow, 6, tsc_now());
	fixture_round(&f);
	second->head += 4;
	fixture_round(&f);
	fixture_round(&f);
	tell(keeper, (struct control){ .type = MSG_EXITED, .pid = 10, .tid = 11 }, "", 0, -1);
	tell(keeper, (struct control){ .type = MSG_EXITED, .pid = 10, .tid = 10 }, "", 0, -1);
	tell(keeper, (struct control){ .type = MSG_FINISHED, .pid = 10 }, "", 0, -1);
	fixture_close(&f, "10 process start\n11 process clone\n10 enter 1\n11 call 2=5/0 raw2 - b\n"
			  "10 exit 1=6/0 raw2 - a\n11 note\n11 exited\n10 exited\n");
}

static void an_exec_by_a_thread_ends_the_others(void)
{
	struct fixture f;

	fixture_open(&f);
	struct fake_keeper *keeper = &f.keeper;
	struct ring_head *rings[3] = { use_ring(&f, 0), use_ring(&f, 1), use_ring(&f, 2) };

	tell(keeper, (struct control){ .type = MSG_ARENA, .pid = 10, .tid = 10, .arena = 0 }, "", 0, keeper->arena_fd);
	for (int i = 0; i < 3; i++)
		tell(keeper, (struct control){ .type = MSG_THREAD, .pid = 10, .tid = 10 + i, .slot = i,
					       .value = i ? BIRTH_CLONE : BIRTH_START, .aux = i ? 10 : 0 }, "a", 2, -1);
	for (int i = 0; i < 3; i++)
		write_open(rings[i], i == 1 ? 59 : 202, 120, tsc_now());
	tell(keeper, (struct control){ .type = MSG_EXEC, .pid = 10, .tid = 10, .aux = 11 }, "/bin/b", 7, -1);
	tell(keeper, (struct control){ .type = MSG_EXITED, .pid = 10, .tid = 10 }, "", 0, -1);
	tell(keeper, (struct control){ .type = MSG_FINISHED, .pid = 10 }, "", 0, -1);
	fixture_round(&f);
	CHECK(strstr(f.text, "10 exit 202=0/1") && strstr(f.text, "12 exit 202=0/1") && strstr(f.text, "12 exited\n"));
	CHECK(strstr(f.text, "11 enter 59\n") && strstr(f.text, "10 process exec\n10 exit 59=0/0"));
	CHECK(!strstr(f.text, "11 exited") && f.report.processes.threads.count == 0);
	char *same = strdup(f.text);

	fixture_close(&f, same);
	free(same);
}

static void a_full_disk_is_told_once_and_does_no_harm(void)
{
	struct output output;

	CHECK(output_open(&output, "/dev/full", 0) == 0 && output.fd > 2);
	for (int i = 0; i < 5; i++) {
		fprintf(output.file, "line\n");
		CHECK(fflush(output.file) == 0);
	}
	CHECK(output.error == ENOSPC && !output_close(&output));
	CHECK(output_open(&output, "/no/such/directory/x", 0) == ENOENT);
}

int main(void)
{
	trace_lists_choose_names_classes_patterns_and_numbers();
	unknown_names_get_one_line_with_the_nearest();
	results_and_signals_are_filtered();
	options_stop_at_the_program();
	outputs_are_what_their_names_say();
	wrong_options_get_one_line();
	programs_are_found_as_execvp_does();
	maps_are_found_replaced_and_cut();
	moments_come_out_in_order_and_stable();
	calls_come_out_in_the_order_of_their_beginnings_and_ends();
	quick_threads_are_watched_and_idle_ones_left_alone();
	times_never_go_back_when_the_rate_is_learned();
	rings_wrap_by_pads_and_give_space_back();
	open_records_show_their_entry_part();
	damaged_rings_are_not_read();
	a_program_execs_blocks_and_ends();
	a_vdso_record_is_whole_and_ends_no_open_call();
	a_record_of_the_ring_ends_no_call_that_the_keeper_tells();
	two_threads_are_merged_and_a_damaged_ring_is_noted_once();
	an_exec_by_a_thread_ends_the_others();
	a_full_disk_is_told_once_and_does_no_harm();
	if (failures)
		fprintf(stderr, "%d checks failed\n", failures);
	return failures != 0;
}
