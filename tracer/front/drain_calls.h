/* Between drain.c and drain_calls.c only: a thread's records become calls. */
#ifndef VTRACE_FRONT_DRAIN_CALLS_H
#define VTRACE_FRONT_DRAIN_CALLS_H

#include "drain.h"

/* Each copies the record. */
void flow_open(struct drain *drain, struct flow *flow, struct record *record);
void flow_open_from_ring(struct drain *drain, struct flow *flow);
void flow_complete(struct drain *drain, struct flow *flow, struct record *record);
/* Ends the open call, if there is one, without a record of its end. */
void flow_close(struct drain *drain, struct flow *flow, enum call_state state, uint64_t tsc);

void drain_pass_on(struct drain *drain, const struct control *head, const char *payload);
void drain_note(struct drain *drain, int32_t pid, int32_t tid, const char *text);

#endif
