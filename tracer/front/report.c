#include <stdio.h>
#include <string.h>
#include "die.h"
#include "memory.h"
#include "report.h"

static bool is_text(const struct report *report)
{
	return report->options->format == FORMAT_TEXT;
}

/* As strace: always in a file, on stderr while more than one thread lives. */
static void update_show_pid(struct report *report)
{
	report->format_options->show_pid =
		report->options->follow && (report->options->output || report->processes.threads.count > 1);
}

static void emit(struct report *report, const struct event *event)
{
	update_show_pid(report);
	if (report->ops)
		report->ops->event(report->formatter, event);
	if (report->summary)
		summary_event(report->summary, event);
}

/* ---- calls ---- */

/* Fills what is decided when the call begins: its exec may change the process before it ends. */
static void begin_call(struct report *report, struct call *call)
{
	struct thread *thread = processes_thread(&report->processes, call->tid);
	static const struct maps no_maps;
	const struct maps *maps = thread ? &thread->process->maps : &no_maps;

	call->entered = true;
	call->start_ns = tsc_clock_ns(report->clock, call->record->start_tsc);
	call->comm = thread ? thread->comm : "";
	call->site = maps_find(maps, call->record->site);
	call->caller = maps_find(maps, call->record->via ? call->record->caller : 0);
	call->raw = call->record->kind == RECORD_VDSO ? RAW_NO : maps_raw(maps, call->site);
	call->shown = filter_shows_call(&report->options->filter, call->record, call->raw);
	call->delayed = report->options->filter.status != STATUS_ALL;
	if (thread)
		processes_enter(thread, &report->names, call->record);
}

static struct event call_event(const struct call *call, enum event_type type)
{
	return (struct event){ .type = type, .pid = call->pid, .tid = call->tid, .comm = call->comm, .id = call->id,
			       .ts_ns = call->start_ns, .start_ns = call->start_ns, .record = call->record,
			       .state = call->state, .site = call->site, .caller = call->caller, .raw = call->raw };
}

static void enter_call(struct report *report, struct call *call)
{
	begin_call(report, call);
	if (!call->shown || call->delayed)
		return;
	struct event event = call_event(call, EVENT_ENTER);

	emit(report, &event);
}

static void exit_call(struct report *report, struct call *call, uint64_t tsc)
{
	struct thread *thread = processes_thread(&report->processes, call->exit_tid);

	if (!call->entered)
		begin_call(report, call);
	if (call->shown && filter_shows_result(&report->options->filter, call->record, call->state)) {
		struct event event = call_event(call, EVENT_ENTER);

		if (call->delayed)
			emit(report, &event);
		event.type = EVENT_EXIT;
		event.tid = call->exit_tid;
		event.ts_ns = tsc_clock_ns(report->clock, tsc);
		if (event.ts_ns < event.start_ns)
			event.ts_ns = event.start_ns;
		emit(report, &event);
	}
	if (thread && call->state == CALL_DONE)
		processes_call(thread, &report->names, call->record);
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
	if (report->ops && is_text(report) && !(report->options->filter.quiet & QUIET_ATTACH))
		fprintf(report->out, "vtrace: Process %d attached\n", tid);
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

	if (!is_text(report) || !(report->options->filter.quiet & QUIET_EXIT))
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
	if (filter_shows_signal(&report->options->filter, message->head.value))
		emit(report, &event);
}

static void on_note(struct report *report, const struct message *message)
{
	struct event event = message_event(report, message, EVENT_NOTE);

	event.what = message->payload;
	/* The program's stderr stays its own when the trace goes elsewhere. */
	if (report->ops && (!is_text(report) || report->options->output))
		emit(report, &event);
	else
		warn_line("%s", message->payload);
}

static void report_message(struct report *report, const struct message *message)
{
	struct event event;

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
		if (filter_shows_signal(&report->options->filter, message->head.value))
			emit(report, &event);
		return;
	case MSG_EXITED:
		on_exited(report, message);
		return;
	case MSG_NOTE:
		on_note(report, message);
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
	case MOMENT_MESSAGE:
		report_message(report, moment->message);
		return;
	}
}

void report_close(struct report *report)
{
	processes_close(&report->processes);
	names_close(&report->names);
}
