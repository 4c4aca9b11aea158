/* The rounds: rings first, then the socket, so that what the keeper tells of a thread comes after that thread's own records. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clock.h"
#include "drain_calls.h"
#include "memory.h"

#define WORTHWHILE_BYTES (RING_BYTES / 8)

void drain_open(struct drain *drain, int socket, const struct control_shared *shared, struct merge *merge)
{
	*drain = (struct drain){ .socket = socket, .shared = shared, .merge = merge, .next_id = 1, .net = -1 };
	drain->buffer = allocate_unset(CONTROL_MAX + 1);
	drain->record = allocate_unset(RECORD_MAX);
}

void drain_close(struct drain *drain)
{
	void *value;

	for (size_t i = 0; table_next(&drain->flows, &i, &value);) {
		struct flow *flow = value;

		call_release(flow->open);
		free(flow);
	}
	for (size_t i = 0; i < drain->source_count; i++) {
		front_arena_release(drain->sources[i]->arena);
		free(drain->sources[i]);
	}
	for (size_t i = 0; table_next(&drain->arenas, &i, &value);)
		front_arena_release(value);
	if (drain->net >= 0)
		close(drain->net);
	table_close(&drain->flows);
	table_close(&drain->arenas);
	free(drain->sources);
	free(drain->buffer);
	free(drain->record);
}

/* ---- rings ---- */

void drain_note(struct drain *drain, int32_t pid, int32_t tid, const char *text)
{
	struct control head = { .type = MSG_NOTE, .pid = pid, .tid = tid, .tsc = tsc_now(),
				.payload = (uint32_t)strlen(text) + 1 };

	drain_pass_on(drain, &head, text);
}

/* Reads what is there when it begins: a writer that keeps pace would hold it for ever, and all it reads would pile up. */
static void drain_source(struct drain *drain, struct flow *flow)
{
	uint64_t end = source_position(flow->source) + source_fill(flow->source);
	enum source_result result;
	char text[96];

	if (flow->source->corrupt) {
		source_abandon(flow->source); /* again: the program may have undone it */
		return;
	}
	do {
		result = source_next(flow->source, drain->record);
		if (result != SOURCE_RECORD)
			break;
		drain->bytes += drain->record->size;
		flow_complete(drain, flow, drain->record);
		flow->read_until = drain->record->end_tsc;
	} while ((int64_t)(end - source_position(flow->source)) > 0);
	source_give_back(flow->source);
	/* The keeper, too, marks rings abandoned, but it ends the drain first. */
	if (result != SOURCE_CORRUPT && (drain->ended || !source_disturbed(flow->source)))
		return;
	source_abandon(flow->source);
	drain->damaged = true;
	snprintf(text, sizeof(text), "the ring of thread %d is damaged: its further calls are lost", flow->tid);
	drain_note(drain, flow->pid, flow->tid, text);
}

/* A record seen open a second time is a call that blocks: its ENTER is told. */
static void look_at_open(struct drain *drain, struct flow *flow)
{
	uint64_t since = flow->open ? 0 : source_open_since(flow->source);

	if (since && since == flow->open_since)
		flow_open_from_ring(drain, flow);
	else
		flow->open_since = since;
	flow->unread = source_fill(flow->source) != 0;
}

static void drain_ring(struct drain *drain, struct flow *flow)
{
	if (!flow->source)
		return;
	drain_source(drain, flow);
	look_at_open(drain, flow);
}

static void drain_rings(struct drain *drain)
{
	size_t kept = 0;
	void *flow;

	for (size_t i = 0; table_next(&drain->flows, &i, &flow);)
		drain_ring(drain, flow);
	for (size_t i = 0; i < drain->source_count; i++) {
		struct source *source = drain->sources[i];

		if (!source_free(source)) {
			drain->sources[kept++] = source;
			continue;
		}
		front_arena_release(source->arena);
		free(source);
	}
	drain->source_count = kept;
}

