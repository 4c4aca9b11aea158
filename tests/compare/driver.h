/* Between the generated table of calls (gen/gen_driver.py) and the program that makes them (driver_main.c).
 * Everything the calls point to lies at fixed addresses, so that two runs print the same. */
#ifndef VTRACE_TESTS_DRIVER_H
#define VTRACE_TESTS_DRIVER_H

struct driver_call { const char *name; int number, args; const unsigned long (*cases)[6]; unsigned count; };
extern const struct driver_call driver_calls[];
extern const unsigned driver_call_count;

#define ARENA 0x20000000ul
#define ARENA_BYTES 0x20000ul /* what follows is not mapped */
enum driver_address {
	TEXT_FILE = 0x20000000, TEXT_MISSING = 0x20000100, TEXT_EMPTY = 0x20000200, TEXT_SPECIAL = 0x20000300,
	STRINGS = 0x20000400, STRINGS_BAD = 0x20000500, STRINGS_NONE = 0x20000600, IOVECS = 0x20000700, BAD_IOVECS = 0x20000800,
	MSG = 0x20000900, MSG_NAMED = 0x20000a00, MSG_CONTROL = 0x20000b00, MSG_BAD = 0x20000c00, MMSGS = 0x20000d00,
	ADDR_UNIX = 0x20000e00, ADDR_ABSTRACT = 0x20000f00, ADDR_INET = 0x20001000, ADDR_INET6 = 0x20001100,
	ADDR_NETLINK = 0x20001200, ADDR_PACKET = 0x20001300, ADDR_OTHER = 0x20001400, LENGTH = 0x20001500, CONTROL = 0x20001600,
	STRINGS_MANY = 0x20001800, TEXT_LONG = 0x20003000, ZEROS = 0x20006000, PATTERN = 0x20008000, SMALL = 0x2000a000,
	ONES = 0x2000c000, ROOM = 0x20010000, EDGE = 0x2001fffc,
	NULL_ = 0, BAD = 0x30000000, SPARE = 0x28000000 /* may be unmapped */,
	SIGUSR1_ = 10,
	FD_FILE = 3, FD_DIR, FD_PIPE, FD_PIPE_END, FD_SOCKET, FD_SOCKET_END, FD_EPOLL, FD_INOTIFY, FD_TIMER, FD_PIDFD
};

#endif
