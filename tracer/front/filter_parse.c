/* The lists of -e: names, classes, numbers, regular expressions, each with its one clear line when it is wrong. */
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "filter.h"
#include "memory.h"
#include "nearest.h"

struct bit_row { const char *name; uint32_t bits; };
struct bit_table { const char *what; const struct bit_row *rows; size_t count; };
#define ROWS(table) table, sizeof(table) / sizeof(table[0])

static const struct bit_row class_rows[] = {
	{ "file", CLASS_FILE }, { "process", CLASS_PROCESS }, { "network", CLASS_NETWORK }, { "net", CLASS_NETWORK },
	{ "signal", CLASS_SIGNAL }, { "ipc", CLASS_IPC }, { "desc", CLASS_DESC }, { "memory", CLASS_MEMORY },
	{ "creds", CLASS_CREDS }, { "stat", CLASS_STAT }, { "lstat", CLASS_LSTAT }, { "fstat", CLASS_FSTAT },
	{ "statfs", CLASS_STATFS }, { "fstatfs", CLASS_FSTATFS }, { "clock", CLASS_CLOCK }, { "pure", CLASS_PURE },
	{ "%stat", CLASS_STAT | CLASS_LSTAT | CLASS_FSTAT }, { "%statfs", CLASS_STATFS | CLASS_FSTATFS },
};
static const struct bit_row status_rows[] = {
	{ "successful", STATUS_SUCCESSFUL }, { "failed", STATUS_FAILED }, { "unfinished", STATUS_UNFINISHED },
	{ "unavailable", STATUS_UNAVAILABLE }, { "detached", STATUS_DETACHED },
};
static const struct bit_row quiet_rows[] = {
	{ "attach", QUIET_ATTACH }, { "exit", QUIET_EXIT }, { "exits", QUIET_EXIT }, { "path-resolution", QUIET_PATHS },
	{ "path-resolve", QUIET_PATHS }, { "path", QUIET_PATHS }, { "personality", QUIET_PERSONALITY },
	{ "thread-execve", QUIET_THREAD_EXECVE }, { "superseded", QUIET_THREAD_EXECVE },
};
static const struct bit_table classes = { "syscall class", ROWS(class_rows) };
static const struct bit_table statuses = { "status", ROWS(status_rows) };
static const struct bit_table quiets = { "quiet setting", ROWS(quiet_rows) };

static bool wrong(char error[FILTER_ERROR], const char *what, const char *word, const struct nearest *nearest)
{
	const char *best = nearest ? nearest_found(nearest) : NULL;

	if (best)
		snprintf(error, FILTER_ERROR, "unknown %s '%.80s': did you mean '%s'?", what, word, best);
	else
		snprintf(error, FILTER_ERROR, "unknown %s '%.80s'", what, word);
	return false;
}

static bool find_bits(const struct bit_table *table, const char *word, uint32_t *bits, char error[FILTER_ERROR])
{
	struct nearest nearest = { .wanted = word };

	for (size_t i = 0; i < table->count; i++) {
		if (!strcmp(table->rows[i].name, word)) {
			*bits = table->rows[i].bits;
			return true;
		}
		nearest_offer(&nearest, table->rows[i].name);
	}
	return wrong(error, table->what, word, &nearest);
}

/* Calls `item` for each word of a comma list. */
typedef bool item_function(void *context, const char *word, char error[FILTER_ERROR]);
static bool each_word(const char *list, item_function *item, void *context, char error[FILTER_ERROR])
{
	char *copy = strdup(list), *rest = copy, *word;
	bool good = copy != NULL;

	while (good && (word = strsep(&rest, ",")))
		if (*word)
			good = item(context, word, error);
	free(copy);
	return good;
}

static bool inverted(const char **list)
{
	bool found = **list == '!';

	*list += found;
	return found;
}

static bool none_of(const char *list)
{
	return !strcmp(list, "none");
}

/* ---- syscalls ---- */

