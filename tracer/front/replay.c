/* Each entry of a recording becomes the moment it was. What was recorded is a fact: the options -f, -s and -y are the recording's
 * where replay is not told otherwise; how it is printed is said now. */
#include <signal.h>
#include <string.h>
#include "die.h"
#include "memory.h"
#include "replay.h"
#include "sinks.h"
#include "vtr_read.h"

#define FUNCTIONS (UINT16_MAX + 1u)
#define TEXTS_BEFORE_ARGV 3

struct replay {
	struct options options;             /* as given, with what the recording says; lists are borrowed */
	struct vtr_reader *reader;
	struct vtr_header head;
	const char **texts;                 /* those of the header, in `entry` */
	struct vtr_entry *entry;            /* a copy of the header's */
	struct format_options format_options;
	const char **filters;               /* the recording's and ours */
	struct tsc_clock clock;
	struct sinks sinks;
	struct report report;
	const char *functions[FUNCTIONS];   /* by `via` - 1; interned in the report's names */
	struct table open;                  /* struct call by id */
	struct call call;                   /* of a VTR_CALL */
	struct message *message;            /* as large as one was */
	size_t message_bytes;
	uint64_t calls;
	struct vtr_end end;
	bool ended;
};

/* ---- the header ---- */

/* The texts behind the fixed part; false when there are fewer. */
static bool split_texts(struct replay *replay)
{
	const char *at = (const char *)(replay->entry + 1) + sizeof(replay->head);
	const char *end = (const char *)replay->entry + replay->entry->bytes;
	uint64_t count = TEXTS_BEFORE_ARGV + (uint64_t)replay->head.argc + replay->head.filter_count;

	if (count > replay->entry->bytes)
		return false;
	replay->texts = allocate((count + 1) * sizeof(*replay->texts));
	for (uint64_t i = 0; i < count; i++) {
		const char *nul = memchr(at, 0, (size_t)(end - at));

		if (!nul)
			return false;
		replay->texts[i] = at;
		at = nul + 1;
	}
	return true;
}

static bool read_header(struct replay *replay)
{
	const struct vtr_entry *entry;

	if (vtr_read(replay->reader, &entry) != VTR_ENTRY || entry->type != VTR_HEADER ||
	    entry->bytes < sizeof(*entry) + sizeof(replay->head))
		return false;
	replay->entry = allocate(entry->bytes);
	memcpy(replay->entry, entry, entry->bytes);
	memcpy(&replay->head, entry + 1, sizeof(replay->head));
	return split_texts(replay);
}

static void settle_options(struct replay *replay)
{
	struct vtr_header *head = &replay->head;
	struct options *options = &replay->options;

	options->follow = head->flags & VTR_FOLLOW;
	options->vdso = head->flags & VTR_VDSO;
	options->filter.status &= head->status;
	head->status = options->filter.status;
	if (!options->string_limit_given)
		options->string_limit = head->string_limit;
	if (!options->fd_paths_given)
		options->fd_paths = head->flags & VTR_FD_PATHS;
	if (options->string_limit > head->string_limit)
		warn_line("-s %u: %s was recorded with -s %u, and there is no more of its strings", options->string_limit,
			  options->recording, head->string_limit);
	if (options->fd_paths && !(head->flags & VTR_FD_PATHS))
		warn_line("-y: %s was recorded without paths of descriptors (-y)", options->recording);
}

static void fill_format_options(struct replay *replay)
{
	const struct options *options = &replay->options;
	const struct vtr_header *head = &replay->head;
	const char **argv = replay->texts + TEXTS_BEFORE_ARGV;
	uint32_t count = head->filter_count + options->filter_count;

	replay->filters = allocate((count + 1) * sizeof(*replay->filters));
	memcpy(replay->filters, argv + head->argc, head->filter_count * sizeof(*replay->filters));
	for (uint32_t i = 0; i < options->filter_count; i++)
		replay->filters[head->filter_count + i] = options->filter_texts[i];
	replay->format_options = options_format(options);
	replay->format_options.argc = (int)head->argc;
	replay->format_options.argv = (char **)argv;
	replay->format_options.version = replay->texts[0];
	replay->format_options.cwd = replay->texts[1];
	replay->format_options.kernel = replay->texts[2];
	replay->format_options.start_realtime_ns = head->start_realtime_ns;
	replay->format_options.start_monotonic_ns = head->start_monotonic_ns;
	replay->format_options.filters = replay->filters;
	replay->format_options.filter_count = count;
}

/* ---- entries ---- */

static bool on_clock(struct replay *replay, const char *payload, size_t bytes)
{
	struct vtr_clock told;

	if (bytes < sizeof(told))
		return false;
	sinks_flush(&replay->sinks, false); /* a recording we write has its own moments for this */
	memcpy(&told, payload, sizeof(told));
	replay->clock.anchor = (struct clock_pair){ told.anchor_tsc, told.anchor_ns };
	replay->clock.slope = told.slope;
	return true;
}

