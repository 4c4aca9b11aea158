/* The JSON outputs: one document, or lines. One event a line in both; see vtrace.schema.json. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "decode.h"

/* Texts that most events share are made once. Each cache is as large as stands here; the texts are small. */
#define WHOLE_BYTES 32768u /* the kernel copies them while they are in the processor's nearest cache */
#define ROWS 1024 /* a power of two */
#define ORIGINS 256 /* a power of two */
/* Of a kind of call: what stands before its name, before the value of each argument, and behind them all. */
enum { BEFORE_VALUES = 1, TEXTS = BEFORE_VALUES + 7 };
struct heads { const struct syscall_row *row; struct buf texts[TEXTS]; };
/* Where a call comes from: all that put_origin() looks at. */
struct origin {
	struct place site, caller;
	const char *via;
	uint64_t site_addr, caller_addr;
	uint32_t raw, caught, kind, unused;
};

struct known_origin { struct origin origin; struct buf text; };

struct formatter {
	FILE *out;
	struct format_options options;
	struct arena arena;
	struct buf line;                   /* whole events, handed on together; then the one being made */
	size_t whole;                      /* bytes of those */
	bool document;
	uint64_t count;
	struct heads *heads[ROWS];         /* by row; of two that meet in a place, that of the last one */
	struct known_origin origins[ORIGINS];
	struct buf thread;                 /* of the last event: pid, tid, comm */
	int32_t pid, tid;
	const char *comm;
};

static void put_key(struct buf *out, const char *key, const char *text)
{
	buf_puts(out, ",\"");
	buf_puts(out, key);
	buf_puts(out, "\":");
	if (text)
		json_bytes(out, (const uint8_t *)text, strlen(text), false, 0);
	else
		buf_puts(out, "null");
}

static void put_header(struct formatter *f)
{
	const struct format_options *o = &f->options;
	struct buf *out = &f->line;

	buf_puts(out, f->document ? "{\"schema\":\"vtrace.trace\",\"header\":{" : "{");
	buf_puts(out, "\"type\":\"header\",\"schema\":\"vtrace.trace\",\"version\":\"1.0\"");
	put_key(out, "tool", o->version);
	buf_puts(out, ",\"argv\":[");
	for (int i = 0; i < o->argc; i++) {
		buf_puts(out, i ? "," : "");
		json_bytes(out, (const uint8_t *)o->argv[i], strlen(o->argv[i]), false, 0);
	}
	buf_putc(out, ']');
	put_key(out, "cwd", o->cwd);
	put_key(out, "kernel", o->kernel);
	buf_printf(out, ",\"arch\":\"x86_64\",\"string_limit\":%u,\"filters\":[", o->string_limit);
	for (uint32_t i = 0; i < o->filter_count; i++) {
		buf_puts(out, i ? "," : "");
		json_string(out, o->filters[i]);
	}
	buf_printf(out, "],\"start_realtime_ns\":\"%llu\",\"start_monotonic_ns\":\"%llu\"}",
		(unsigned long long)o->start_realtime_ns, (unsigned long long)o->start_monotonic_ns);
	buf_puts(out, f->document ? ",\"events\":[\n" : "\n");
	f->whole = out->len;
}

static struct formatter *open_as(FILE *out, const struct format_options *options, bool document)
{
	struct formatter *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->out = out;
	f->options = *options;
	f->document = document;
	buf_room(&f->line, 2 * WHOLE_BYTES); /* the footer, too, must find room when there is no memory any more */
	put_header(f);
	return f;
}

static struct formatter *json_open(FILE *out, const struct format_options *options) { return open_as(out, options, true); }
static struct formatter *jsonl_open(FILE *out, const struct format_options *options) { return open_as(out, options, false); }

static void put_number(struct buf *out, const char *key, int64_t number)
{
	buf_puts(out, key);
	buf_dec(out, number);
}

static void put_hex(struct buf *out, uint64_t number)
{
	buf_putc(out, '"');
	buf_hex(out, number);
	buf_putc(out, '"');
}