/* Another thread has the ring now. One that had it before is not forgotten yet when the program has written over `state`. */
static void forget_former(struct drain *drain, const struct front_arena *arena, uint32_t slot)
{
	for (size_t i = 0; i < drain->source_count; i++) {
		struct source *source = drain->sources[i];

		if (source->arena != arena || source->slot != slot || !source->ended)
			continue;
		drain->sources[i--] = drain->sources[--drain->source_count];
		front_arena_release(source->arena);
		free(source);
	}
}

static void keep_source(struct drain *drain, struct source *source)
{
	if (drain->source_count == drain->source_capacity) {
		drain->source_capacity = drain->source_capacity ? drain->source_capacity * 2 : 64;
		drain->sources = reallocate(drain->sources, drain->source_capacity * sizeof(*drain->sources));
	}
	drain->sources[drain->source_count++] = source;
}

static void leave_ring(struct drain *drain, struct flow *flow)
{
	if (!flow->source)
		return;
	drain_source(drain, flow);
	if (!flow->open && source_open_since(flow->source))
		flow_open_from_ring(drain, flow);
	flow->open_since = 0;
	flow->unread = false;
	source_cost(flow->source, &drain->agent_ticks, &drain->agent_calls);
	flow->source->ended = true;
	flow->source = NULL;
}

static void enter_ring(struct drain *drain, struct flow *flow, const struct control *head)
{
	struct front_arena *arena = table_get(&drain->arenas, (int32_t)head->arena);

	leave_ring(drain, flow);
	if (head->slot < 0 || head->slot >= (int32_t)ARENA_SLOTS || !arena)
		return;
	forget_former(drain, arena, (uint32_t)head->slot);
	flow->source = allocate(sizeof(*flow->source));
	*flow->source = (struct source){ .arena = arena, .slot = (uint32_t)head->slot, .tid = flow->tid };
	arena->references++;
	keep_source(drain, flow->source);
	drain_ring(drain, flow);
}

/* ---- messages ---- */

/* Moments hold the message until its time comes. */
void drain_pass_on(struct drain *drain, const struct control *head, const char *payload)
{
	struct message *message = allocate(sizeof(*message) + head->payload + 1);

	message->head = *head;
	if (head->payload)
		memcpy(message->payload, payload, head->payload);
	merge_add(drain->merge, (struct moment){ .tsc = head->tsc, .kind = MOMENT_MESSAGE, .message = message });
}

static struct flow *flow_of(struct drain *drain, int32_t pid, int32_t tid)
{
	struct flow *flow = table_get(&drain->flows, tid);

	if (flow)
		return flow;
	flow = allocate(sizeof(*flow));
	flow->pid = pid;
	flow->tid = tid;
	table_put(&drain->flows, tid, flow);
	return flow;
}

static void remove_flow(struct drain *drain, struct flow *flow, uint64_t tsc)
{
	leave_ring(drain, flow);
	flow_close(drain, flow, CALL_UNFINISHED, tsc);
	table_remove(&drain->flows, flow->tid);
	free(flow);
}

/* Nobody will read these rings: their writers must not wait for room. */
static void abandon_unmapped(int fd)
{
	const uint32_t abandoned = 1;

	for (uint32_t slot = 0; slot < ARENA_SLOTS; slot++)
		if (pwrite(fd, &abandoned, sizeof(abandoned),
			   (off_t)slot * RING_STRIDE + (off_t)offsetof(struct ring_head, abandoned)) < 0)
			return;
}

static void on_arena(struct drain *drain, const struct control *head, int fd)
{
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		abandon_unmapped(fd);
	if (fd >= 0)
		close(fd);
	/* The keeper uses an id again when the arena before is gone. */
	front_arena_release(table_get(&drain->arenas, (int32_t)head->arena));
	table_remove(&drain->arenas, (int32_t)head->arena);
	if (map == MAP_FAILED) {
		drain->damaged = true;
		drain_note(drain, head->pid, head->tid, "an arena cannot be mapped: its threads' calls are lost");
		return;
	}
	table_put(&drain->arenas, (int32_t)head->arena, front_arena_create(map));
}

