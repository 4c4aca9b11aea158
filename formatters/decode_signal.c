/* Signals: numbers, sets, siginfo, wait status, sigaction. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "decode.h"
#include "sets.h"

#define SET_OF(name, ...) static const struct constant name##_items[] = { __VA_ARGS__ }; \
	static const struct constant_set name = { #name, name##_items, sizeof(name##_items) / sizeof(*name##_items), NULL, 0 }
#define NEG(n) (uint64_t)(int64_t)(-(n))
SET_OF(si_codes, { 0, "SI_USER" }, { 0x80, "SI_KERNEL" }, { NEG(1), "SI_QUEUE" }, { NEG(2), "SI_TIMER" },
	{ NEG(3), "SI_MESGQ" }, { NEG(4), "SI_ASYNCIO" }, { NEG(5), "SI_SIGIO" }, { NEG(6), "SI_TKILL" });
SET_OF(cld_codes, { 1, "CLD_EXITED" }, { 2, "CLD_KILLED" }, { 3, "CLD_DUMPED" }, { 4, "CLD_TRAPPED" },
	{ 5, "CLD_STOPPED" }, { 6, "CLD_CONTINUED" });
SET_OF(segv_codes, { 1, "SEGV_MAPERR" }, { 2, "SEGV_ACCERR" }, { 3, "SEGV_BNDERR" }, { 4, "SEGV_PKUERR" });
SET_OF(bus_codes, { 1, "BUS_ADRALN" }, { 2, "BUS_ADRERR" }, { 3, "BUS_OBJERR" });
SET_OF(fpe_codes, { 1, "FPE_INTDIV" }, { 2, "FPE_INTOVF" }, { 3, "FPE_FLTDIV" }, { 4, "FPE_FLTOVF" });
SET_OF(ill_codes, { 1, "ILL_ILLOPC" }, { 2, "ILL_ILLOPN" }, { 3, "ILL_ILLADR" }, { 5, "ILL_PRVOPC" });
SET_OF(trap_codes, { 1, "TRAP_BRKPT" }, { 2, "TRAP_TRACE" });
SET_OF(sys_codes, { 1, "SYS_SECCOMP" }, { 2, "SYS_USER_DISPATCH" });

struct value *decode_signal_number(struct decode *d, int number)
{
	struct value *value = value_new(d->arena, VALUE_INT, (uint64_t)(int64_t)number);
	struct constant_set *set;
	struct constant *item;

	if (!signal_name(number))
		return value;
	set = arena_alloc(d->arena, sizeof(*set));
	item = arena_alloc(d->arena, sizeof(*item));
	*item = (struct constant){ (uint64_t)number, signal_name(number) };
	*set = (struct constant_set){ "signals", item, 1, NULL, 0 };
	value->type = VALUE_ENUM;
	value->set = set;
	return value;
}

struct value *decode_sigset(struct decode *d, const uint8_t *bytes, size_t size)
{
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	struct buf *text = arena_text(d->arena);
	uint64_t mask;
	bool inverse;

	if (size < 8)
		return NULL;
	mask = get_u64(bytes);
	inverse = __builtin_popcountll(mask) >= 43; /* 2/3 of 64: the rest is shorter */
	buf_puts(text, inverse ? "~[" : "[");
	for (int n = 1, any = 0; n <= 64; n++) {
		bool in = mask >> (n - 1) & 1;

		if (in)
			value_add(list, NULL, decode_signal_number(d, n));
		if (in != inverse)
		{
			buf_puts(text, any++ ? " " : "");
			buf_puts(text, signal_name(n) + 3);
		}
	}
	buf_putc(text, ']');
	list->text = arena_keep(d->arena, text);
	return list;
}

static const struct constant_set *codes_of(const siginfo_t *info)
{
	if (info->si_code <= 0 || info->si_code == 0x80)
		return &si_codes;
	switch (info->si_signo) {
	case SIGCHLD: return &cld_codes;
	case SIGSEGV: return &segv_codes;
	case SIGBUS: return &bus_codes;
	case SIGFPE: return &fpe_codes;
	case SIGILL: return &ill_codes;
	case SIGTRAP: return &trap_codes;
	case SIGSYS: return &sys_codes;
	}
	return &si_codes;
}

static void add_sender(struct decode *d, struct value *value, const siginfo_t *info)
{
	value_add(value, "si_pid", value_new(d->arena, VALUE_INT, (uint64_t)(int64_t)info->si_pid));
	value_add(value, "si_uid", value_new(d->arena, info->si_uid == UINT32_MAX ? VALUE_INT : VALUE_UINT,
		info->si_uid == UINT32_MAX ? UINT64_MAX : info->si_uid));
}

struct value *decode_ticks(struct decode *d, uint64_t ticks)
{
	struct value *value = value_new(d->arena, VALUE_INT, ticks);

	if (ticks)
		value->comment = arena_printf(d->arena, " /* %llu.%02llu s */", (unsigned long long)ticks / 100,
			(unsigned long long)ticks % 100);
	return value;
}

