/* The main loop: drain, merge, report; and what stands before and after it. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "die.h"
#include "drain.h"
#include "launch_keeper.h"
#include "memory.h"
#include "net_heir.h"
#include "pace.h"
#include "report.h"
#include "session.h"
#include "sinks.h"

#ifndef VTRACE_VERSION
#define VTRACE_VERSION "0"
#endif

#define WATCH_NS 50000
#define SHOWN_NS 5000000 /* what is known is written at the latest after so long */

struct session {
	const struct options *options;
	struct sinks sinks;
	struct format_options format_options;
	struct utsname kernel;
	char cwd[PATH_MAX];
	struct tsc_clock clock;
	struct keeper_process keeper;
	struct merge merge;
	struct drain drain;
	struct report report;
	struct pace pace;
	uint64_t flushed_ns;
};

static void fill_format_options(struct session *session, int argc, char **argv)
{
	const struct options *options = session->options;

	if (!getcwd(session->cwd, sizeof(session->cwd)))
		strcpy(session->cwd, "?");
	uname(&session->kernel);
	session->format_options = options_format(options);
	session->format_options.argc = argc;
	session->format_options.argv = argv;
	session->format_options.version = VTRACE_VERSION;
	session->format_options.cwd = session->cwd;
	session->format_options.kernel = session->kernel.release;
	session->format_options.start_realtime_ns = session->clock.realtime_ns;
	session->format_options.start_monotonic_ns = session->clock.start.ns;
}

static struct vtr_header recorded(const struct session *session)
{
	const struct options *options = session->options;

	return (struct vtr_header){
		.start_realtime_ns = session->clock.realtime_ns, .start_monotonic_ns = session->clock.start.ns,
		.start_tsc = session->clock.start.tsc, .string_limit = options->string_limit, .status = options->filter.status,
		.flags = (options->follow ? VTR_FOLLOW : 0) | (options->fd_paths ? VTR_FD_PATHS : 0) | (options->vdso ? VTR_VDSO : 0),
	};
}

static void close_report(struct session *session)
{
	const struct drain *drain = &session->drain;
	struct vtr_end end = { .complete = drain->finished && !drain->damaged, .lost = session->report.lost,
			       .status = drain->finished ? drain->last.value : 0 };

	sinks_end(&session->sinks, session->options, session->report.summary, &end,
		  stats_finish(&session->report.stats));
	report_close(&session->report);
}

/* Without memory the front ends wherever it is, always between two events of the output: that must still be closed, because
 * a JSON document that is not is none. */
static struct session *unclosed;

static void close_at_exit(void)
{
	struct session *session = unclosed;

	unclosed = NULL;
	if (session)
		close_report(session);
}

static void open_report(struct session *session)
{
	const struct options *options = session->options;
	struct vtr_header head = recorded(session);

	sinks_begin(&session->sinks, options, &session->clock, &session->format_options, &head);
	session->report.options = options;
	session->report.clock = &session->clock;
	session->report.sinks = session->sinks.items;
	session->report.sink_count = session->sinks.count;
	session->report.functions = libc_functions;
	session->report.function_count = libc_functions_count;
	if (options->summary != SUMMARY_OFF)
		session->report.summary = summary_open(options->summary_columns);
	if (options->summary != SUMMARY_OFF && !session->report.summary)
		die(EXIT_CANNOT_TRACE, "out of memory");
}

static void open_session(struct session *session, const char *program, int argc, char **argv)
{
	const struct options *options = session->options;

	sinks_open(&session->sinks, options);
	tsc_clock_start(&session->clock);
	fill_format_options(session, argc, argv);
	open_report(session); /* before there is a program: it may need memory, and nothing may be recorded that cannot be told */
	session->keeper.outputs = session->sinks.fds;
	session->keeper.output_count = session->sinks.count;
	int err = keeper_launch(&session->keeper, options, program);

	if (err)
		die(EXIT_CANNOT_TRACE, "cannot start the keeper: %s", strerror(err));
	unclosed = session;
	atexit(close_at_exit); /* not the keeper's */
	drain_open(&session->drain, session->keeper.socket, session->keeper.shared, &session->merge);
}

