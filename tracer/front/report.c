#include <stdio.h>
#include <string.h>
#include "die.h"
#include "memory.h"
#include "report.h"

/* As strace: always in a file, on stderr while more than one thread lives. */
static bool shows_pid(const struct report *report, const struct sink *sink)
{
	return report->options->follow && (sink->file || report->processes.threads.count > 1);
}

static bool wants(const struct report *report, const struct sink *sink, const struct event *event)
{
	if (!sink->ops)
		return false;
	if (event->type == EVENT_EXITED)
		return !sink->text || !(report->options->filter.quiet & QUIET_EXIT);
	/* The program's stderr stays its own when the trace goes elsewhere. */
	return event->type != EVENT_NOTE || !sink->text || sink->file;
}

static void emit(struct report *report, struct event *event)
{
	for (uint32_t i = 0; i < report->sink_count; i++) {
		const struct sink *sink = &report->sinks[i];

		if (!wants(report, sink, event))
			continue;
		event->show_pid = shows_pid(report, sink);
		sink->ops->event(sink->formatter, event);
	}
	if (report->summary)
		summary_event(report->summary, event);
}

/* ---- calls ---- */

/* Fills what is decided when the call begins: its exec may change the process before it ends. */
static struct thread *begin_call(struct report *report, struct call *call)
{
	struct thread *thread = processes_thread(&report->processes, call->tid);
	static struct maps no_maps;
	struct maps *maps = thread ? &thread->process->maps : &no_maps;

	call->entered = true;
	call->start_ns = tsc_clock_ns(report->clock, call->record->start_tsc);
	call->comm = thread ? thread->comm : "";
	call->site = maps_find(maps, call->record->site);
	call->caller = maps_find(maps, call->record->via ? call->record->caller : 0);
	call->via = call->record->via && call->record->via <= report->function_count ?
		report->functions[call->record->via - 1] : NULL;
	call->raw = call->record->kind == RECORD_VDSO ? RAW_NO : maps_raw(maps, call->record->site);
	call->shown = !call->hidden && filter_shows_call(&report->options->filter, call->record, call->raw);
	call->delayed = report->options->filter.status != STATUS_ALL;
	if (thread)
		processes_enter(thread, call->record);
	return thread;
}

static struct event call_event(const struct call *call, enum event_type type)
{
	return (struct event){ .type = type, .pid = call->pid, .tid = call->tid, .comm = call->comm, .id = call->id,
			       .ts_ns = call->start_ns, .start_ns = call->start_ns, .record = call->record,
			       .state = call->state, .via = call->via, .site = call->site, .caller = call->caller, .raw = call->raw };
}

static void record_enter(struct report *report, struct call *call)
{
	for (uint32_t i = 0; i < report->sink_count; i++)
		if (report->sinks[i].writer)
			vtr_write_enter(report->sinks[i].writer, call);
}

static void enter_call(struct report *report, struct call *call)
{
	begin_call(report, call);
	record_enter(report, call);
	if (!call->shown || call->delayed)
		return;
	struct event event = call_event(call, EVENT_ENTER);

	emit(report, &event);
}

/* Its end alone tells a formatter all of a call that has a result; the others want to know how it began. */
static void emit_end(struct report *report, struct call *call, uint64_t tsc, bool entered)
{
	struct event event = call_event(call, EVENT_ENTER);

	event.whole = !entered && (call->state == CALL_DONE || call->state == CALL_INTERRUPTED);
	if (!entered && !event.whole)
		emit(report, &event);
	event.type = EVENT_EXIT;
	event.tid = call->exit_tid;
	event.ts_ns = tsc_clock_ns(report->clock, tsc);
	if (event.ts_ns < event.start_ns)
		event.ts_ns = event.start_ns;
	emit(report, &event);
}

/* `entered`: its ENTER was emitted, if it is shown at all. */
static void end_call(struct report *report, struct thread *thread, struct call *call, uint64_t tsc, bool entered)
{
	bool shown = call->shown && filter_shows_result(&report->options->filter, call->record, call->state);

	for (uint32_t i = 0; i < report->sink_count; i++)
		if (report->sinks[i].writer)
			vtr_write_exit(report->sinks[i].writer, call, tsc, shown);
	if (shown) {
		stats_call(&report->stats, call->record, &call->site);
		emit_end(report, call, tsc, entered && !call->delayed);
	}
	if (thread && call->state == CALL_DONE)
		processes_call(thread, &report->names, call->record);
}

static void exit_call(struct report *report, struct call *call, uint64_t tsc)
{
	if (!call->entered)
		enter_call(report, call);
	end_call(report, processes_thread(&report->processes, call->exit_tid), call, tsc, true);
}

/* Nothing happened between its beginning and its end. */
static void whole_call(struct report *report, struct call *call, uint64_t tsc)
{
	struct thread *thread = begin_call(report, call);

	record_enter(report, call);
	end_call(report, thread, call, tsc, false);
}

/* ---- messages ---- */

static struct event message_event(struct report *report, const struct message *message, enum event_type type)
{
	const struct thread *thread = processes_thread(&report->processes, message->head.tid);
	uint64_t ns = tsc_clock_ns(report->clock, message->head.tsc);

	return (struct event){ .type = type, .pid = message->head.pid, .tid = message->head.tid,
			       .comm = thread ? thread->comm : "", .ts_ns = ns, .start_ns = ns,
			       .status = message->head.value };
}

/* In text on stderr this is strace's message; the formatter has no line for it. */
static void tell_attached(struct report *report, int32_t tid)
{
	for (uint32_t i = 0; i < report->sink_count; i++) {
		const struct sink *sink = &report->sinks[i];

		if (!sink->ops || !sink->text || report->options->filter.quiet & QUIET_ATTACH)
			continue;
		sink->ops->flush(sink->formatter);
		fprintf(sink->out, "vtrace: Process %d attached\n", tid);
	}
}

