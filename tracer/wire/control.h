/* Keeper -> front: SOCK_SEQPACKET datagrams of one or more messages, each a header and a payload and then zeros up to a multiple
 * of 8 bytes (but for the last). A descriptor belongs to the last message. The keeper's own memory, so trusted, except the
 * payload of MSG_RECORD, which the front validates like a ring record. */
#ifndef VTRACE_WIRE_CONTROL_H
#define VTRACE_WIRE_CONTROL_H

#include <stdint.h>

enum control_type {
	MSG_ARENA = 1,  /* a new arena; its fd comes as SCM_RIGHTS. arena = its id */
	MSG_THREAD,     /* tid (of pid) exists; its ring is arena/slot (slot -1: no ring). value = enum birth, aux = parent tid;
	                   payload: comm (NUL-terminated) */
	MSG_EXEC,       /* pid has a new image. tid = leader; aux = former tid of the calling thread; its open execve succeeded.
	                   Its other threads are gone. payload: path of the new executable (NUL-terminated) */
	MSG_RING,       /* tid now writes to ring arena/slot (sent after injection) */
	MSG_NET,        /* the seccomp net's listener, as SCM_RIGHTS: to be answered when the keeper is gone */
	MSG_MAP,        /* executable file mapping of pid: payload struct control_map + path */
	MSG_RECORD,     /* payload: a struct record from the ptrace path; value 0: entry (open), 1: complete */
	MSG_SIGNAL,     /* payload: siginfo_t, 128 bytes; value = signal number, about to be delivered to tid */
	MSG_STOP,       /* group-stop of tid; value = signal */
	MSG_EXITED,     /* tid is gone; value = wait status */
	MSG_NOTE,       /* payload: text for the user */
	MSG_SITES,      /* at the end: the syscall sites of a file that processes mapped. Payload: struct control_sites + path */
	MSG_COST,       /* at the end, after all MSG_EXITED: payload struct control_cost; the front adds the agent's */
	MSG_FAILED,     /* the program could not be started: value = errno, aux = enum start_failure, payload: what failed */
	MSG_FINISHED,   /* no tracees left; value = wait status of the program */
};
enum birth { BIRTH_START = 1, BIRTH_FORK, BIRTH_VFORK, BIRTH_CLONE, BIRTH_ATTACH };
enum start_failure { START_EXEC = 1, START_PTRACE, START_NET };

struct control {
	uint32_t type;  /* enum control_type */
	int32_t pid, tid;
	uint32_t arena;
	int32_t slot;
	int32_t value;
	int64_t aux;
	uint64_t tsc;
	uint32_t payload; /* bytes that follow */
	uint32_t reserved;
};
_Static_assert(sizeof(struct control) == 48, "struct control is part of the wire format");

#define CONTROL_REASONS 16u
struct control_sites {
	uint32_t found, rewritten, unused; /* rewritten in some process; never dispatched, so left as they were */
	struct { uint32_t count; char why[60]; } left[CONTROL_REASONS]; /* count 0: no row */
};
/* Ticks of the TSC. */
struct control_cost {
	uint64_t keeper_ticks;             /* busy, not waiting */
	uint64_t agent_ticks, agent_calls; /* what some calls cost in the agent, beside the call itself; and how many */
};

struct control_map { uint64_t start, end, offset; /* then the path, NUL-terminated; "" for anonymous */ };

#define CONTROL_MAX (sizeof(struct control) + 20480)

/* Memory that keeper and front share; the keeper writes. */
struct control_shared {
	/* Messages are collected until the keeper waits. By the TSC, not later than the oldest one's time; 0 while there is none.
	 * The front shows nothing of that time or later. */
	uint64_t since;
	uint64_t net_id; /* of the net's notification received last; 0: none */
};

#endif