static uint64_t now_ns(const struct session *session)
{
	return tsc_clock_ns(&session->clock, tsc_now());
}

/* False: there was nothing. */
static bool report_until(struct session *session, uint64_t limit)
{
	struct moment moment;
	bool any = false;

	if (!tsc_clock_settled(&session->clock))
		return false;
	tsc_clock_refine(&session->clock);
	while (merge_take(&session->merge, limit, &moment)) {
		report_moment(&session->report, &moment);
		moment_release(&moment);
		any = true;
	}
	return any;
}

/* Signals for the program, which wait until there is one; messages of the keeper's end the sleep. */
static void sleep_and_forward(struct session *session, long wait_ns)
{
	struct pollfd fds[2] = { { .fd = session->keeper.socket, .events = POLLIN },
				 { .fd = session->drain.program > 0 ? session->keeper.signals : -1, .events = POLLIN } };

	if (ppoll(fds, 2, &(struct timespec){ .tv_nsec = wait_ns }, NULL) > 0 && fds[1].revents)
		keeper_forward_signals(&session->keeper, session->drain.program);
}

/* A sleep would take longer than the ring has room. Nor is the processor given away: where many want it, it came back too late. */
static void watch(const struct session *session)
{
	uint64_t until = now_ns(session) + WATCH_NS;

	while (!drain_worthwhile(&session->drain) && now_ns(session) < until)
		for (int i = 0; i < 64; i++)
			__builtin_ia32_pause(); /* looking takes the line from its writer */
}

static void wait_for_more(struct session *session, bool any)
{
	uint64_t now = now_ns(session);
	enum pace_way way = pace_after_round(&session->pace, now, session->drain.bytes);

	if (now - session->flushed_ns < SHOWN_NS && drain_worthwhile(&session->drain))
		return;
	if (way == PACE_SLEEP || now - session->flushed_ns >= SHOWN_NS) {
		session->flushed_ns = now;
		sinks_flush(&session->sinks, !any);
		sleep_and_forward(session, session->pace.wait_ns);
	} else if (way == PACE_WATCH) {
		watch(session);
	}
}

static void trace(struct session *session)
{
	while (!session->drain.ended) {
		uint64_t limit = drain_round(&session->drain);
		bool any = report_until(session, limit);

		if (!session->drain.ended)
			wait_for_more(session, any);
	}
	drain_round(&session->drain);
	drain_finish(&session->drain);
	while (!tsc_clock_settled(&session->clock))
		; /* the program could not be run */
	report_until(session, UINT64_MAX);
}

static int failure_status(const struct drain *drain, const char *program)
{
	int err = drain->last.value;

	if (drain->last.aux == START_EXEC) {
		warn_line("cannot run '%s': %s", program, strerror(err));
		return err == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	const char *hint = err != EPERM && err != EACCES ? "" :
		" (forbidden here: by kernel.yama.ptrace_scope, another tracer, or a container's rules)";

	warn_line("cannot trace '%s': %s: %s%s", program, drain->what[0] ? drain->what : "ptrace", strerror(err), hint);
	return EXIT_CANNOT_TRACE;
}

static int close_session(struct session *session, const char *program)
{
	close_at_exit();
	bool written = sinks_close(&session->sinks);

	keeper_wait(&session->keeper);
	int status = EXIT_CANNOT_TRACE;

	if (session->drain.failed)
		status = failure_status(&session->drain, program);
	else if (!session->drain.finished)
		warn_line("the keeper was killed: the trace is cut, and the program may have died of SIGSYS");
	else
		status = written ? end_like(session->drain.last.value) : EXIT_OUTPUT;
	if (!session->drain.failed && !session->drain.finished && session->drain.net >= 0)
		net_heir_serve(session->drain.net, session->keeper.shared->net_id);
	close(session->keeper.socket);
	close(session->keeper.signals);
	drain_close(&session->drain);
	merge_close(&session->merge);
	return status;
}

int session_run(const struct options *options, const char *program, int argc, char **argv)
{
	static struct session the_session; /* its tables are large, and mostly never touched */
	struct session *session = &the_session;

	session->options = options;
	open_session(session, program, argc, argv);
	trace(session);
	return close_session(session, options->program[0]);
}
