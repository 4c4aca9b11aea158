/* From an argument of a record to a value tree. Never reads past a piece: what is too short is unreadable. */
#ifndef VTRACE_FORMATTERS_DECODE_H
#define VTRACE_FORMATTERS_DECODE_H

#include "format.h"
#include "value.h"

struct decode {
	const struct record *rec;
	const struct syscall_row *row;
	const struct format_options *options;
	struct arena *arena;
	bool exiting; /* the record is complete */
	bool failed;
	bool before; /* the struct at hand is an inout argument as it was before the call */
};

/* What is known of a call, or NULL: by its command, where it has one. */
const struct syscall_row *decode_row(const struct record *rec);
/* What follows the return value: "(flags O_RDWR)", "(Timeout)"; NULL: nothing. */
const char *decode_ret_note(struct decode *d);
/* Arguments the text shows; fills `args` in kernel order. Returns how many there are. */
int decode_args(struct decode *d, struct value *args[6]);
struct value *decode_arg(struct decode *d, int arg);
/* Arguments a flag or command makes meaningless are hidden. */
void decode_hide_unused(struct decode *d, int count, struct value *args[6]);

/* The piece of an argument at the moment it has its meaning, or NULL; how long its annotation says it is. */
const struct piece *decode_piece(struct decode *d, int arg);
uint64_t decode_length(struct decode *d, int arg);
/* The bytes at an argument, at least `size` of them, or NULL. `phase` as piece_find(). */
const uint8_t *decode_mem(struct decode *d, int arg, size_t size, int phase);
struct value *decode_address(struct decode *d, int arg);
struct value *decode_bytes(struct decode *d, const uint8_t *bytes, size_t size, uint64_t full, uint64_t limit);
struct value *decode_struct(struct decode *d, int id, const uint8_t *bytes, size_t size); /* NULL: too short */
size_t struct_size(int id);
struct value *decode_member(struct decode *d, const struct member *member, const uint8_t *at); /* at member->size bytes */
struct value *decode_sigset(struct decode *d, const uint8_t *bytes, size_t size);
struct value *decode_sockaddr(struct decode *d, const uint8_t *bytes, size_t size, uint64_t len);
struct value *decode_msghdr(struct decode *d, int arg);
struct value *decode_mmsghdr(struct decode *d, int arg);
struct value *decode_iovec(struct decode *d, int arg, uint32_t first, const uint8_t *iov, uint64_t count, int64_t bytes);
struct value *decode_wstatus(struct decode *d, uint32_t status);
struct value *decode_siginfo(struct decode *d, const siginfo_t *info);
struct value *decode_command(struct decode *d, int arg); /* NULL: not known */
struct value *decode_sockopt(struct decode *d, int arg); /* the value of a socket option */
struct value *decode_clone(struct decode *d, struct value *args[6]);
struct value *decode_ipc_key(struct decode *d, uint32_t key);
struct value *decode_ipc_flags(struct decode *d, const struct constant_set *set, uint32_t number);
struct value *decode_signal_number(struct decode *d, int number);
struct value *decode_ticks(struct decode *d, uint64_t ticks); /* clock_t: hundredths of a second */
struct value *decode_file_mode(struct decode *d, uint64_t mode); /* type, set-id bits, permissions */
struct value *decode_open_flags(struct decode *d, uint64_t flags);
struct value *decode_named(struct decode *d, int arg);
struct value *decode_network_number(struct decode *d, int arg);
struct value *decode_errno(struct decode *d, uint32_t number);
struct value *decode_user_register(struct decode *d, uint64_t offset);
struct value *decode_sigset_pair(struct decode *d, int arg);
struct value *decode_nodemask(struct decode *d, int arg);
struct value *decode_quota_command(struct decode *d, int arg);
struct value *decode_message_buffer(struct decode *d, int arg);
struct value *decode_file_handle(struct decode *d, int arg);
struct value *decode_sigevent(struct decode *d, const uint8_t *at);
struct value *decode_capabilities(struct decode *d, const uint8_t *at); /* two of struct __user_cap_data_struct */
struct value *decode_date(struct decode *d, uint64_t seconds); /* with the date as a comment, also of the epoch */
struct value *decode_ioprio(struct decode *d, uint32_t priority);
struct value *decode_one_of(struct decode *d, uint64_t number, const struct constant_set *set); /* as the set's style says */
struct value *decode_several_of(struct decode *d, uint64_t number, const struct constant_set *set); /* flags, the same */
struct value *decode_bits(struct decode *d, uint64_t number, const struct constant_set *set); /* the set has numbers of bits */
struct value *decode_termios(struct decode *d, const uint8_t *at, size_t word); /* flags of so many bytes each */
const char *decode_time_comment(struct decode *d, uint64_t seconds, uint64_t nanos); /* the date; NULL: the epoch has none */
const char *decode_date_text(struct decode *d, uint64_t seconds, uint64_t part, int digits); /* NULL: no date */

const char *signal_name(int number); /* "SIGINT"; NULL: none */
const char *errno_name(int number);
const char *restart_text(int number);

static inline uint32_t get_u16(const uint8_t *at) { uint16_t v; __builtin_memcpy(&v, at, 2); return v; }
static inline uint32_t get_u32(const uint8_t *at) { uint32_t v; __builtin_memcpy(&v, at, 4); return v; }
static inline uint64_t get_u64(const uint8_t *at) { uint64_t v; __builtin_memcpy(&v, at, 8); return v; }

#endif