/* {"name":"fd","type":"unsigned int","value": */
static void put_arg_head(struct buf *out, const struct arg_row *row)
{
	buf_puts(out, "{\"name\":");
	json_string(out, row->name ? row->name : "");
	buf_puts(out, ",\"type\":");
	json_string(out, row->type ? row->type : "unsigned long");
	buf_puts(out, ",\"value\":");
}

/* What stands before the value of argument `arg` of `count`, or behind the last. */
static void put_between(struct buf *out, const struct arg_row *args, int arg, int count)
{
	if (arg)
		buf_putc(out, '}');
	else
		buf_puts(out, ",\"args\":[");
	if (arg == count) {
		buf_puts(out, "],\"ret\":");
		return;
	}
	if (arg)
		buf_putc(out, ',');
	put_arg_head(out, &args[arg]);
}

static void forget_heads(struct heads *heads)
{
	for (int i = 0; i < TEXTS; i++)
		heads->texts[i].len = 0;
}

/* NULL: not kept, for want of memory. */
static struct heads *heads_of(struct formatter *f, const struct syscall_row *row)
{
	struct heads **place = &f->heads[(uintptr_t)row / sizeof(*row) % ROWS];

	if (!*place)
		*place = calloc(1, sizeof(**place));
	if (*place && (*place)->row != row) {
		forget_heads(*place);
		(*place)->row = row;
	}
	return *place;
}

static void heads_close(struct heads *heads)
{
	for (int i = 0; heads && i < TEXTS; i++)
		free(heads->texts[i].data);
	free(heads);
}

static void put_known_between(struct buf *out, struct heads *heads, const struct syscall_row *row, int arg, int count)
{
	struct buf *text = heads ? &heads->texts[BEFORE_VALUES + arg] : NULL;

	if (!text) {
		put_between(out, row->args, arg, count);
		return;
	}
	if (!text->len)
		put_between(text, row->args, arg, count);
	buf_add(out, text->data, text->len);
}

static void put_unknown_args(struct formatter *f, const struct decode *d)
{
	static const struct arg_row unknown[6] = { 0 };

	for (int i = 0; i < 6; i++) {
		put_between(&f->line, unknown, i, 6);
		put_hex(&f->line, d->rec->args[i]);
	}
	put_between(&f->line, unknown, 6, 6);
}

/* ,"args":[...],"ret": */
static void put_args(struct formatter *f, struct decode *d, struct heads *heads)
{
	struct value *args[6];

	if (!d->row) {
		put_unknown_args(f, d);
		return;
	}
	int count = decode_args(d, args);

	for (int i = 0; i < count; i++) {
		put_known_between(&f->line, heads, d->row, i, count);
		render_json(&f->line, args[i]);
	}
	put_known_between(&f->line, heads, d->row, count, count);
}

static void put_decimal(struct buf *out, int64_t number, bool quoted)
{
	if (quoted)
		buf_putc(out, '"');
	buf_dec(out, number);
	if (quoted)
		buf_putc(out, '"');
}

static const char *const state_texts[] = {
	[CALL_UNFINISHED] = "null,\"state\":\"unfinished\"", [CALL_UNAVAILABLE] = "null,\"state\":\"unavailable\"",
	[CALL_INTERRUPTED] = ",\"state\":\"interrupted\"", [CALL_DETACHED] = ",\"state\":\"detached\"",
};

static void put_failure(struct buf *out, int64_t ret)
{
	buf_puts(out, "{\"value\":-1,\"errno\":");
	buf_dec(out, -ret);
	buf_puts(out, ",\"error\":");
	json_string(out, errno_name((int)-ret) ?: "UNKNOWN");
	buf_putc(out, '}');
}

static void put_result(struct buf *out, const struct decode *d)
{
	int kind = d->row ? d->row->ret : RET_INT;

	buf_puts(out, "{\"value\":");
	if (kind == RET_HEX)
		put_hex(out, (uint64_t)d->rec->ret);
	else
		put_decimal(out, d->rec->ret, kind == RET_OFFSET);
	buf_putc(out, '}');
}

