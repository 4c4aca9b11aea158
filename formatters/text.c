/* The text output: strace's lines. Keeps one ENTER back to see whether its EXIT follows at once. */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "decode.h"

struct formatter {
	FILE *out;
	struct format_options options;
	struct arena arena;
	struct buf lines;          /* whole lines, handed on together; then the one being made */
	size_t line;               /* where that one begins */
	struct event pending;      /* type EVENT_ENTER while one is held */
	bool held;
	_Alignas(8) unsigned char record[RECORD_MAX];
	uint64_t *open;            /* ids of calls printed as <unfinished ...> */
	size_t open_count, open_size;
	uint64_t last_ns;          /* -r */
	bool any;
	time_t clock_seconds;      /* -t: what `clock` says */
	char clock[32];
	struct { int32_t tid; const char *name; } interrupted[64]; /* by tid: what restart_syscall goes on with */
};

#define LINES_BYTES 32768u /* the kernel copies them while they are in the processor's nearest cache */

static struct formatter *text_open(FILE *out, const struct format_options *options)
{
	struct formatter *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->out = out;
	f->options = *options;
	if (!f->options.columns)
		f->options.columns = 40;
	buf_room(&f->lines, 2 * LINES_BYTES);
	return f;
}

/* "12:34:56": the same for all of a second. */
static const char *clock_text(struct formatter *f, time_t seconds)
{
	struct tm tm;

	if (f->clock[0] && f->clock_seconds == seconds)
		return f->clock;
	f->clock_seconds = seconds;
	strftime(f->clock, sizeof(f->clock), "%H:%M:%S", localtime_r(&seconds, &tm));
	return f->clock;
}

/* ".123456" */
static void put_micros(struct buf *out, uint64_t micros)
{
	char digits[7] = ".";

	for (int i = 6; i > 0; i--, micros /= 10)
		digits[i] = (char)('0' + micros % 10);
	buf_add(out, digits, sizeof(digits));
}

static void put_time(struct formatter *f, uint64_t ts_ns)
{
	uint64_t now = f->options.start_realtime_ns + ts_ns, delta = f->any && ts_ns > f->last_ns ? ts_ns - f->last_ns : 0;
	time_t seconds = (time_t)(now / 1000000000);
	enum time_style style = f->options.time_style;

	if (style == TIME_NONE)
		return;
	if (style == TIME_SECONDS || style == TIME_MICROS)
		buf_puts(&f->lines, clock_text(f, seconds));
	else if (style == TIME_UNIX)
		buf_dec(&f->lines, seconds);
	else
		buf_printf(&f->lines, "%6llu", (unsigned long long)(delta / 1000000000));
	if (style != TIME_SECONDS)
		put_micros(&f->lines, (style == TIME_RELATIVE ? delta : now) / 1000 % 1000000);
	buf_putc(&f->lines, ' ');
	f->last_ns = ts_ns;
	f->any = true;
}

static void put_leader(struct formatter *f, const struct event *event, uint64_t ts_ns)
{
	if (event->show_pid && f->options.output_is_file) { /* "%-5d " */
		size_t end = f->lines.len + 5;

		buf_dec(&f->lines, event->tid);
		if (f->lines.len < end)
			buf_fill(&f->lines, ' ', end - f->lines.len);
		buf_putc(&f->lines, ' ');
	} else if (event->show_pid) {
		buf_printf(&f->lines, "[pid %5d] ", event->tid);
	}
	put_time(f, ts_ns);
}

static void text_flush(struct formatter *f)
{
	buf_flush(&f->lines, f->line, f->out);
	f->line = 0;
}

static void put_line(struct formatter *f)
{
	buf_putc(&f->lines, '\n');
	f->line = f->lines.len;
	if (f->line >= LINES_BYTES)
		text_flush(f);
}

static struct decode decode_of(struct formatter *f, const struct event *event)
{
	struct decode d = { .rec = event->record, .row = decode_row(event->record), .options = &f->options, .arena = &f->arena };

	d.exiting = event->type == EVENT_EXIT && event->state != CALL_UNFINISHED && event->state != CALL_UNAVAILABLE;
	d.failed = d.exiting && d.rec->ret < 0 && d.rec->ret >= -4095;
	return d;
}

