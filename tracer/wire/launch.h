/* What the front asks of the keeper: the one call between them. The front forks; its child calls keeper_run
 * and never returns to the front's code. The keeper sends struct control datagrams (control.h) on control_fd. */
#ifndef VTRACE_WIRE_LAUNCH_H
#define VTRACE_WIRE_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

struct agent_choice;
struct control_shared;

struct launch {
	char *const *argv;       /* argv[0] is looked up in PATH, as execvp does */
	const char *program;     /* resolved path of the executable */
	int control_fd;          /* SOCK_SEQPACKET, to the front */
	struct control_shared *shared; /* shared with the front */
	bool follow;             /* -f */
	bool fd_paths;           /* -y */
	bool no_agent;           /* --no-agent: everything by ptrace (layer 4), for comparison and tests */
	bool no_net;             /* --no-net: without the seccomp net (without -f there is none anyway) */
	bool remote_dispatch;    /* arm user dispatch by prctl in the program, as before Linux 6.4 (for tests) */
	bool no_sites;           /* syscall sites are not rewritten */
	bool no_patch;           /* --no-loader-patch */
	bool vdso;               /* --vdso: record what the vDSO answers */
	uint32_t string_limit;   /* -s */
	const struct agent_choice *choice; /* NULL: everything is recorded */
	uint32_t ring_bytes;     /* tests: how much of a ring may be in use; 0: all of it */
};

/* Returns the exit status for the keeper process (0; failures are told by MSG_FAILED). */
int keeper_run(const struct launch *launch);

#endif