static void put_ret(struct formatter *f, struct decode *d, enum call_state state)
{
	if (state == CALL_UNFINISHED || state == CALL_UNAVAILABLE) {
		buf_puts(&f->line, state_texts[state]);
		return;
	}
	if (d->failed)
		put_failure(&f->line, d->rec->ret);
	else
		put_result(&f->line, d);
	if (state == CALL_INTERRUPTED && d->failed)
		put_key(&f->line, "restart", errno_name((int)-d->rec->ret));
	if (state == CALL_INTERRUPTED || state == CALL_DETACHED)
		buf_puts(&f->line, state_texts[state]);
	else
		buf_puts(&f->line, ",\"state\":\"done\"");
}

static void put_place(struct buf *out, const struct place *place)
{
	buf_puts(out, "\"object\":");
	if (place->object)
		json_bytes(out, (const uint8_t *)place->object, strlen(place->object), false, 0);
	else
		buf_puts(out, "null");
	buf_puts(out, ",\"offset\":");
	put_hex(out, place->offset);
	buf_putc(out, '}');
}

static void put_origin(struct buf *line, const struct event *event)
{
	static const char *const caught[] = { "net", "site", "dispatch", "net", "ptrace", "wrapper" };
	static const char *const raw[] = { ",\"raw\":false,\"via\":", ",\"raw\":true,\"via\":", ",\"raw\":null,\"via\":" };
	const struct record *rec = event->record;

	if (rec->kind == RECORD_VDSO) {
		buf_puts(line, ",\"site\":null");
	} else {
		buf_puts(line, ",\"site\":{\"addr\":");
		put_hex(line, rec->site);
		buf_putc(line, ',');
		put_place(line, &event->site);
	}
	buf_puts(line, raw[event->raw < 3 ? event->raw : 2]);
	if (event->via) {
		buf_puts(line, "{\"function\":");
		json_bytes(line, (const uint8_t *)event->via, strlen(event->via), false, 0);
		buf_puts(line, ",\"caller\":");
		put_hex(line, rec->caller);
		buf_putc(line, ',');
		put_place(line, &event->caller);
	} else {
		buf_puts(line, "null");
	}
	buf_puts(line, ",\"caught\":\"");
	buf_puts(line, caught[rec->caught <= CAUGHT_WRAPPER ? rec->caught : CAUGHT_NET]);
	buf_putc(line, '"');
}

/* ,"abi":"x86_64","nr":0,"name":"read" */
static void put_name(struct formatter *f, struct buf *out, const struct decode *d)
{
	static const char *const abis[] = { "x86_64", "i386", "x32" };
	uint32_t nr = (uint32_t)d->rec->nr;
	const char *name = d->row ? d->row->name : NULL;

	if (!name && d->rec->abi == ABI_I386 && nr < syscalls_i386_count)
		name = syscalls_i386_names[nr];
	buf_puts(out, ",\"abi\":\"");
	buf_puts(out, abis[d->rec->abi < 3 ? d->rec->abi : 0]);
	put_number(out, "\",\"nr\":", d->rec->nr);
	buf_puts(out, ",\"name\":");
	json_string(out, name ? name : arena_printf(&f->arena, "syscall_%#x", nr));
}

static void put_known_name(struct formatter *f, const struct decode *d, struct heads *heads)
{
	struct buf *text = heads ? &heads->texts[0] : NULL;

	if (!text) {
		put_name(f, &f->line, d);
		return;
	}
	if (!text->len)
		put_name(f, text, d);
	buf_add(&f->line, text->data, text->len);
}

static size_t place_of(const struct origin *origin)
{
	return (size_t)((origin->site_addr ^ origin->caller_addr * 31) * 0x9e3779b97f4a7c15ull >> 56) % ORIGINS;
}

static void put_known_origin(struct formatter *f, const struct event *event)
{
	const struct record *rec = event->record;
	const struct origin origin = { event->site, event->caller, event->via, rec->site, rec->caller, event->raw, rec->caught,
				       rec->kind, 0 };
	struct known_origin *known = &f->origins[place_of(&origin)], *other = &f->origins[place_of(&origin) ^ 1];

	if (memcmp(&origin, &known->origin, sizeof(origin)) && other->text.len && !memcmp(&origin, &other->origin, sizeof(origin)))
		known = other;
	else if (!known->text.len || memcmp(&origin, &known->origin, sizeof(origin))) {
		struct known_origin older = *known; /* two that meet in a place live side by side */

		*known = *other;
		*other = older;
		known->origin = origin;
		known->text.len = 0;
		put_origin(&known->text, event);
	}
	buf_add(&f->line, known->text.data, known->text.len);
}