static bool on_name(struct replay *replay, const char *payload, size_t bytes)
{
	uint64_t number;

	if (bytes < sizeof(number) + 1 || payload[bytes - 1])
		return false;
	memcpy(&number, payload, sizeof(number));
	if (!number || number > FUNCTIONS)
		return false;
	replay->functions[number - 1] = names_intern(&replay->report.names, payload + sizeof(number));
	return true;
}

static void report_exit(struct replay *replay, struct call *call, uint64_t tsc)
{
	struct moment moment = { .kind = MOMENT_EXIT, .call = call, .tsc = tsc };

	report_moment(&replay->report, &moment);
	replay->calls++;
}

static bool state_known(uint8_t state)
{
	return state <= CALL_NOT_MADE;
}

static bool on_call(struct replay *replay, const struct vtr_entry *entry, const char *payload, size_t bytes)
{
	struct call *call = &replay->call;
	struct moment moment = { .kind = MOMENT_CALL, .call = call };

	/* The record is read where it lies, in the reader's own block; nobody changes it there. */
	if (!record_valid((const struct record *)payload, bytes) || !state_known(entry->state))
		return false;
	*call = (struct call){ .references = 1, .record = (struct record *)payload, .state = (enum call_state)entry->state,
			       .hidden = entry->flags & VTR_HIDDEN };
	call->pid = call->record->pid;
	call->tid = call->exit_tid = call->record->tid;
	call->id = ++replay->calls << 32; /* apart from those that come from the file */
	moment.tsc = call->record->start_tsc;
	moment.end_tsc = call->record->end_tsc;
	report_moment(&replay->report, &moment);
	sinks_settle(&replay->sinks); /* no writer keeps this call back: it is another one next time */
	return true;
}

static void forget(struct replay *replay, struct call *call)
{
	table_remove(&replay->open, (int32_t)call->id);
	call_release(call);
}

static bool on_enter(struct replay *replay, const struct vtr_entry *entry, const char *payload, size_t bytes)
{
	const struct record *record = (const struct record *)(payload + sizeof(struct vtr_enter));
	struct moment moment = { .kind = MOMENT_ENTER };
	struct vtr_enter enter;

	if (bytes < sizeof(enter) || !record_valid(record, bytes - sizeof(enter)))
		return false;
	memcpy(&enter, payload, sizeof(enter));
	if (table_get(&replay->open, (int32_t)enter.id))
		forget(replay, table_get(&replay->open, (int32_t)enter.id));
	moment.call = call_create(NULL, record, record->size);
	moment.call->id = (uint32_t)enter.id;
	moment.call->pid = enter.pid;
	moment.call->tid = moment.call->exit_tid = enter.tid;
	moment.call->hidden = entry->flags & VTR_HIDDEN;
	moment.tsc = record->start_tsc;
	table_put(&replay->open, (int32_t)enter.id, moment.call);
	report_moment(&replay->report, &moment);
	return true;
}

static bool on_exit_entry(struct replay *replay, const struct vtr_entry *entry, const char *payload, size_t bytes)
{
	const struct record *record = (const struct record *)(payload + sizeof(struct vtr_exit));
	struct vtr_exit leave;

	if (bytes < sizeof(leave) || !state_known(entry->state) ||
	    (bytes > sizeof(leave) && !record_valid(record, bytes - sizeof(leave))))
		return false;
	memcpy(&leave, payload, sizeof(leave));
	struct call *call = table_get(&replay->open, (int32_t)leave.id);

	if (!call)
		return true; /* its beginning was filtered away */
	if (bytes > sizeof(leave)) {
		sinks_flush(&replay->sinks, false); /* a recording we write still has to say how it began */
		call_renew(call, record);
	}
	call->record->ret = leave.ret;
	call->record->end_tsc = leave.tsc;
	call->exit_tid = leave.exit_tid;
	call->state = (enum call_state)entry->state;
	report_exit(replay, call, leave.tsc);
	sinks_settle(&replay->sinks);
	forget(replay, call);
	return true;
}

static bool on_message(struct replay *replay, const char *payload, size_t bytes)
{
	struct moment moment = { .kind = MOMENT_MESSAGE };
	struct control head;

	if (bytes < sizeof(head))
		return false;
	memcpy(&head, payload, sizeof(head));
	if (head.payload > bytes - sizeof(head))
		return false;
	if (sizeof(*moment.message) + head.payload + 1 > replay->message_bytes) {
		replay->message_bytes = sizeof(*moment.message) + head.payload + 1;
		replay->message = reallocate(replay->message, replay->message_bytes);
	}
	moment.message = replay->message;
	moment.message->head = head;
	memcpy(moment.message->payload, payload + sizeof(head), head.payload);
	moment.message->payload[head.payload] = 0;
	moment.tsc = head.tsc;
	report_moment(&replay->report, &moment);
	return true;
}