/* The sets a list is built in: one flag per number and ABI. */
struct call_names { bool chosen[2][FILTER_NUMBERS]; };

static uint32_t name_count(int abi)
{
	uint32_t count = abi ? syscalls_i386_count : syscalls_x86_64_count;

	return count < FILTER_NUMBERS ? count : FILTER_NUMBERS;
}

static const char *name_of(int abi, uint32_t nr)
{
	return abi ? syscalls_i386_names[nr] : syscalls_x86_64[nr].name;
}

static bool choose_name(struct call_names *set, const char *name, int abi)
{
	bool found = false;

	for (uint32_t nr = 0; nr < name_count(abi); nr++)
		if (name_of(abi, nr) && !strcmp(name_of(abi, nr), name))
			found = set->chosen[abi][nr] = true;
	return found;
}

/* A class is known for the x86-64 calls; i386's have it by name. */
static void choose_class(struct call_names *set, uint32_t class_bits)
{
	for (uint32_t nr = 0; nr < name_count(0); nr++)
		if (syscalls_x86_64[nr].name && syscalls_x86_64[nr].classes & class_bits) {
			set->chosen[0][nr] = true;
			choose_name(set, syscalls_x86_64[nr].name, 1);
		}
}

static bool choose_regex(struct call_names *set, const char *pattern, char error[FILTER_ERROR])
{
	char reason[128];
	regex_t regex;
	bool found = false;
	int err = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);

	if (err) {
		regerror(err, &regex, reason, sizeof(reason));
		snprintf(error, FILTER_ERROR, "bad regular expression '%.80s': %s", pattern, reason);
		return false;
	}
	for (int abi = 0; abi < 2; abi++)
		for (uint32_t nr = 0; nr < name_count(abi); nr++)
			if (name_of(abi, nr) && !regexec(&regex, name_of(abi, nr), 0, NULL, 0))
				found = set->chosen[abi][nr] = true;
	regfree(&regex);
	return found ? true : wrong(error, "syscall pattern", pattern, NULL);
}

static bool choose_number(struct call_names *set, const char *word)
{
	char *end;
	unsigned long nr = strtoul(word, &end, 10);

	if (*end || nr >= name_count(0) || !syscalls_x86_64[nr].name)
		return false;
	set->chosen[0][nr] = true;
	return true;
}

static bool unknown_call(const char *word, char error[FILTER_ERROR])
{
	struct nearest nearest = { .wanted = word };

	for (uint32_t nr = 0; nr < name_count(0); nr++)
		if (syscalls_x86_64[nr].name)
			nearest_offer(&nearest, syscalls_x86_64[nr].name);
	return wrong(error, "syscall", word, &nearest);
}

/* NAME, NAME@64, NAME@32, NUMBER. */
static bool choose_call(struct call_names *set, char *word, char error[FILTER_ERROR])
{
	char *at = strchr(word, '@');
	bool want64 = !at || !strcmp(at, "@64") || !strcmp(at, "@x32"), want32 = !at || !strcmp(at, "@32");

	if (at && (want64 || want32))
		*at = 0;
	if (*word >= '0' && *word <= '9')
		return choose_number(set, word) ? true : unknown_call(word, error);
	bool found64 = want64 && choose_name(set, word, 0), found32 = want32 && choose_name(set, word, 1);

	return found64 || found32 ? true : unknown_call(word, error);
}

static bool old_class_name(const char *word)
{
	static const char *const words[] = { "file", "process", "network", "signal", "ipc", "desc", "memory" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i], word))
			return true;
	return false;
}

static bool choose_word(void *context, const char *word, char error[FILTER_ERROR])
{
	struct call_names *set = context;
	bool optional = *word == '?';
	char copy[128];
	uint32_t bits;

	word += optional;
	if (*word == '/')
		return choose_regex(set, word + 1, error) || optional;
	if (!strcmp(word, "all")) {
		memset(set, true, sizeof(*set));
		return true;
	}
	if (*word == '%' || old_class_name(word)) {
		if (!find_bits(&classes, word + (*word == '%'), &bits, error))
			return optional;
		choose_class(set, bits);
		return true;
	}
	snprintf(copy, sizeof(copy), "%s", word);
	return choose_call(set, copy, error) || optional;
}