static const char *name_of(const struct decode *d)
{
	uint32_t nr = (uint32_t)d->rec->nr;

	if (d->row)
		return d->row->name;
	if (d->rec->abi == ABI_I386 && nr < syscalls_i386_count && syscalls_i386_names[nr])
		return syscalls_i386_names[nr];
	return arena_printf(d->arena, "syscall_%#x", nr);
}

#define ERESTART_RESTARTBLOCK 516
static void note_interrupted(struct formatter *f, const struct decode *d, int32_t tid)
{
	size_t at = (uint32_t)tid % (sizeof(f->interrupted) / sizeof(*f->interrupted));

	if (d->rec->ret != -ERESTART_RESTARTBLOCK || !d->row)
		return;
	f->interrupted[at].tid = tid;
	f->interrupted[at].name = d->row->name;
}

static const char *interrupted_name(const struct formatter *f, int32_t tid)
{
	size_t at = (uint32_t)tid % (sizeof(f->interrupted) / sizeof(*f->interrupted));

	return f->interrupted[at].name && f->interrupted[at].tid == tid ? f->interrupted[at].name : "system call";
}

static int clone_args(struct decode *d, struct value *args[6])
{
	int count = 0;

	decode_clone(d, args);
	while (count < 6 && args[count])
		count++;
	return count;
}

/* Arguments from..to of the call; raw hex when nothing is known of it. */
static void put_args(struct formatter *f, struct decode *d, int32_t tid, int from, int to)
{
	struct value *args[6];
	int count = 6, shown = 0;

	if (d->row && d->rec->nr == SYS_restart_syscall) {
		if (!from) /* at entry, or whole */
			buf_printf(&f->lines, "<... resuming interrupted %s ...>", interrupted_name(f, tid));
		return;
	}
	if (!d->row) {
		for (int i = from; i < count && i < to; i++)
			buf_printf(&f->lines, i ? ", %#llx" : "%#llx", (unsigned long long)d->rec->args[i]);
		return;
	}
	bool is_clone = d->rec->nr == SYS_clone, is_clone3 = d->rec->nr == SYS_clone3;
	bool late_comma = is_clone || is_clone3; /* these two put it before what follows, not behind what was shown */

	count = is_clone ? clone_args(d, args) : decode_args(d, args);
	if (is_clone3 && from == 1 && args[0]->type == VALUE_CHANGE) {
		buf_puts(&f->lines, " => ");
		render_text(&f->lines, args[0]->last, &f->options);
	}
	for (int i = 0; i < count && i < to; i++) {
		if (args[i]->hidden)
			continue;
		if (i >= from) {
			if (shown && (i > from || late_comma))
				buf_puts(&f->lines, ", ");
			if (!args[i]->bare) {
				buf_puts(&f->lines, args[i]->name);
				buf_putc(&f->lines, '=');
			}
			render_text(&f->lines, args[i], &f->options);
		}
		shown++;
	}
	if (!late_comma && to < count && shown && !args[to]->hidden)
		buf_puts(&f->lines, ", ");
}

static int entry_args(const struct syscall_row *row)
{
	return row ? row->nargs ? row->entry_args : 1 : 6;
}

static void flush_pending(struct formatter *f, const char *why)
{
	const struct event *event = &f->pending;

	if (!f->held)
		return;
	f->held = false;
	struct decode d = decode_of(f, event);

	put_leader(f, event, event->start_ns ? event->start_ns : event->ts_ns);
	buf_puts(&f->lines, name_of(&d));
	buf_putc(&f->lines, '(');
	put_args(f, &d, event->tid, 0, entry_args(d.row));
	buf_puts(&f->lines, why);
	if (f->open_count == f->open_size) {
		size_t size = f->open_size ? f->open_size * 2 : 64;
		uint64_t *grown = realloc(f->open, size * sizeof(*grown));

		if (grown)
			f->open = grown, f->open_size = size;
	}
	if (f->open_count < f->open_size)
		f->open[f->open_count++] = event->id;
	put_line(f);
}

static void hold(struct formatter *f, const struct event *event)
{
	if (event->record->size > sizeof(f->record))
		return;
	f->pending = *event;
	memcpy(f->record, event->record, event->record->size);
	f->pending.record = (const struct record *)f->record;
	f->held = true;
}

