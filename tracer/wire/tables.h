/* The shapes of the tables gen/ writes. Freestanding. Facts live in the tables, behaviour in the readers. */
#ifndef VTRACE_WIRE_TABLES_H
#define VTRACE_WIRE_TABLES_H

#include <stdint.h>

/* How a value reads. Text forms are strace 6.1's. */
enum arg_kind {
	ARG_NONE = 0,
	ARG_INT,      /* signed 32-bit decimal */
	ARG_UINT,     /* unsigned 32-bit decimal */
	ARG_LONG,     /* signed 64-bit decimal */
	ARG_ULONG,    /* unsigned 64-bit decimal (sizes, lengths) */
	ARG_HEX,      /* 64-bit 0x..., 0 prints as 0 */
	ARG_ADDR,     /* address: NULL or 0x... */
	ARG_OFFSET,   /* off_t/loff_t by value: signed 64-bit decimal; a decimal string in JSON */
	ARG_FD,
	ARG_DIRFD,    /* fd or AT_FDCWD */
	ARG_PATH,     /* NUL-terminated, never cut in text, quoted */
	ARG_STRING,   /* NUL-terminated, cut at -s */
	ARG_BUFFER,   /* bytes, length by len_from/len_arg, cut at -s */
	ARG_FLAGS,    /* set: or of constants (set->zero names 0 if there is such a constant) */
	ARG_ENUM,     /* set: one of */
	ARG_MODE,     /* file mode, octal */
	ARG_MODET,    /* mode_t whose S_IF type prints too (mknod) */
	ARG_SIGNAL,
	ARG_PID,
	ARG_UID,      /* uid or gid, -1 prints as -1 */
	ARG_DEV,      /* makedev(0x.., 0x..) */
	ARG_STRUCT,   /* struct_id, through the pointer */
	ARG_ARRAY,    /* array of struct_id through the pointer, count by len_from/len_arg */
	ARG_ARGV,     /* NULL-terminated array of strings */
	ARG_ENVP,     /* the same, abbreviated to an address and a count comment as strace does */
	ARG_IOVEC,    /* struct iovec[], count in len_arg */
	ARG_MSGHDR,
	ARG_MMSGHDR,  /* count in len_arg */
	ARG_SOCKADDR, /* length by len_from/len_arg */
	ARG_SIGSET,   /* pointer to a kernel sigset, 8 bytes or length in len_arg */
	ARG_FDSET,    /* select's fd_set, nfds in len_arg */
	ARG_FD_PAIR,  /* int[2] out: [3, 4] */
	ARG_INT_PTR,  /* pointer to one 32-bit int: [5] */
	ARG_UINT_PTR,
	ARG_LONG_PTR, /* pointer to one 64-bit value */
	ARG_WSTATUS,  /* pointer to a wait status */
	ARG_SOCKLEN_PTR, /* [16] or [128 => 16] */
	ARG_IOCTL_CMD,   /* ioctl request */
	ARG_IPC_KEY,     /* IPC_PRIVATE or hex */
	ARG_IPC_FLAGS,   /* set, and a mode in the low nine bits */
	ARG_BY_COMMAND,  /* meaning depends on another argument: gen/commands or formatters/ know */
	ARG_ENUM_PTR,    /* pointer to an int that is one of a set: [NAME] */
	ARG_FLAGS_PTR,
	ARG_HEX_PTR,     /* pointer to 64 bits: [0x7f..] */
	ARG_SIGNAL_PTR,
	ARG_USHORT_PTR,
	ARG_HTONS,       /* set: a number of two bytes in the network's order */
	ARG_USER_REG,    /* offset in struct user */
	ARG_ERRNO,
	ARG_DATE_PTR,
	ARG_ULONG_PTR,
	ARG_SIGSET_PAIR, /* pointer to a pointer to a sigset and its size */
	ARG_NODEMASK,    /* bits, so many as len_arg says */
	ARG_QUOTA_CMD,   /* set: the upper 24 bits */
	ARG_FILE_HANDLE,
	ARG_MSGBUF,      /* a long and bytes, so many as len_arg says */
};

