/* Runs in the tracee, on the thread's agent stack, for every syscall: no libc, no allocation, no locks.
 * Law: the program's syscall is made exactly once, with its registers; whatever goes wrong with the recording. */
#include <stdbool.h>
#include <stdint.h>
#include "agent.h"
#include "capture.h"
#include "bounce.h"
#include "own_memory.h"

#define NR_MMAP 9
#define NR_MPROTECT 10
#define NR_MUNMAP 11
#define NR_RT_SIGACTION 13
#define NR_RT_SIGPROCMASK 14
#define NR_RT_SIGRETURN 15
#define NR_MREMAP 25
#define NR_MADVISE 28
#define NR_SHMAT 30
#define NR_CLONE 56
#define NR_READLINK 89
#define NR_PTRACE 101
#define NR_MODIFY_LDT 154
#define NR_PRCTL 157
#define NR_ARCH_PRCTL 158
#define NR_SECCOMP 317
#define NR_PKEY_MPROTECT 329
#define PROT_EXEC_BIT 4u
#define MAP_ANONYMOUS_BIT 0x20u
#define CLONE_UNTRACED_BIT 0x00800000u
#define LOWEST_ADDRESS 4096u
#define SAMPLE_EACH 1024u /* measures what one call in so many costs; a power of two */
#define SAMPLE_FIRST 16u
#define SPINS_MAX 1000u /* some ten microseconds */
#define MOMENTS_MAX 10000u /* more than a second */
#define NR_PPOLL 271
#define SIGFRAME_RAX 144 /* offset of rax in the ucontext that rt_sigreturn finds at the stack pointer */

extern long agent_gadget(void);
extern _Noreturn void agent_sigreturn(void);
extern long agent_raw(long nr, long a, long b, long c, long d);
extern void agent_call_keeper(long what, long a, long b, long c, long d);
extern uint64_t agent_copy(void *to, uint64_t from, uint64_t bytes);
extern uint64_t agent_load(uint64_t *to, uint64_t from);
extern uint64_t agent_copy_string(void *to, uint64_t from, uint64_t bytes);
uint64_t agent_syscall(struct agent_thread *thread);
void agent_vdso_record(struct agent_thread *thread);

extern const int32_t vdso_numbers[]; /* of the system calls they stand for */

__attribute__((section(".config"))) struct agent_config agent_config;

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static uint64_t copy_own(void *context, void *to, uint64_t from, uint64_t bytes)
{
	(void)context;
	/* Null pointers are common (recv's address), and a fault costs a stop in the keeper. */
	return from < LOWEST_ADDRESS ? 0 : agent_copy(to, from, bytes);
}

static uint64_t copy_own_string(void *context, void *to, uint64_t from, uint64_t bytes)
{
	(void)context;
	return from < LOWEST_ADDRESS ? 0 : agent_copy_string(to, from, bytes);
}

/* readlink of /proc/self/fd/N: one syscall of our own, only when -y asked for it. */
static long path_of_fd(void *context, int fd, char *to, uint64_t bytes)
{
	static const char prefix[] = "/proc/self/fd/";
	char link[32], digits[12];
	int at = 0, n = 0;

	(void)context;
	if (fd == -100) { /* AT_FDCWD */
		static const char cwd[] = "/proc/self/cwd";

		return agent_raw(NR_READLINK, (long)cwd, (long)to, (long)bytes, 0);
	}
	if (fd < 0)
		return -1;
	while (prefix[at]) {
		link[at] = prefix[at];
		at++;
	}
	do {
		digits[n++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd);
	while (n)
		link[at++] = digits[--n];
	link[at] = 0;
	return agent_raw(NR_READLINK, (long)link, (long)to, (long)bytes, 0);
}

/* The innermost libc function that is still running: its return address is at or above the program's stack pointer and
 * still holds the caller that was noted. */
static void find_via(struct agent_thread *thread, struct record *rec, uint64_t stack)
{
	uint64_t now;

	while (thread->via_count && thread->via_count <= VIA_DEPTH) {
		const struct agent_via *top = &thread->via[thread->via_count - 1];

		if (top->slot >= stack) {
			if (agent_load(&now, top->slot) && now == top->caller) {
				rec->via = (uint16_t)(top->function + 1);
				rec->caller = top->caller;
			}
			return;
		}
		thread->via_count--;
	}
}

/* Gives the processor away: for a moment, or, when it takes long, for as long as the keeper sees no room. The keeper's way is a stop
 * for SIGSYS, in which the thread dies if the keeper is killed just then; a system call of ours may meet a filter of the program's.
 * ppoll, because a futex wait or nanosleep that a stop interrupts is what the program's next restart_syscall would take up. */
static void wait_a_moment(uint32_t moments)
{
	struct { int64_t seconds, nanoseconds; } moment = { 0, 100000 };

	if (agent_config.own_filter || moments > MOMENTS_MAX)
		agent_call_keeper(AGENT_CALL_FULL, 0, 0, 0, 0);
	else
		agent_raw(NR_PPOLL, 0, 0, (long)&moment, 0);
}

/* Waits while the front is behind, then until there is room for a while. 0: nobody reads any more. */
static __attribute__((noinline)) int wait_for_room(struct ring_head *ring, uint64_t head, uint64_t bytes)
{
	uint64_t limit = ring->limit >= RECORD_MAX && ring->limit < RING_BYTES ? ring->limit : RING_BYTES;
	uint32_t moments = 0;

	for (uint32_t spins = 1;; spins++) {
		uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), used = head - tail;

		if (used + bytes <= limit && (!moments || used <= limit / 2)) {
			ring->free_until = tail + limit;
			return 1;
		}
		if (__atomic_load_n(&ring->abandoned, __ATOMIC_RELAXED))
			return 0;
		__asm__ volatile("pause");
		if (spins % SPINS_MAX == 0)
			wait_a_moment(moments++);
	}
}