/* Threads that are neither the new image's nor its leader's died without a word. */
static void end_other_threads(struct drain *drain, const struct control *head, int32_t former)
{
	struct flow *other;
	void *value;

	do {
		other = NULL;
		for (size_t i = 0; !other && table_next(&drain->flows, &i, &value);) {
			struct flow *flow = value;

			if (flow->pid == head->pid && flow->tid != former)
				other = flow;
		}
		if (!other)
			return;
		struct control exited = { .type = MSG_EXITED, .pid = head->pid, .tid = other->tid, .tsc = head->tsc };
		bool leader = other->tid == head->tid;

		remove_flow(drain, other, head->tsc);
		if (!leader)
			drain_pass_on(drain, &exited, "");
	} while (other);
}

static void on_exec(struct drain *drain, const struct control *head, const char *payload)
{
	int32_t former = head->aux ? (int32_t)head->aux : head->tid;
	struct flow *flow = flow_of(drain, head->pid, former);

	end_other_threads(drain, head, former);
	leave_ring(drain, flow);
	if (former != head->tid) {
		table_remove(&drain->flows, former);
		flow->tid = head->tid;
		table_put(&drain->flows, flow->tid, flow);
	}
	drain_pass_on(drain, head, payload);
	flow_close(drain, flow, CALL_DONE, head->tsc);
}

static void on_record(struct drain *drain, const struct control *head, const char *payload)
{
	struct flow *flow = flow_of(drain, head->pid, head->tid);

	if (head->payload < sizeof(*drain->record) || head->payload > RECORD_MAX)
		return;
	memcpy(drain->record, payload, head->payload);
	if (!record_valid(drain->record, head->payload))
		return;
	if (flow->source) { /* the thread's own records are older: the ring may have got some since its turn */
		drain_source(drain, flow);
		memcpy(drain->record, payload, head->payload);
	}
	if (head->value)
		flow_complete(drain, flow, drain->record);
	else
		flow_open(drain, flow, drain->record);
}

/* All rings have been left by now, but those of threads that go on without the keeper. */
static void on_cost(struct drain *drain, const struct control *head, const char *payload)
{
	struct control_cost cost;

	if (head->payload < sizeof(cost))
		return;
	memcpy(&cost, payload, sizeof(cost));
	cost.agent_ticks = drain->agent_ticks;
	cost.agent_calls = drain->agent_calls;
	drain_pass_on(drain, head, (const char *)&cost);
}

static void on_end(struct drain *drain, const struct control *head, const char *payload)
{
	drain->ended = true;
	drain->finished = head->type == MSG_FINISHED;
	drain->failed = head->type == MSG_FAILED;
	drain->last = *head;
	snprintf(drain->what, sizeof(drain->what), "%s", payload);
}

static void on_message(struct drain *drain, const struct control *head, const char *payload, int fd)
{
	switch ((enum control_type)head->type) {
	case MSG_ARENA:
		on_arena(drain, head, fd);
		return;
	case MSG_NET:
		drain->net = fd;
		return;
	case MSG_THREAD:
		if (head->value == BIRTH_START)
			drain->program = head->pid;
		drain_pass_on(drain, head, payload);
		enter_ring(drain, flow_of(drain, head->pid, head->tid), head);
		return;
	case MSG_RING:
		enter_ring(drain, flow_of(drain, head->pid, head->tid), head);
		return;
	case MSG_EXEC:
		on_exec(drain, head, payload);
		return;
	case MSG_RECORD:
		on_record(drain, head, payload);
		return;
	case MSG_EXITED:
		remove_flow(drain, flow_of(drain, head->pid, head->tid), head->tsc);
		drain_pass_on(drain, head, payload);
		return;
	case MSG_COST:
		on_cost(drain, head, payload);
		return;
	case MSG_SITES:
	case MSG_MAP:
	case MSG_SIGNAL:
	case MSG_STOP:
	case MSG_NOTE:
		drain_pass_on(drain, head, payload);
		return;
	case MSG_FAILED:
	case MSG_FINISHED:
		on_end(drain, head, payload);
		return;
	}
}