/* Structs the formatters decode. gen/annotations names them without the prefix, lower case. */
enum struct_id {
	STRUCT_NONE = 0, STRUCT_STAT, STRUCT_STATX, STRUCT_STATFS, STRUCT_TIMESPEC, STRUCT_TIMEVAL, STRUCT_TIMEZONE,
	STRUCT_ITIMERVAL, STRUCT_ITIMERSPEC, STRUCT_RLIMIT, STRUCT_RUSAGE, STRUCT_SIGACTION, STRUCT_SIGINFO,
	STRUCT_STACK_T, STRUCT_UTSNAME, STRUCT_SYSINFO, STRUCT_TMS, STRUCT_POLLFD, STRUCT_EPOLL_EVENT, STRUCT_DIRENT64,
	STRUCT_TIMESPEC_PAIR, STRUCT_TIMEVAL_PAIR, STRUCT_CLONE_ARGS, STRUCT_ROBUST_LIST, STRUCT_SCHED_PARAM,
	STRUCT_RSEQ, STRUCT_OPEN_HOW, STRUCT_CAP_HEADER, STRUCT_CAP_DATA, STRUCT_UTIMBUF, STRUCT_FLOCK, STRUCT_SIGEVENT,
	STRUCT_U32, STRUCT_U64, STRUCT_SIGFRAME, STRUCT_TERMIO, STRUCT_TERMIOS, STRUCT_TERMIOS2, STRUCT_S32, STRUCT_UID, STRUCT_POINTER,
	STRUCT_PAGE_STATUS, STRUCT_COUNT
};

enum direction { DIR_IN = 1, DIR_OUT = 2, DIR_INOUT = 3 };
enum len_from { LEN_NONE = 0, LEN_ARG, LEN_RET, LEN_ARG_PTR /* *(socklen_t *)args[len_arg] */, LEN_FIXED /* size */ };

struct constant { uint64_t value; const char *name; };
/* Constants in the order strace tests them: header order, multi-bit values before the bits they hold. */
struct constant_set { const char *name; const struct constant *items; uint32_t count; const char *unknown; /* e.g. "O_???" */ uint32_t style; };
enum { SET_DECIMAL = 1 /* signed numbers, in decimal */, SET_NUMBERED = 2 /* "1 /" "* NAME *" "/" */ };

struct arg_row {
	const char *name;               /* as in the kernel prototype */
	const char *type;               /* C type as written there */
	uint8_t kind;                   /* enum arg_kind */
	uint8_t direction;              /* enum direction; by-value arguments are DIR_IN */
	uint8_t struct_id;
	uint8_t len_from, len_arg;
	uint16_t size;                  /* bytes of the struct or array element, or of a LEN_FIXED buffer */
	const struct constant_set *set;
};

enum ret_kind { RET_INT, RET_HEX, RET_FD, RET_OFFSET, RET_VOID /* exit: "= ?" */, RET_UINT, RET_PID, RET_MODE, RET_FCNTL, RET_POLL, RET_SELECT, RET_TIME,
	/* the number, and in brackets what it means */
	RET_SIGNAL, RET_IOPRIO, RET_LEFT /* of a time, or (Timeout) */, RET_ENUM /* ret_set */, RET_HEXENUM /* the number in hex */, RET_FLAGS /* in hex */ };

/* -e trace=%class bits */
enum syscall_class {
	CLASS_FILE = 1 << 0, CLASS_PROCESS = 1 << 1, CLASS_NETWORK = 1 << 2, CLASS_SIGNAL = 1 << 3, CLASS_IPC = 1 << 4,
	CLASS_DESC = 1 << 5, CLASS_MEMORY = 1 << 6, CLASS_CREDS = 1 << 7, CLASS_STAT = 1 << 8, CLASS_LSTAT = 1 << 9,
	CLASS_FSTAT = 1 << 10, CLASS_STATFS = 1 << 11, CLASS_FSTATFS = 1 << 12, CLASS_CLOCK = 1 << 13, CLASS_PURE = 1 << 14
};

struct syscall_row {
	const char *name;               /* NULL: no such syscall */
	uint8_t nargs;
	uint8_t entry_args;             /* arguments that can be printed at entry: those before the first output one */
	uint8_t ret;                    /* enum ret_kind */
	uint8_t typed;                  /* 0: no annotation, everything prints from the C types */
	uint32_t classes;
	struct arg_row args[6];
	const struct constant_set *ret_set;
	const struct command_group *commands; /* of a call whose arguments depend on a command, or NULL */
};

/* Generated from gen/commands: the rows of a multiplexed call, sorted by args[lead] & mask. */
struct command_row { uint64_t command; struct syscall_row row; };
struct command_group { uint32_t lead, count; uint64_t mask; const struct command_row *rows; };