static bool on_end(struct replay *replay, const char *payload, size_t bytes)
{
	if (bytes < sizeof(replay->end))
		return false;
	memcpy(&replay->end, payload, sizeof(replay->end));
	replay->ended = true;
	return true;
}

/* False: it is not what its type says. */
static bool on_entry(struct replay *replay, const struct vtr_entry *entry)
{
	const char *payload = (const char *)(entry + 1);
	size_t bytes = entry->bytes - sizeof(*entry);

	switch ((enum vtr_type)entry->type) {
	case VTR_HEADER:
		return false;
	case VTR_CLOCK:
		return on_clock(replay, payload, bytes);
	case VTR_NAME:
		return on_name(replay, payload, bytes);
	case VTR_CALL:
		return on_call(replay, entry, payload, bytes);
	case VTR_ENTER:
		return on_enter(replay, entry, payload, bytes);
	case VTR_EXIT:
		return on_exit_entry(replay, entry, payload, bytes);
	case VTR_MESSAGE:
		return on_message(replay, payload, bytes);
	case VTR_END:
		return on_end(replay, payload, bytes);
	}
	return true; /* of a later vtrace */
}

static enum vtr_result show(struct replay *replay)
{
	const struct vtr_entry *entry;
	enum vtr_result result;

	while ((result = vtr_read(replay->reader, &entry)) == VTR_ENTRY)
		if (replay->ended || !on_entry(replay, entry))
			return VTR_DAMAGED;
	return result;
}

/* Calls that had begun when the recording was cut. In the order of their beginning. */
static void show_unfinished(struct replay *replay)
{
	while (replay->open.count) {
		struct call *first = NULL;
		void *value;

		for (size_t i = 0; table_next(&replay->open, &i, &value);)
			if (!first || ((struct call *)value)->id < first->id)
				first = value;
		first->state = CALL_UNFINISHED;
		first->record->ret = 0;
		report_exit(replay, first, first->record->start_tsc);
		sinks_settle(&replay->sinks);
		forget(replay, first);
	}
}

/* ---- the run ---- */

static void open_replay(struct replay *replay, const struct options *options)
{
	char error[VTR_ERROR];

	replay->options = *options;
	replay->reader = vtr_reader_open(options->recording, error);
	if (!replay->reader)
		die(EXIT_CANNOT_TRACE, "%s", error);
	if (!read_header(replay))
		die(EXIT_CANNOT_TRACE, "%s: the recording's header is cut off or damaged", options->recording);
	settle_options(replay);
	fill_format_options(replay);
	sinks_open(&replay->sinks, &replay->options);
	sinks_begin(&replay->sinks, &replay->options, &replay->clock, &replay->format_options, &replay->head);
	replay->report = (struct report){ .options = &replay->options, .clock = &replay->clock, .sinks = replay->sinks.items,
					  .sink_count = replay->sinks.count, .functions = replay->functions,
					  .function_count = FUNCTIONS };
	if (options->summary != SUMMARY_OFF)
		replay->report.summary = summary_open(options->summary_columns);
	if (options->summary != SUMMARY_OFF && !replay->report.summary)
		die(EXIT_CANNOT_TRACE, "out of memory");
}

static void close_replay(struct replay *replay)
{
	report_close(&replay->report);
	vtr_reader_close(replay->reader);
	table_close(&replay->open);
	free(replay->message);
	free(replay->filters);
	free(replay->texts);
	free(replay->entry);
	free(replay);
}

static int status_of(const struct replay *replay, enum vtr_result result, bool written)
{
	const char *name = replay->options.recording;

	if (result == VTR_DAMAGED) {
		warn_line("%s is damaged before byte %llu: what comes before that is shown, %llu calls", name,
			  (unsigned long long)vtr_reader_offset(replay->reader), (unsigned long long)replay->calls);
		return EXIT_CANNOT_TRACE;
	}
	if (!replay->ended) {
		warn_line("%s is cut off, as when vtrace is killed: what is there is shown, %llu calls", name,
			  (unsigned long long)replay->calls);
		return EXIT_CUT;
	}
	return written ? 0 : EXIT_OUTPUT;
}

int replay_run(const struct options *options)
{
	struct replay *replay = allocate(sizeof(*replay));

	open_replay(replay, options);
	if (options->to_file)
		signal(SIGPIPE, SIG_IGN); /* told as an error of the output; `replay | head` just ends */
	enum vtr_result result = show(replay);

	show_unfinished(replay);
	if (!replay->ended || result == VTR_DAMAGED)
		replay->end.complete = false;
	sinks_end(&replay->sinks, &replay->options, replay->report.summary, &replay->end,
		  stats_finish(&replay->report.stats));
	bool written = sinks_close(&replay->sinks);
	int status = status_of(replay, result, written);

	close_replay(replay);
	return status;
}