bool filter_trace(struct filter *filter, const char *list, char error[FILTER_ERROR])
{
	struct call_names set = { 0 };
	bool invert = inverted(&list);

	if (!*list) {
		snprintf(error, FILTER_ERROR, "an empty list of syscalls");
		return false;
	}
	if (!none_of(list) && !each_word(list, choose_word, &set, error))
		return false;
	filter->others = invert != !strcmp(list, "all");
	for (int abi = 0; abi < 2; abi++)
		for (uint32_t nr = 0; nr < FILTER_NUMBERS; nr++)
			filter->by_abi[abi][nr] = set.chosen[abi][nr] != invert;
	return true;
}

/* ---- signals ---- */

static int signal_number(const char *word, struct nearest *nearest)
{
	const char *name = strncasecmp(word, "SIG", 3) ? word : word + 3;
	char *end;
	unsigned long number = strtoul(word, &end, 10);

	if (*word >= '0' && *word <= '9')
		return *end || number > 64 ? -1 : (int)number;
	for (int sig = 1; sig < NSIG; sig++) {
		const char *known = sigabbrev_np(sig);

		if (known && !strcasecmp(known, name))
			return sig;
		if (known)
			nearest_offer(nearest, known);
	}
	return -1;
}

static bool choose_signal(void *context, const char *word, char error[FILTER_ERROR])
{
	uint64_t *set = context;
	struct nearest nearest = { .wanted = strncasecmp(word, "SIG", 3) ? word : word + 3 };
	int sig;

	if (!strcmp(word, "all")) {
		*set = UINT64_MAX;
		return true;
	}
	sig = signal_number(word, &nearest);
	if (sig < 0)
		return wrong(error, "signal", word, &nearest);
	*set |= sig < 64 ? 1ull << sig : 0;
	return true;
}

bool filter_signal(struct filter *filter, const char *list, char error[FILTER_ERROR])
{
	bool invert = inverted(&list);
	uint64_t set = 0;

	if (!none_of(list) && !each_word(list, choose_signal, &set, error))
		return false;
	filter->signals = invert ? ~set : set;
	return true;
}

/* ---- statuses and quiet settings ---- */

struct bit_choice { const struct bit_table *table; uint32_t bits; };

static bool choose_bits(void *context, const char *word, char error[FILTER_ERROR])
{
	struct bit_choice *choice = context;
	uint32_t bits = UINT32_MAX;

	if (strcmp(word, "all") && !find_bits(choice->table, word, &bits, error))
		return false;
	choice->bits |= bits;
	return true;
}

static bool parse_bits(const struct bit_table *table, const char *list, unsigned all, unsigned *to,
		       char error[FILTER_ERROR])
{
	struct bit_choice choice = { .table = table };
	bool invert = inverted(&list);

	if (!none_of(list) && !each_word(list, choose_bits, &choice, error))
		return false;
	*to = (invert ? ~choice.bits : choice.bits) & all;
	return true;
}

bool filter_status(struct filter *filter, const char *list, char error[FILTER_ERROR])
{
	return parse_bits(&statuses, list, STATUS_ALL, &filter->status, error);
}

bool filter_quiet(struct filter *filter, const char *list, char error[FILTER_ERROR])
{
	return parse_bits(&quiets, list, QUIET_ALL, &filter->quiet, error);
}

bool filter_caught(struct filter *filter, const char *list, char error[FILTER_ERROR])
{
	if (strcmp(list, "raw") && strcmp(list, "all"))
		return wrong(error, "setting of caught (raw or all)", list, NULL);
	filter->raw_only = !strcmp(list, "raw");
	return true;
}
