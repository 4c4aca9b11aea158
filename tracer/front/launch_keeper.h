/* The keeper process and the signals that came to vtrace instead of the program. */
#ifndef VTRACE_FRONT_LAUNCH_KEEPER_H
#define VTRACE_FRONT_LAUNCH_KEEPER_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include "options.h"

struct keeper_process {
	pid_t pid;
	int socket;     /* ours, not blocking */
	int signals;    /* signalfd */
	const int *outputs; /* the traces', to be closed in the keeper; -1: none */
	uint32_t output_count;
	sigset_t old_mask;
	struct control_shared *shared;
};

/* Forks the keeper, which starts `program`. 0 or an errno. */
int keeper_launch(struct keeper_process *keeper, const struct options *options, const char *program);
/* Hands signals sent to vtrace on to the program. The terminal's were sent to the whole process group already. */
void keeper_forward_signals(const struct keeper_process *keeper, int32_t program);
void keeper_wait(const struct keeper_process *keeper);
/* Ends vtrace as the program ended. Returns the status to exit with where it did not die of a signal. */
int end_like(int wait_status);

#endif
