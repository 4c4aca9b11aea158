#include <string.h>
#include "die.h"
#include "memory.h"
#include "sinks.h"

static bool compressed(const struct options *options, const char *name)
{
	size_t length = strlen(name);

	return options->zstd || (*name != '|' && *name != '!' && length > 4 && !strcmp(name + length - 4, ".zst"));
}

void sinks_open(struct sinks *sinks, const struct options *options)
{
	sinks->count = options->output_count;
	sinks->outputs = allocate(sinks->count * sizeof(*sinks->outputs));
	sinks->items = allocate(sinks->count * sizeof(*sinks->items));
	sinks->fds = allocate(sinks->count * sizeof(*sinks->fds));
	for (uint32_t i = 0; i < sinks->count; i++) {
		const char *name = options->outputs[i].name;
		unsigned flags = (options->append ? OUTPUT_APPEND : 0) | (options->command == COMMAND_REPLAY ? OUTPUT_STDOUT : 0) |
			(name && compressed(options, name) ? OUTPUT_ZSTD : 0);
		int err = output_open(&sinks->outputs[i], name, flags);

		if (err)
			die(EXIT_OUTPUT, "cannot open %s: %s", name ? name : "the output", strerror(err));
		sinks->fds[i] = sinks->outputs[i].fd;
	}
}

static const struct formatter_ops *formatter_for(enum trace_format format)
{
	switch (format) {
	case FORMAT_JSON:
		return &formatter_json;
	case FORMAT_JSONL:
		return &formatter_jsonl;
	case FORMAT_TEXT:
	case FORMAT_BY_NAME:
	case FORMAT_VTR:
		break;
	}
	return &formatter_text;
}

void sinks_begin(struct sinks *sinks, const struct options *options, const struct tsc_clock *clock,
		 const struct format_options *format, const struct vtr_header *recorded)
{
	for (uint32_t i = 0; i < sinks->count; i++) {
		const struct output_option *output = &options->outputs[i];
		struct sink *sink = &sinks->items[i];

		*sink = (struct sink){ .out = sinks->outputs[i].file, .file = output->name,
				       .text = output->format == FORMAT_TEXT };
		if (output->format == FORMAT_VTR) {
			sink->writer = vtr_writer_open(sink->out, clock, recorded, format);
			continue;
		}
		if (options->summary == SUMMARY_ONLY)
			continue;
		struct format_options own = *format;

		own.output_is_file = sink->file;
		sink->ops = formatter_for(output->format);
		sink->formatter = sink->ops->open(sink->out, &own);
		if (!sink->formatter)
			die(EXIT_CANNOT_TRACE, "out of memory");
	}
}

void sinks_flush(struct sinks *sinks, bool idle)
{
	for (uint32_t i = 0; i < sinks->count; i++) {
		if (sinks->items[i].writer)
			vtr_writer_flush(sinks->items[i].writer);
		else if (sinks->items[i].ops)
			sinks->items[i].ops->flush(sinks->items[i].formatter);
		output_flush(&sinks->outputs[i], idle);
	}
}

void sinks_settle(struct sinks *sinks)
{
	for (uint32_t i = 0; i < sinks->count; i++)
		if (sinks->items[i].writer)
			vtr_writer_settle(sinks->items[i].writer);
}

/* The table follows the text; with -c it is all there is. A document or a recording has no place for it. */
static FILE *summary_file(const struct sinks *sinks, const struct options *options)
{
	for (uint32_t i = 0; i < sinks->count; i++)
		if (sinks->items[i].text || (options->summary == SUMMARY_ONLY && !sinks->items[i].writer))
			return sinks->items[i].out;
	return stderr;
}

/* It is printed in many small pieces, and no file here has a buffer. */
static void put_summary(struct summary *summary, FILE *out, const char *sort, const struct trace_stats *stats)
{
	char buffer[BUFSIZ];

	setvbuf(out, buffer, _IOFBF, sizeof(buffer));
	summary_close(summary, out, sort, stats);
	setvbuf(out, NULL, _IONBF, 0);
}

void sinks_end(struct sinks *sinks, const struct options *options, struct summary *summary, const struct vtr_end *end,
	       const struct trace_stats *stats)
{
	const struct trace_end told = { .complete = end->complete, .lost = end->lost, .stats = stats };

	for (uint32_t i = 0; i < sinks->count; i++) {
		struct sink *sink = &sinks->items[i];

		if (sink->writer)
			vtr_writer_close(sink->writer, end);
		else if (sink->ops)
			sink->ops->close(sink->formatter, &told);
	}
	if (summary)
		put_summary(summary, summary_file(sinks, options), options->sort, stats);
}

bool sinks_close(struct sinks *sinks)
{
	bool written = true;

	for (uint32_t i = 0; i < sinks->count; i++)
		written &= output_close(&sinks->outputs[i]);
	free(sinks->outputs);
	free(sinks->items);
	free(sinks->fds);
	return written;
}