/* The front writes `tail` with each record it reads: its line is looked at only when the room that it told is used up. */
static int room_for(struct ring_head *ring, uint64_t head, uint64_t bytes)
{
	return head + bytes <= ring->free_until || wait_for_room(ring, head, bytes);
}

/* Room for the largest record, in one piece. NULL: nobody reads any more. */
static struct record *reserve(struct ring_head *ring)
{
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
	uint64_t left = RING_BYTES - head % RING_BYTES;
	uint64_t pad = left < RECORD_MAX ? left : 0;

	if (!room_for(ring, head, pad ? pad : RECORD_MAX))
		return 0;
	if (pad) {
		struct record *filler = (struct record *)(ring_data(ring) + head % RING_BYTES);

		filler->size = (uint32_t)pad;
		filler->entry_size = 0;
		head += pad;
		__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
		if (!room_for(ring, head, RECORD_MAX))
			return 0;
	}
	return (struct record *)(ring_data(ring) + head % RING_BYTES);
}

/* What the call's end brings, `ret` and `end_tsc`, is left: a reader of an open record takes neither. */
static void fill(struct record *rec, struct agent_thread *thread)
{
	const struct agent_frame *frame = &thread->frame;

	rec->size = sizeof(*rec);
	rec->kind = RECORD_SYSCALL;
	rec->abi = frame->rax & 0x40000000u ? ABI_X32 : ABI_X86_64;
	rec->caught = (uint16_t)thread->caught;
	rec->via = 0;
	rec->pid = thread->pid;
	rec->tid = thread->tid;
	rec->nr = (int32_t)frame->rax;
	rec->reserved = 0;
	rec->args[0] = frame->rdi;
	rec->args[1] = frame->rsi;
	rec->args[2] = frame->rdx;
	rec->args[3] = frame->r10;
	rec->args[4] = frame->r8;
	rec->args[5] = frame->r9;
	if (rec->nr == NR_RT_SIGRETURN) /* it has no arguments; what it restores is told as one */
		rec->args[0] = frame->rsp + SIGFRAME_MASK;
	rec->site = frame->rcx - 2;
	rec->caller = 0;
	rec->start_tsc = read_tsc();
}

/* The lines of the next record are the front's since it read them, a round ago. */
static void publish(struct ring_head *ring, struct record *rec, int64_t ret)
{
	char *next = (char *)rec + rec->size;

	rec->ret = ret;
	rec->end_tsc = read_tsc();
	__atomic_store_n(&ring->head, __atomic_load_n(&ring->head, __ATOMIC_RELAXED) + rec->size, __ATOMIC_RELEASE);
	__asm__ volatile("prefetchw %0; prefetchw %1" : : "m"(next[64]), "m"(next[128]));
}

/* Never returns: the record is complete before the call, because after it there is no agent on the stack. */
static _Noreturn void sigreturn(struct agent_thread *thread, struct ring_head *ring, struct record *rec)
{
	uint64_t restored = 0;

	/* From here on a signal lets it go through to the end: the record must not be made twice. */
	__atomic_store_n(&thread->phase, AGENT_AFTER, __ATOMIC_RELEASE);
	if (rec) {
		agent_copy(&restored, thread->frame.rsp + SIGFRAME_RAX, 8);
		publish(ring, rec, (int64_t)restored);
	}
	agent_sigreturn();
}

/* The keeper must know of new text before anyone can run it, and the front before the call's record. */
static void tell_mapping(const struct agent_frame *frame, int64_t ret)
{
	bool fails = ret < 0 && ret > -4096;

	if (frame->rax == NR_MMAP && !fails && (frame->rdx & PROT_EXEC_BIT) && !(frame->r10 & MAP_ANONYMOUS_BIT))
		agent_call_keeper(AGENT_CALL_MAPPED, ret, (long)frame->rsi, (long)frame->r8, (long)frame->r9);
}

/* The time from the agent's begin to the call, and from there to its end. */
static void sample(struct ring_head *ring, const uint64_t ticks[3])
{
	ring->own_ticks += ticks[1] - ticks[0] + read_tsc() - ticks[2];
	ring->own_samples++;
}

