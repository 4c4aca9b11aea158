#include <stdlib.h>
#include <string.h>
#include "lines.h"
#include "render.h"
#include "report.h"
#include "shape.h"

/* A record is 16 KiB at most; one byte of it can become `\377`, a small number in an array, or a struct member. */
#define OUTPUT_MAX (1u << 20)
#define PID 7

struct collected { char text[OUTPUT_MAX]; size_t bytes; };

static ssize_t write_sink(void *cookie, const char *text, size_t bytes)
{
	struct collected *sink = cookie;

	if (bytes > sizeof(sink->text) - sink->bytes)
		fuzz_failed("output without bound", sink->text, sink->bytes);
	memcpy(sink->text + sink->bytes, text, bytes);
	sink->bytes += bytes;
	return (ssize_t)bytes;
}

static struct format_options options_of(const struct show *show)
{
	static const uint32_t limits[] = { 0, 1, 32, 4096 };
	static char *argv[] = { (char *)"vtrace", (char *)"p\xffrogram", NULL };

	return (struct format_options){
		.string_limit = limits[show->strings & 3], .hex_strings = show->strings >> 2 & 3,
		.time_style = (enum time_style)(show->style % 5), .call_times = show->style & 16,
		.fd_paths = show->style & 32, .verbose = show->style & 64, .via = show->style & 128, .hide_exec_thread = show->strings & 16,
		.output_is_file = show->strings & 32, .columns = show->strings & 64 ? 0 : 40, .argc = 2, .argv = argv,
		.version = "0", .cwd = "/", .kernel = "0",
	};
}

static void message(struct report *report, struct control head, const void *payload, size_t bytes)
{
	struct message *message = calloc(1, sizeof(*message) + bytes + 1);

	head.pid = head.tid = PID;
	head.payload = (uint32_t)bytes;
	message->head = head;
	memcpy(message->payload, payload, bytes);
	struct moment moment = { .kind = MOMENT_MESSAGE, .message = message };

	report_moment(report, &moment);
	moment_release(&moment);
}

/* A process whose syscall instructions lie in a file of that name. */
static void begin(struct report *report, const struct record *record, const char *name)
{
	char payload[sizeof(struct control_map) + 4097] = { 0 };
	struct control_map map = { record->site & ~4095ull, (record->site & ~4095ull) + 65536, 4096 };

	strncpy(payload + sizeof(map), name, 4096);
	message(report, (struct control){ .type = MSG_THREAD, .value = BIRTH_START }, name, strlen(name) + 1);
	memcpy(payload, &map, sizeof(map));
	message(report, (struct control){ .type = MSG_MAP }, payload, sizeof(map) + strlen(payload + sizeof(map)) + 1);
	map = (struct control_map){ .offset = 1 };
	memcpy(payload, &map, sizeof(map));
	message(report, (struct control){ .type = MSG_MAP }, payload, sizeof(map) + strlen(payload + sizeof(map)) + 1);
}

static void call(struct report *report, const struct record *record, const struct show *show, uint64_t id)
{
	struct call *call = call_create(NULL, record, record->size);
	struct moment moment = { .tsc = record->start_tsc, .kind = MOMENT_ENTER, .call = call };

	call->id = id;
	call->pid = call->tid = call->exit_tid = PID;
	call->state = (enum call_state)(show->state & 3);
	report_moment(report, &moment);
	if (show->state & 4) /* in text: "<unfinished ...>", then "resumed" */
		message(report, (struct control){ .type = MSG_SIGNAL, .value = record->nr }, record,
			record->size < 128 ? record->size : 128);
	moment.kind = MOMENT_EXIT;
	moment.tsc = record->end_tsc;
	report_moment(report, &moment);
	call_release(call);
}

static FILE *nowhere(void)
{
	static FILE *file;

	if (!file)
		file = fopen("/dev/null", "w");
	return file;
}

static void render(const struct formatter_ops *ops, enum trace_format format, const struct record *record,
		   const struct show *show, const char *name, struct collected *sink)
{
	static const cookie_io_functions_t functions = { .write = write_sink };
	struct format_options format_options = options_of(show);
	struct options options = { .follow = true, .to_file = true };
	struct tsc_clock clock = { .slope = 0.5 };
	struct sink out = { .ops = ops, .text = format == FORMAT_TEXT, .file = true };
	struct report report = { .options = &options, .clock = &clock, .sinks = &out, .sink_count = 1,
				 .functions = libc_functions, .function_count = libc_functions_count };

	filter_open(&options.filter);
	sink->bytes = 0;
	out.out = fopencookie(sink, "w", functions);
	out.formatter = ops->open(out.out, &format_options);
	report.summary = summary_open(show->where & 1 ? "calls,name" : "name");
	begin(&report, record, name);
	call(&report, record, show, 1);
	call(&report, record, show, 2);
	message(&report, (struct control){ .type = MSG_EXITED, .value = record->nr & 0xffff }, "", 1);
	ops->close(out.formatter, &(struct trace_end){ .complete = true });
	summary_close(report.summary, nowhere(), "time", NULL);
	fclose(out.out);
	filter_close(&options.filter);
	report_close(&report);
}

void render_everywhere(const struct record *record, const struct show *show, const char *name)
{
	static struct collected sink;

	render(&formatter_text, FORMAT_TEXT, record, show, name, &sink);
	check_text_lines(sink.text, sink.bytes, show->state & 4 ? 7 : 3);
	render(&formatter_jsonl, FORMAT_JSONL, record, show, name, &sink);
	check_json_lines(sink.text, sink.bytes);
	check_json_shapes(sink.text, sink.bytes);
	render(&formatter_json, FORMAT_JSON, record, show, name, &sink);
	check_json_document(sink.text, sink.bytes);
}
