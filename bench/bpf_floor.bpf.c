/* The kernel's half of bpf_floor: raw tracepoints fill one record per system call and thread, and put it into the ring
 * buffer.
 *
 * A thread is followed if its id is in `threads`: the tracer puts the first one there, and who is there puts its
 * children there before they run. The value is the call the thread is in, so that the look-up that filters also finds
 * what the entry noted, and a call costs two look-ups and one copy into the ring. No wake-up either: the reader looks
 * by itself. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "bpf_floor.h"

/* The kernel asks for it: bpf_probe_read_kernel() is only for programs that call themselves GPL. */
char licence[] SEC("license") = "GPL";

enum { THREADS = 16384, RING_BYTES = 8 << 20 };

/* The part of the kernel's struct pt_regs (x86-64) with a call's arguments, and where it begins. */
struct argument_registers {
	__u64 r10, r9, r8, ax, cx, dx, si, di;
};
enum { ARGUMENT_REGISTERS_AT = 7 * 8 };

/* The only layout that differs between kernels: libbpf takes it from the kernel's BTF. */
struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, THREADS);
	__type(key, __u32);
	__type(value, struct call);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

/* Calls for which the ring had no room, and children for which `threads` had none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __u32 this_thread(void)
{
	return (__u32)bpf_get_current_pid_tgid();
}

static void count_lost(void)
{
	__u32 first = 0;
	__u64 *count = bpf_map_lookup_elem(&lost, &first);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static void put_call(struct call *call, __u64 end_ns, __s64 result)
{
	__u64 both = bpf_get_current_pid_tgid();

	call->end_ns = end_ns;
	call->pid = both >> 32;
	call->tid = (__u32)both;
	call->result = result;
	if (bpf_ringbuf_output(&ring, call, sizeof(*call), BPF_RB_NO_WAKEUP))
		count_lost();
	call->nr = NO_CALL;
}

/* (struct pt_regs *, long nr) */
SEC("raw_tp/sys_enter")
int on_enter(struct bpf_raw_tracepoint_args *context)
{
	__u32 tid = this_thread();
	struct call *call = bpf_map_lookup_elem(&threads, &tid);
	struct argument_registers regs;

	if (!call)
		return 0;
	if (bpf_probe_read_kernel(&regs, sizeof(regs), (void *)(context->args[0] + ARGUMENT_REGISTERS_AT)))
		return 0;
	call->start_ns = bpf_ktime_get_ns();
	call->nr = (__s64)context->args[1];
	call->args[0] = regs.di;
	call->args[1] = regs.si;
	call->args[2] = regs.dx;
	call->args[3] = regs.r10;
	call->args[4] = regs.r8;
	call->args[5] = regs.r9;
	return 0;
}

/* (struct pt_regs *, long result) */
SEC("raw_tp/sys_exit")
int on_exit(struct bpf_raw_tracepoint_args *context)
{
	__u32 tid = this_thread();
	struct call *call = bpf_map_lookup_elem(&threads, &tid);

	if (call && call->nr != NO_CALL)
		put_call(call, bpf_ktime_get_ns(), (__s64)context->args[1]);
	return 0;
}

/* (struct task_struct *parent, struct task_struct *child): the child, a process or a thread, has not run yet. */
SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *context)
{
	__u32 parent = this_thread(), child = 0;
	struct task_struct *task = (struct task_struct *)context->args[1];
	struct call none = { .nr = NO_CALL };

	if (!bpf_map_lookup_elem(&threads, &parent))
		return 0;
	if (bpf_core_read(&child, sizeof(child), &task->pid) || bpf_map_update_elem(&threads, &child, &none, BPF_ANY))
		count_lost();
	return 0;
}

/* (struct task_struct *, pid_t before, ...): a thread that is not the process's first takes over the id of the first,
 * which is dead. */
SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *context)
{
	__u32 before = (__u32)context->args[1], tid = this_thread();
	struct call *call = before == tid ? NULL : bpf_map_lookup_elem(&threads, &before);

	if (!call)
		return 0;
	if (bpf_map_update_elem(&threads, &tid, call, BPF_ANY))
		count_lost();
	bpf_map_delete_elem(&threads, &before);
	return 0;
}

/* In the thread that ends; the call it ends in (exit, or any, if it was killed) has no exit. */
SEC("raw_tp/sched_process_exit")
int on_end(void *context)
{
	__u32 tid = this_thread();
	struct call *call = bpf_map_lookup_elem(&threads, &tid);

	(void)context;
	if (!call)
		return 0;
	if (call->nr != NO_CALL)
		put_call(call, 0, 0);
	bpf_map_delete_elem(&threads, &tid);
	return 0;
}