/* Calls for which more is done than to record them: what bounce.c, own_memory.c and call_with_care know. */
static const uint8_t with_care[] = {
	[NR_MMAP] = 1, [NR_MPROTECT] = 1, [NR_MUNMAP] = 1, [NR_MREMAP] = 1, [NR_MADVISE] = 1, [NR_SHMAT] = 1, [NR_PKEY_MPROTECT] = 1,
	[NR_RT_SIGACTION] = 1, [NR_RT_SIGPROCMASK] = 1, [NR_RT_SIGRETURN] = 1, [NR_CLONE] = 1, [NR_PTRACE] = 1, [NR_MODIFY_LDT] = 1,
	[NR_PRCTL] = 1, [NR_ARCH_PRCTL] = 1, [NR_SECCOMP] = 1,
};

static bool needs_care(uint64_t nr)
{
	return nr < sizeof(with_care) && with_care[nr];
}

static int64_t call_with_care(struct agent_thread *thread, struct ring_head *ring, struct record *rec)
{
	struct mask_change mask;
	int64_t ret;

	if (thread->frame.rax == NR_RT_SIGRETURN)
		sigreturn(thread, ring, rec);
	if (thread->frame.rax == NR_CLONE)
		thread->frame.rdi &= ~(uint64_t)CLONE_UNTRACED_BIT; /* else the child would escape the keeper */
	mask_change_note(thread, &mask);
	if (!own_memory_call(&thread->frame, &ret))
		ret = agent_gadget();
	if (mask.any && !ret)
		thread->forced_blocked = mask.blocked;
	tell_mapping(&thread->frame, ret);
	if (rec && thread->frame.rax == NR_CLONE)
		thread->frame.rdi = rec->args[0];
	return ret;
}

uint64_t agent_syscall(struct agent_thread *thread)
{
	struct ring_head *ring = (struct ring_head *)thread->ring;
	bool sampled = ring && thread->calls++ % SAMPLE_EACH == SAMPLE_FIRST, care = needs_care(thread->frame.rax);
	uint64_t ticks[3] = { sampled ? read_tsc() : 0, 0, 0 };

	if (care && thread->caught == CAUGHT_SITE && bounce_needed(thread)) {
		__atomic_store_n(&thread->phase, AGENT_AFTER, __ATOMIC_RELEASE); /* nothing is to be undone any more */
		thread->frame.rcx -= 2;
		return thread->frame.rax;
	}
	bool wanted = !agent_config.filtered || choice_way(&agent_config.choice, thread->frame.rax) == WAY_RECORD;
	struct record *rec = ring && wanted ? reserve(ring) : 0;
	struct capture_source from = { .copy = copy_own, .copy_string = copy_own_string, .string_limit = agent_config.string_limit,
				       .fd_path = agent_config.fd_paths ? path_of_fd : 0 };
	int64_t ret;

	if (rec) {
		fill(rec, thread);
		find_via(thread, rec, thread->frame.rsp);
		capture_run(rec, &from, PHASE_ENTRY);
		rec->entry_size = rec->size;
		__atomic_store_n(&ring->open_at, __atomic_load_n(&ring->head, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
	}
	if (sampled)
		ticks[1] = read_tsc();
	ret = care ? call_with_care(thread, ring, rec) : agent_gadget();
	if (sampled)
		ticks[2] = read_tsc();
	if (rec) {
		rec->ret = ret;
		capture_run(rec, &from, PHASE_EXIT);
		publish(ring, rec, ret);
	}
	if (sampled)
		sample(ring, ticks);
	return (uint64_t)ret;
}

/* After a vDSO function has returned: the only record that is written when all is over. It makes no system call. */
void agent_vdso_record(struct agent_thread *thread)
{
	const struct agent_vdso *call = &thread->vdso;
	struct capture_source from = { .copy = copy_own, .copy_string = copy_own_string, .string_limit = agent_config.string_limit };
	struct ring_head *ring = (struct ring_head *)thread->ring;
	uint64_t end_tsc = read_tsc();
	struct record *rec = reserve(ring);

	*(uint64_t *)call->slot = call->caller; /* the notes of a libc function that jumped to the vDSO know this slot */
	if (!rec)
		return;
	rec->size = rec->entry_size = sizeof(*rec);
	rec->kind = RECORD_VDSO;
	rec->abi = ABI_X86_64;
	rec->caught = CAUGHT_WRAPPER;
	rec->via = 0;
	rec->pid = thread->pid;
	rec->tid = thread->tid;
	rec->start_tsc = call->start_tsc;
	rec->end_tsc = end_tsc;
	rec->nr = vdso_numbers[call->function];
	rec->reserved = 0;
	for (int i = 0; i < 6; i++)
		rec->args[i] = call->args[i];
	rec->ret = (int64_t)call->ret;
	rec->site = 0;
	rec->caller = 0;
	find_via(thread, rec, call->slot);
	capture_run(rec, &from, PHASE_EXIT);
	__atomic_store_n(&ring->head, __atomic_load_n(&ring->head, __ATOMIC_RELAXED) + rec->size, __ATOMIC_RELEASE);
}