/* Generated: build/gen/syscalls.c. Index: syscall number. */
extern const struct syscall_row syscalls_x86_64[];
extern const uint32_t syscalls_x86_64_count;
extern const char *const syscalls_i386_names[];   /* NULL where there is none */
extern const uint32_t syscalls_i386_count;
/* ---- structs: gen/structs. Their numbers follow those of enum struct_id. ---- */
enum member_kind {
	M_INT, M_UINT, M_HEX, M_ADDR, M_MODE, M_DEV, M_FLAGS, M_ENUM, M_TEXT /* up to its NUL */, M_LIMIT, M_SIGSET, M_STRUCT, M_DECIMAL,
	M_SIGNAL, M_TICKS, M_BYTES, M_FD, M_UID, M_INTS /* an array; struct_id: bytes of an element */, M_UINTS, M_HEXES, M_INET, M_INET6,
	M_SOCKADDR, M_MAC, M_HWADDR /* as long as the type of hardware before it says */, M_IOPRIO, M_BITS /* 1<<NAME: the set has numbers of bits */, M_DATE, M_BE16, M_STRUCTS, M_NOTHING /* [] */
};
enum { MEMBER_ALWAYS, MEMBER_VERBOSE, MEMBER_NOT_ZERO, MEMBER_OUTPUT /* not in what an inout argument was before */ };
struct member {
	const char *name;
	uint16_t offset, size;
	uint8_t kind, when; /* MEMBER_.. */
	uint8_t struct_id;
	const struct constant_set *set;
};
struct struct_row { uint16_t size; uint8_t elided; const struct member *members; /* up to a name that is NULL */ };
extern const struct struct_row struct_rows[]; /* index: number - STRUCT_COUNT */
extern const uint32_t struct_row_count;

/* Generated constant sets the formatters use by hand, as set_NAME: see gen/sets. */

/* Generated: build/gen/libc_functions.c. record.via is an index into it, plus one. */
extern const char *const libc_functions[];
extern const uint32_t libc_functions_count;

/* ---- capture: what the agent copies. Freestanding part, generated into build/gen/capture.c ---- */
enum capture_kind {
	CAPTURE_STRING = 1, /* NUL-terminated; at most `size` bytes, or the session's string limit + 1 when size is 0 */
	CAPTURE_PATH,       /* NUL-terminated, up to 4096 */
	CAPTURE_BUFFER,     /* bytes, at most the string limit + 1 */
	CAPTURE_FIXED,      /* `size` bytes */
	CAPTURE_ARRAY,      /* `size` bytes times the count by len_from/len_arg, bounded by `limit` elements */
	CAPTURE_STRINGV,    /* pointer array (PIECE_MEM) and its strings (PIECE_ELEMENT), `limit` elements */
	CAPTURE_IOVEC,      /* iovec array (PIECE_MEM) and data (PIECE_ELEMENT), data bounded by the string limit */
	CAPTURE_MSGHDR,     /* struct msghdr (PIECE_MEM), PIECE_NAME, PIECE_IOV, PIECE_ELEMENTs, PIECE_CONTROL */
	CAPTURE_SOCKADDR,   /* at most 128 bytes, length by len_from/len_arg */
	CAPTURE_FDPATH,     /* PIECE_FDPATH, only when the session asks for -y */
	CAPTURE_COMMAND,    /* what capture_groups[limit] has for the command in args[len_arg] */
	CAPTURE_MMSGHDR,
	CAPTURE_SIGSET_PAIR, /* a pointer and a size (PIECE_MEM), the sigset (PIECE_ELEMENT) */
	CAPTURE_NODEMASK,   /* whole words for so many bits, at most 128 bytes */
	CAPTURE_MSGBUF,     /* 8 bytes (PIECE_MEM) and those behind them (PIECE_ELEMENT), at most the string limit + 1 */
	CAPTURE_FILE_HANDLE, /* its two words (PIECE_MEM) and the bytes behind them (PIECE_ELEMENT), at most 128 */
	CAPTURE_LEN,        /* PIECE_LEN: 4 bytes at entry of a value-result length */
};
struct capture_op { uint8_t arg, kind, phase, len_from, len_arg, limit; uint16_t size; };
/* Those of one system call: of its entry, then of its exit. Apart from the rows, because most have few: each page of the
 * agent is written into each image. */
struct capture_row { uint16_t first; uint8_t entry, exit; };
extern const struct capture_op capture_ops[];
extern const struct capture_row capture_x86_64[];
/* Sorted by command; a command may have several. */
struct capture_command { uint32_t command; struct capture_op op; };
struct capture_group { uint32_t first, count, mask; };
extern const struct capture_command capture_commands[];
extern const struct capture_group capture_groups[];
extern const uint32_t capture_x86_64_count;

#endif