static int received_fd(struct msghdr *msg)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len >= CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

static void release_rings(const struct drain *drain)
{
	void *arena;

	for (size_t i = 0; table_next(&drain->arenas, &i, &arena);)
		for (uint32_t slot = 0; slot < ARENA_SLOTS; slot++)
			ring_set_reader(arena_ring(((struct front_arena *)arena)->map, slot), 0);
}

/* One message of a datagram; payloads are followed by a NUL, whatever is behind. Returns the place of the next. */
static size_t take_message(struct drain *drain, size_t at, size_t got, int fd)
{
	struct control head;

	memcpy(&head, drain->buffer + at, sizeof(head));
	if (head.payload > got - at - sizeof(head))
		head.payload = (uint32_t)(got - at - sizeof(head));
	size_t end = at + sizeof(head) + head.payload, next = WIRE_ALIGN8(end);
	char behind = drain->buffer[end];

	drain->buffer[end] = 0;
	on_message(drain, &head, drain->buffer + at + sizeof(head), next < got ? -1 : fd);
	drain->buffer[end] = behind;
	return next;
}

static void take_messages(struct drain *drain, size_t got, int fd)
{
	for (size_t at = 0; got >= sizeof(struct control) && at <= got - sizeof(struct control) && !drain->ended;)
		at = take_message(drain, at, got, fd);
}

/* False when nothing more is there now. */
static bool receive(struct drain *drain)
{
	_Alignas(struct cmsghdr) char rights[CMSG_SPACE(sizeof(int))];
	struct iovec part = { drain->buffer, CONTROL_MAX };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = rights, .msg_controllen = sizeof(rights) };
	ssize_t got = recvmsg(drain->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0 && errno == EINTR)
		return true;
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		release_rings(drain); /* at once: every dispatched call is deadly now */
		drain->ended = true;
		return false;
	}
	take_messages(drain, (size_t)got, received_fd(&msg));
	return !drain->ended;
}

static uint64_t earlier_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A record seen open only once may still turn out complete: what came after it waits one round. So does what came after the last
 * record read of a ring that has more; a time that lies before the last round was made up by the program. */
static uint64_t complete_until(const struct drain *drain, uint64_t now)
{
	uint64_t until = now;
	void *value;

	for (size_t i = 0; table_next(&drain->flows, &i, &value);) {
		const struct flow *flow = value;

		if (flow->open_since)
			until = earlier_of(until, flow->open_since - 1);
		if (flow->unread)
			until = earlier_of(until, flow->read_until > drain->round_before ? flow->read_until - 1 : drain->round_before);
	}
	return until;
}

uint64_t drain_round(struct drain *drain)
{
	uint64_t now = tsc_now(), until;
	/* Before the socket is read: what is announced later has a later time, and what is sent by now is received. */
	uint64_t queued = __atomic_load_n(&drain->shared->since, __ATOMIC_ACQUIRE);

	drain->now = now;
	drain->bytes = 0;
	drain_rings(drain);
	while (!drain->ended && receive(drain))
		;
	until = complete_until(drain, queued && queued - 1 < now ? queued - 1 : now);
	drain->round_before = now;
	return until;
}

bool drain_worthwhile(const struct drain *drain)
{
	void *value;

	for (size_t i = 0; table_next(&drain->flows, &i, &value);) {
		const struct flow *flow = value;

		if (flow->source && source_fill(flow->source) >= WORTHWHILE_BYTES)
			return true;
	}
	return false;
}

void drain_finish(struct drain *drain)
{
	uint64_t now = tsc_now();
	void *flow;

	for (size_t i = 0; table_next(&drain->flows, &i, &flow);) {
		leave_ring(drain, flow);
		flow_close(drain, flow, CALL_DETACHED, now);
	}
}