/* ,"pid":7,"tid":8,"comm":"sh","ts": */
static void put_thread(struct formatter *f, const struct event *event)
{
	struct buf *text = &f->thread;

	/* Names are interned: the same pointer is the same name. */
	if (!text->len || f->pid != event->pid || f->tid != event->tid || f->comm != event->comm) {
		f->pid = event->pid;
		f->tid = event->tid;
		f->comm = event->comm;
		text->len = 0;
		put_number(text, ",\"pid\":", event->pid);
		put_number(text, ",\"tid\":", event->tid);
		put_key(text, "comm", event->comm);
		buf_puts(text, ",\"ts\":");
	}
	buf_add(&f->line, text->data, text->len);
}

static void put_syscall(struct formatter *f, const struct event *event)
{
	const struct record *rec = event->record;
	struct decode d = { .rec = rec, .options = &f->options, .arena = &f->arena };

	d.row = decode_row(rec);
	d.exiting = event->state != CALL_UNFINISHED && event->state != CALL_UNAVAILABLE;
	d.failed = d.exiting && rec->ret < 0 && rec->ret >= -4095;
	put_number(&f->line, ",\"dur\":", (int64_t)(event->ts_ns > event->start_ns ? event->ts_ns - event->start_ns : 0));
	struct heads *heads = d.row && rec->abi == ABI_X86_64 ? heads_of(f, d.row) : NULL;

	put_known_name(f, &d, heads);
	put_args(f, &d, heads);
	put_ret(f, &d, event->state);
	put_known_origin(f, event);
}

static void put_other(struct formatter *f, const struct event *event)
{
	struct decode d = { .options = &f->options, .arena = &f->arena };
	int s = event->status;

	if (event->type == EVENT_SIGNAL && event->siginfo) {
		buf_puts(&f->line, ",\"siginfo\":");
		render_json(&f->line, decode_siginfo(&d, event->siginfo));
	} else if (event->type == EVENT_STOP) {
		put_key(&f->line, "signal", signal_name(s));
	} else if (event->type == EVENT_EXITED && WIFSIGNALED(s)) {
		put_key(&f->line, "signal", signal_name(WTERMSIG(s)));
		buf_printf(&f->line, ",\"core\":%s", WCOREDUMP(s) ? "true" : "false");
	} else if (event->type == EVENT_EXITED) {
		buf_printf(&f->line, ",\"code\":%d", WEXITSTATUS(s));
	} else if (event->type == EVENT_PROCESS) {
		buf_printf(&f->line, ",\"parent\":%d", event->parent_tid);
		put_key(&f->line, "what", event->what);
		put_key(&f->line, "path", event->path);
	} else if (event->type == EVENT_NOTE) {
		put_key(&f->line, "text", event->what);
	} else if (event->type == EVENT_LOST) {
		buf_printf(&f->line, ",\"count\":%llu", (unsigned long long)event->count);
	}
}

static void json_flush(struct formatter *f)
{
	buf_flush(&f->line, f->whole, f->out);
	f->whole = 0;
}

/* {"type":"syscall","seq": */
static void put_type(struct formatter *f, const struct event *event)
{
	static const char *const types[] = { "", "syscall", "signal", "stop", "exit", "process", "note", "lost" };
	bool vdso = event->type == EVENT_EXIT && event->record->kind == RECORD_VDSO;

	if (f->document && f->count)
		buf_puts(&f->line, ",\n");
	if (event->type == EVENT_EXIT && !vdso) {
		buf_puts(&f->line, "{\"type\":\"syscall\",\"seq\":");
		return;
	}
	buf_puts(&f->line, "{\"type\":\"");
	buf_puts(&f->line, vdso ? "vdso" : types[event->type]);
	buf_puts(&f->line, "\",\"seq\":");
}