/* True, once, when the call was printed as unfinished. */
static bool take_open(struct formatter *f, uint64_t id)
{
	for (size_t i = f->open_count; i-- > 0;)
		if (f->open[i] == id) {
			f->open[i] = f->open[--f->open_count];
			return true;
		}
	return false;
}

static void put_error(struct buf *out, int number)
{
	const char *name = errno_name(number);

	if (!name) {
		buf_printf(out, "-1 (errno %d)", number);
		return;
	}
	buf_puts(out, "-1 ");
	buf_puts(out, name);
	buf_puts(out, " (");
	buf_puts(out, strerrordesc_np(number) ?: "Unknown error");
	buf_putc(out, ')');
}

static void put_result(struct buf *out, const struct decode *d)
{
	uint64_t ret = (uint64_t)d->rec->ret;
	int kind = d->row ? d->row->ret : RET_INT;

	if (kind == RET_HEX || kind == RET_HEXENUM || kind == RET_FLAGS || (kind == RET_FCNTL && (d->rec->args[1] == 1 || d->rec->args[1] == 3)))
		buf_alt_hex(out, ret);
	else if (kind == RET_MODE)
		buf_printf(out, "%#03llo", (unsigned long long)ret);
	else if (kind == RET_UINT)
		buf_udec(out, ret);
	else
		buf_dec(out, (int64_t)ret);
}

static void put_result_path(struct formatter *f, const struct decode *d)
{
	const struct piece *path = piece_find(d->rec, PIECE_ARG_RET, PIECE_FDPATH, 0, -1);

	if (!path || path->status != PIECE_OK)
		return;
	buf_putc(&f->lines, '<');
	text_file_name(&f->lines, piece_data(path), strnlen(piece_data(path), path->size));
	buf_putc(&f->lines, '>');
}

static void put_ret(struct formatter *f, struct decode *d, enum call_state state)
{
	int number = d->failed ? (int)-d->rec->ret : 0;

	if (state == CALL_UNAVAILABLE) {
		buf_puts(&f->lines, "? <unavailable>");
		return;
	}
	if (!d->exiting || (d->row && d->row->ret == RET_VOID && state != CALL_DONE)) {
		buf_puts(&f->lines, "?");
		return;
	}
	if (d->failed && restart_text(number))
		buf_printf(&f->lines, "? %s (%s)", errno_name(number), restart_text(number));
	else if (d->failed)
		put_error(&f->lines, number);
	else
		put_result(&f->lines, d);
	if (!d->failed && f->options.fd_paths)
		put_result_path(f, d);
	const char *note = d->row ? decode_ret_note(d) : NULL;

	if (note)
		buf_puts(&f->lines, note);
}

static void put_via(struct formatter *f, const struct event *event)
{
	const struct place *caller = &event->caller;

	buf_puts(&f->lines, " via ");
	text_file_name(&f->lines, event->via, strlen(event->via));
	buf_puts(&f->lines, " (");
	if (caller->object) {
		text_file_name(&f->lines, caller->object, strlen(caller->object));
		buf_printf(&f->lines, "+%#llx)", (unsigned long long)caller->offset);
	} else {
		buf_printf(&f->lines, "%#llx)", (unsigned long long)caller->addr);
	}
}

static void put_tail(struct formatter *f, struct decode *d, const struct event *event)
{
	buf_puts(&f->lines, ") ");
	if (f->lines.len - f->line < f->options.columns)
		buf_fill(&f->lines, ' ', f->options.columns - (f->lines.len - f->line));
	buf_puts(&f->lines, "= ");
	put_ret(f, d, event->state);
	if (f->options.call_times && event->state != CALL_UNFINISHED) {
		uint64_t micros = event->ts_ns > event->start_ns ? (event->ts_ns - event->start_ns) / 1000 : 0;

		buf_puts(&f->lines, " <");
		buf_udec(&f->lines, micros / 1000000);
		put_micros(&f->lines, micros % 1000000);
		buf_putc(&f->lines, '>');
	}
	if (d->rec->kind == RECORD_VDSO)
		buf_puts(&f->lines, " <vdso>");
	if (f->options.via && event->via)
		put_via(f, event);
	put_line(f);
}

/* It died in a call that had just begun. Those that never return are shown as whole calls. */
static bool dies_inside(const struct event *event, const char *name)
{
	return event->state == CALL_UNFINISHED && strcmp(name, "exit_group") && strcmp(name, "exit");
}