static void add_child(struct decode *d, struct value *value, const siginfo_t *info)
{
	add_sender(d, value, info);
	value_add(value, "si_status", info->si_code == CLD_EXITED ? value_new(d->arena, VALUE_INT,
		(uint64_t)(int64_t)info->si_status) : decode_signal_number(d, info->si_status));
	value_add(value, "si_utime", decode_ticks(d, (uint64_t)info->si_utime));
	value_add(value, "si_stime", decode_ticks(d, (uint64_t)info->si_stime));
}

static void add_queued(struct decode *d, struct value *value, const siginfo_t *info)
{
	if (info->si_code == SI_TIMER) {
		value_add(value, "si_timerid", value_new(d->arena, VALUE_HEX, (uint64_t)info->si_timerid));
		value_add(value, "si_overrun", value_new(d->arena, VALUE_INT, (uint64_t)(int64_t)info->si_overrun));
	} else {
		add_sender(d, value, info);
	}
	if (!info->si_value.sival_ptr)
		return;
	value_add(value, "si_int", value_new(d->arena, VALUE_INT, (uint64_t)(int64_t)info->si_value.sival_int));
	value_add(value, "si_ptr", value_new(d->arena, VALUE_ADDR, (uint64_t)(uintptr_t)info->si_value.sival_ptr));
}

static struct value *code_value(struct decode *d, const siginfo_t *info)
{
	const struct constant_set *set = codes_of(info);
	uint64_t number = (uint64_t)(int64_t)info->si_code;

	return value_set(d->arena, VALUE_ENUM, constant_name(set, number) ? number : (uint32_t)number, set);
}

struct value *decode_siginfo(struct decode *d, const siginfo_t *info)
{
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0);
	int number = info->si_signo;

	if (!number) /* strace: {} */
		return value;
	value_add(value, "si_signo", decode_signal_number(d, number));
	value_add(value, "si_code", code_value(d, info));
	if (info->si_errno)
		value_add(value, "si_errno", errno_name(info->si_errno) ? decode_errno(d, (uint32_t)info->si_errno) :
			value_new(d->arena, VALUE_UINT, (uint32_t)info->si_errno));
	if (info->si_code == SI_USER || info->si_code == SI_TKILL)
		add_sender(d, value, info);
	else if (info->si_code < 0)
		add_queued(d, value, info);
	else if (number == SIGCHLD && info->si_code < 0x80)
		add_child(d, value, info);
	else if (number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL)
		value_add(value, "si_addr", value_new(d->arena, VALUE_ADDR, (uint64_t)(uintptr_t)info->si_addr));
	return value;
}

struct value *decode_wstatus(struct decode *d, uint32_t status)
{
	struct value *list = value_new(d->arena, VALUE_ARRAY, 0);
	int s = (int)status;
	const char *text;

	value_add(list, NULL, value_new(d->arena, VALUE_INT, (uint64_t)(int64_t)s));
	if (WIFEXITED(s))
		text = arena_printf(d->arena, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", WEXITSTATUS(s));
	else if (WIFSTOPPED(s))
		text = arena_printf(d->arena, "[{WIFSTOPPED(s) && WSTOPSIG(s) == %s}]", signal_name(WSTOPSIG(s)) ?: "?");
	else if (WIFCONTINUED(s))
		text = "[{WIFCONTINUED(s)}]";
	else
		text = arena_printf(d->arena, "[{WIFSIGNALED(s) && WTERMSIG(s) == %s%s}]", signal_name(WTERMSIG(s)) ?: "?",
			WCOREDUMP(s) ? " && WCOREDUMP(s)" : "");
	list->text = text;
	return list;
}

struct value *decode_sigevent(struct decode *d, const uint8_t *at)
{
	struct value *value = value_new(d->arena, VALUE_STRUCT, 0), *data = value_new(d->arena, VALUE_STRUCT, 0);
	uint32_t number = get_u32(at + 8), notify = get_u32(at + 12);

	if (get_u64(at)) {
		value_add(data, "sival_int", value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at)));
		value_add(data, "sival_ptr", value_new(d->arena, VALUE_ADDR, get_u64(at)));
		value_add(value, "sigev_value", data);
	}
	value_add(value, "sigev_signo", signal_name((int)number) ? decode_signal_number(d, (int)number) : value_new(d->arena, VALUE_UINT, number));
	value_add(value, "sigev_notify", value_set(d->arena, VALUE_ENUM, notify, &set_sigev_notify));
	if (notify == SIGEV_THREAD_ID)
		value_add(value, "sigev_notify_thread_id", value_new(d->arena, VALUE_INT, (uint64_t)(int32_t)get_u32(at + 16)));
	if (notify == SIGEV_THREAD) {
		value_add(value, "sigev_notify_function", value_new(d->arena, get_u64(at + 16) ? VALUE_ADDR : VALUE_NULL, get_u64(at + 16)));
		value_add(value, "sigev_notify_attributes", value_new(d->arena, get_u64(at + 24) ? VALUE_ADDR : VALUE_NULL, get_u64(at + 24)));
	}
	return value;
}
