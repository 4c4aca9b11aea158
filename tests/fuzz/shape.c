/* JSON as jansson reads it, and the shape that formatters/vtrace.schema.json describes. */
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include "lines.h"
#include "shape.h"

/* Types a value may have, as bits 1 << json_type. */
#define OBJECT (1u << JSON_OBJECT)
#define ARRAY (1u << JSON_ARRAY)
#define STRING (1u << JSON_STRING)
#define INTEGER (1u << JSON_INTEGER)
#define TRUTH (1u << JSON_TRUE | 1u << JSON_FALSE)
#define NOTHING (1u << JSON_NULL)
#define ANY ~0u
#define TEXT (STRING | OBJECT) /* an object where the bytes are no UTF-8 */

struct key { const char *name; unsigned types; };
#define ROWS_MAX 12
static const struct { const char *type; struct key keys[ROWS_MAX]; } shapes[] = {
	{ "header", { { "schema", STRING }, { "version", STRING }, { "argv", ARRAY }, { "start_realtime_ns", STRING },
		      { "start_monotonic_ns", STRING } } },
	{ "footer", { { "complete", TRUTH }, { "events", INTEGER }, { "lost", INTEGER } } },
	{ "syscall", { { "dur", INTEGER }, { "abi", STRING }, { "nr", INTEGER }, { "name", STRING }, { "args", ARRAY },
		       { "ret", OBJECT | NOTHING }, { "state", STRING }, { "site", OBJECT }, { "raw", TRUTH | NOTHING },
		       { "via", OBJECT | NOTHING }, { "caught", STRING } } },
	{ "vdso", { { "dur", INTEGER }, { "abi", STRING }, { "nr", INTEGER }, { "name", STRING }, { "args", ARRAY },
		    { "ret", OBJECT | NOTHING }, { "state", STRING }, { "site", NOTHING }, { "raw", TRUTH | NOTHING },
		    { "via", OBJECT | NOTHING }, { "caught", STRING } } },
	{ "signal", { { "siginfo", OBJECT } } }, { "stop", { { "signal", STRING | NOTHING } } }, { "exit", { { 0 } } },
	{ "process", { { "parent", INTEGER }, { "what", STRING }, { "path", TEXT | NOTHING } } },
	{ "note", { { "text", TEXT } } }, { "lost", { { "count", INTEGER } } },
};
static const struct key event_keys[] = {
	{ "seq", INTEGER }, { "pid", INTEGER }, { "tid", INTEGER }, { "comm", TEXT }, { "ts", INTEGER },
};
static const struct key arg_keys[] = { { "name", STRING }, { "type", STRING }, { "value", ANY } };

static bool has(const json_t *object, const struct key *key)
{
	const json_t *value = json_object_get(object, key->name);

	return value && key->types >> json_typeof(value) & 1;
}

static bool has_all(const json_t *object, const struct key *keys, size_t count)
{
	for (size_t i = 0; i < count && keys[i].name; i++)
		if (!has(object, &keys[i]))
			return false;
	return true;
}

static bool args_right(const json_t *args)
{
	for (size_t i = 0; i < json_array_size(args); i++)
		if (!has_all(json_array_get(args, i), arg_keys, sizeof(arg_keys) / sizeof(arg_keys[0])))
			return false;
	return true;
}

static bool shape_right(const json_t *line)
{
	const char *type = json_string_value(json_object_get(line, "type"));

	for (size_t i = 0; type && i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (strcmp(type, shapes[i].type))
			continue;
		return has_all(line, shapes[i].keys, ROWS_MAX) && args_right(json_object_get(line, "args")) &&
		       (i < 2 || has_all(line, event_keys, sizeof(event_keys) / sizeof(event_keys[0])));
	}
	return false;
}

static json_t *load(const char *text, size_t bytes)
{
	json_error_t error;
	json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!value)
		fuzz_failed(error.text, text, bytes);
	return value;
}

void check_json_shapes(const char *text, size_t bytes)
{
	for (const char *at = text, *end; at < text + bytes; at = end + 1) {
		end = memchr(at, '\n', (size_t)(text + bytes - at));
		if (!end)
			fuzz_failed("a line that does not end", at, (size_t)(text + bytes - at));
		json_t *line = load(at, (size_t)(end - at));

		if (!shape_right(line))
			fuzz_failed("not the shape of the schema", at, (size_t)(end - at));
		json_decref(line);
	}
}

void check_json_document(const char *text, size_t bytes)
{
	static const struct key keys[] = { { "schema", STRING }, { "header", OBJECT }, { "events", ARRAY }, { "footer", OBJECT } };
	json_t *document = load(text, bytes);
	const json_t *events = json_object_get(document, "events");
	bool right = has_all(document, keys, sizeof(keys) / sizeof(keys[0])) && shape_right(json_object_get(document, "header")) &&
		shape_right(json_object_get(document, "footer"));

	for (size_t i = 0; i < json_array_size(events); i++)
		right = right && shape_right(json_array_get(events, i));
	if (!right)
		fuzz_failed("not the shape of the schema", text, bytes);
	json_decref(document);
}