/* The keeper may be too late to read it; then it is the parent's, and the program's before its exec is ours. */
static const char *born_comm(struct report *report, const struct message *message)
{
	const struct thread *parent = processes_thread(&report->processes, (int32_t)message->head.aux);

	if (message->payload[0])
		return names_intern(&report->names, message->payload);
	return parent ? parent->comm : "vtrace";
}

static void on_thread(struct report *report, const struct message *message)
{
	static const char *const births[] = {
		[BIRTH_START] = "start", [BIRTH_FORK] = "fork", [BIRTH_VFORK] = "vfork", [BIRTH_CLONE] = "clone",
		[BIRTH_ATTACH] = "attach",
	};
	int birth = message->head.value;

	processes_born(&report->processes, &message->head, born_comm(report, message));
	struct event event = message_event(report, message, EVENT_PROCESS);

	event.what = birth >= BIRTH_START && birth <= BIRTH_ATTACH ? births[birth] : "clone";
	event.parent_tid = (int32_t)message->head.aux;
	if (birth != BIRTH_START)
		tell_attached(report, message->head.tid);
	emit(report, &event);
}

static void on_exec(struct report *report, const struct message *message)
{
	int32_t former = message->head.aux ? (int32_t)message->head.aux : message->head.tid;
	struct thread *thread = processes_exec(&report->processes, message->head.pid, former);

	if (thread) {
		thread->comm = comm_of_path(&report->names, thread->exec_path ? thread->exec_path : message->payload);
		free(thread->exec_path);
		thread->exec_path = NULL;
	}
	struct event event = message_event(report, message, EVENT_PROCESS);

	event.what = "exec";
	event.path = message->payload;
	event.parent_tid = former;
	emit(report, &event);
}

static void on_exited(struct report *report, const struct message *message)
{
	struct event event = message_event(report, message, EVENT_EXITED);

	emit(report, &event);
	processes_exited(&report->processes, message->head.tid);
}

static void on_signal(struct report *report, const struct message *message)
{
	struct event event = message_event(report, message, EVENT_SIGNAL);
	siginfo_t info = { 0 };
	size_t bytes = message->head.payload < sizeof(info) ? message->head.payload : sizeof(info);

	memcpy(&info, message->payload, bytes);
	event.siginfo = &info;
	emit(report, &event);
}

static void on_note(struct report *report, const struct message *message)
{
	struct event event = message_event(report, message, EVENT_NOTE);

	bool told = false;

	event.what = message->payload;
	for (uint32_t i = 0; i < report->sink_count; i++)
		told = told || report->sinks[i].writer || wants(report, &report->sinks[i], &event);
	emit(report, &event);
	if (!told)
		warn_line("%s", message->payload);
}

static void on_sites(struct report *report, const struct message *message)
{
	struct control_sites counts;

	if (message->head.payload <= sizeof(counts))
		return;
	memcpy(&counts, message->payload, sizeof(counts));
	for (uint32_t i = 0; i < CONTROL_REASONS; i++)
		counts.left[i].why[sizeof(counts.left[i].why) - 1] = 0; /* a recording may hold anything */
	stats_sites(&report->stats, &counts, names_intern(&report->names, message->payload + sizeof(counts)));
}

static void on_cost(struct report *report, const struct message *message)
{
	struct control_cost cost;

	if (message->head.payload < sizeof(cost))
		return;
	memcpy(&cost, message->payload, sizeof(cost));
	stats_cost(&report->stats, &cost, report->clock->slope);
}

static bool is_shown(const struct report *report, const struct control *head)
{
	return (head->type != MSG_SIGNAL && head->type != MSG_STOP) ||
	       filter_shows_signal(&report->options->filter, head->value);
}

static void report_message(struct report *report, const struct message *message)
{
	struct event event;

	if (!is_shown(report, &message->head))
		return;
	for (uint32_t i = 0; i < report->sink_count; i++)
		if (report->sinks[i].writer)
			vtr_write_message(report->sinks[i].writer, &message->head, message->payload);
	switch ((enum control_type)message->head.type) {
	case MSG_THREAD:
		on_thread(report, message);
		return;
	case MSG_EXEC:
		on_exec(report, message);
		return;
	case MSG_MAP:
		processes_map(&report->processes, &report->names, &message->head, message->payload);
		return;
	case MSG_SIGNAL:
		on_signal(report, message);
		return;
	case MSG_STOP:
		event = message_event(report, message, EVENT_STOP);
		emit(report, &event);
		return;
	case MSG_EXITED:
		on_exited(report, message);
		return;
	case MSG_NOTE:
		on_note(report, message);
		return;
	case MSG_SITES:
		on_sites(report, message);
		return;
	case MSG_COST:
		on_cost(report, message);
		return;
	case MSG_ARENA:
	case MSG_RING:
	case MSG_NET:
	case MSG_RECORD:
	case MSG_FAILED:
	case MSG_FINISHED:
		return; /* the drain's own */
	}
}

void report_moment(struct report *report, const struct moment *moment)
{
	switch (moment->kind) {
	case MOMENT_ENTER:
		enter_call(report, moment->call);
		return;
	case MOMENT_EXIT:
		exit_call(report, moment->call, moment->tsc);
		return;
	case MOMENT_CALL:
		whole_call(report, moment->call, moment->end_tsc);
		return;
	case MOMENT_MESSAGE:
		report_message(report, moment->message);
		return;
	}
}

void report_close(struct report *report)
{
	stats_close(&report->stats);
	processes_close(&report->processes);
	names_close(&report->names);
}