static void json_event(struct formatter *f, const struct event *event)
{
	bool call = event->type == EVENT_EXIT;

	if (event->type == EVENT_ENTER)
		return;
	arena_reset(&f->arena);
	put_type(f, event);
	buf_udec(&f->line, f->count);
	put_thread(f, event);
	buf_udec(&f->line, call ? event->start_ns : event->ts_ns);
	if (call)
		put_syscall(f, event);
	else
		put_other(f, event);
	buf_putc(&f->line, '}');
	if (!f->document)
		buf_putc(&f->line, '\n');
	f->whole = f->line.len;
	f->count++;
	if (f->whole >= WHOLE_BYTES)
		json_flush(f);
}

static void put_site_counts(struct buf *line, const struct control_sites *counts)
{
	buf_printf(line, ",\"found\":%u,\"rewritten\":%u,\"unused\":%u,\"left\":{", counts->found, counts->rewritten, counts->unused);
	for (uint32_t i = 0, shown = 0; i < CONTROL_REASONS; i++) {
		if (!counts->left[i].count)
			continue;
		buf_puts(line, shown++ ? "," : "");
		json_string(line, counts->left[i].why);
		buf_printf(line, ":%u", counts->left[i].count);
	}
	buf_puts(line, "}}");
}

static void put_stats(struct buf *line, const struct trace_stats *stats)
{
	buf_printf(line, ",\"calls\":{\"site\":%llu,\"dispatch\":%llu,\"net\":%llu,\"ptrace\":%llu}",
		   (unsigned long long)stats->calls[CAUGHT_SITE], (unsigned long long)stats->calls[CAUGHT_DISPATCH],
		   (unsigned long long)stats->calls[CAUGHT_NET], (unsigned long long)stats->calls[CAUGHT_PTRACE]);
	buf_puts(line, ",\"traps\":[");
	for (size_t i = 0; i < stats->trap_count; i++) {
		const struct trap *trap = &stats->traps[i];

		buf_printf(line, "%s{\"%s\":\"%#llx\",\"object\":", i ? "," : "", trap->object ? "offset" : "addr",
			   (unsigned long long)trap->place);
		if (trap->object)
			json_string(line, trap->object);
		else
			buf_puts(line, "null");
		buf_printf(line, ",\"calls\":%llu}", (unsigned long long)trap->count);
	}
	buf_printf(line, "],\"other_traps\":%llu,\"sites\":[", (unsigned long long)stats->other_traps);
	for (size_t i = 0; i < stats->site_count; i++) {
		buf_puts(line, i ? ",{\"object\":" : "{\"object\":");
		json_string(line, stats->sites[i].object);
		put_site_counts(line, &stats->sites[i].counts);
	}
	buf_printf(line, "],\"overhead\":{\"agent_ns\":%llu,\"keeper_ns\":%llu}", (unsigned long long)stats->agent_ns,
		   (unsigned long long)stats->keeper_ns);
}

static void json_close(struct formatter *f, const struct trace_end *end)
{
	json_flush(f); /* what there was no memory to finish is dropped */
	buf_printf(&f->line, "%s{\"type\":\"footer\",\"complete\":%s,\"events\":%llu,\"lost\":%llu",
		   f->document ? "\n],\"footer\":" : "", end->complete ? "true" : "false", (unsigned long long)f->count,
		   (unsigned long long)end->lost);
	if (end->stats)
		put_stats(&f->line, end->stats);
	buf_puts(&f->line, f->document ? "}}\n" : "}\n");
	f->whole = f->line.len;
	json_flush(f);
	fflush(f->out);
	arena_destroy(&f->arena);
	for (size_t i = 0; i < ROWS; i++)
		heads_close(f->heads[i]);
	for (size_t i = 0; i < ORIGINS; i++)
		free(f->origins[i].text.data);
	free(f->thread.data);
	free(f->line.data);
	free(f);
}

const struct formatter_ops formatter_json = { json_open, json_event, json_flush, json_close };
const struct formatter_ops formatter_jsonl = { jsonl_open, json_event, json_flush, json_close };