static void put_dying(struct formatter *f, struct decode *d, const struct event *event)
{
	put_leader(f, event, event->start_ns);
	buf_puts(&f->lines, name_of(d));
	buf_putc(&f->lines, '(');
	put_args(f, d, event->tid, 0, entry_args(d->row));
	buf_puts(&f->lines, " <unfinished ...>");
	put_tail(f, d, event);
}

static void text_exit(struct formatter *f, const struct event *event)
{
	struct decode d = decode_of(f, event);
	const char *name = name_of(&d);
	bool follows = f->held && f->pending.id == event->id;

	if (!follows)
		flush_pending(f, " <unfinished ...>");
	f->held = false;
	if (follows && dies_inside(event, name)) {
		put_dying(f, &d, event);
		return;
	}
	bool resumed = !event->whole && take_open(f, event->id);

	put_leader(f, event, resumed ? event->ts_ns : event->start_ns);
	if (resumed)
		buf_puts(&f->lines, "<... ");
	buf_puts(&f->lines, name);
	buf_puts(&f->lines, resumed ? " resumed>" : "(");
	if (!resumed || event->state != CALL_UNFINISHED)
		put_args(f, &d, event->tid, resumed ? entry_args(d.row) : 0, 6);
	put_tail(f, &d, event);
	note_interrupted(f, &d, event->tid);
}

static void text_exited(struct formatter *f, int status)
{
	if (WIFSIGNALED(status))
		buf_printf(&f->lines, "+++ killed by %s%s +++", signal_name(WTERMSIG(status)) ?: "?",
			WCOREDUMP(status) ? " (core dumped)" : "");
	else
		buf_printf(&f->lines, "+++ exited with %d +++", WEXITSTATUS(status));
}

/* A thread that is not the leader has a new image: from now on it has the leader's id. */
static void text_exec(struct formatter *f, const struct event *event)
{
	int32_t former = event->parent_tid;

	if (strcmp(event->what ? event->what : "", "exec") || former == event->tid)
		return;
	flush_pending(f, f->held && f->pending.tid == former ?
		arena_printf(&f->arena, " <pid changed to %d ...>", event->tid) : " <unfinished ...>");
	if (f->options.hide_exec_thread)
		return;
	put_leader(f, event, event->ts_ns);
	buf_printf(&f->lines, "+++ superseded by execve in pid %d +++", former);
	put_line(f);
}

static void text_signal(struct formatter *f, const struct event *event)
{
	struct decode d = { .options = &f->options, .arena = &f->arena };

	if (!event->siginfo)
		return;
	buf_printf(&f->lines, "--- %s ", signal_name(event->siginfo->si_signo) ?: "?");
	render_text(&f->lines, decode_siginfo(&d, event->siginfo), &f->options);
	buf_puts(&f->lines, " ---");
}

static void text_event(struct formatter *f, const struct event *event)
{
	arena_reset(&f->arena);
	if (event->type == EVENT_EXIT) {
		text_exit(f, event);
		return;
	}
	if (event->type == EVENT_PROCESS) {
		text_exec(f, event);
		return;
	}
	flush_pending(f, " <unfinished ...>");
	if (event->type == EVENT_ENTER) {
		hold(f, event);
		return;
	}
	put_leader(f, event, event->ts_ns);
	if (event->type == EVENT_SIGNAL)
		text_signal(f, event);
	else if (event->type == EVENT_STOP)
		buf_printf(&f->lines, "--- stopped by %s ---", signal_name(event->status) ?: "?");
	else if (event->type == EVENT_EXITED)
		text_exited(f, event->status);
	else if (event->type == EVENT_NOTE)
		buf_printf(&f->lines, "+++ vtrace: %s +++", event->what ? event->what : "");
	else
		buf_printf(&f->lines, "+++ lost %llu events +++", (unsigned long long)event->count);
	put_line(f);
}

static void text_close(struct formatter *f, const struct trace_end *end)
{
	(void)end;
	text_flush(f); /* what there was no memory to finish is dropped; the same may happen here again */
	flush_pending(f, " <unfinished ...>");
	text_flush(f);
	fflush(f->out);
	arena_destroy(&f->arena);
	free(f->lines.data);
	free(f->open);
	free(f);
}

const struct formatter_ops formatter_text = { text_open, text_event, text_flush, text_close };
