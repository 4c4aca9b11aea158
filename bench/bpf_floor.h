/* What bpf_floor.bpf.c (in the kernel) tells bpf_floor.c: a record of the ring buffer is a system call. */
#ifndef BPF_FLOOR_H
#define BPF_FLOOR_H

#include <linux/types.h>

struct call {
	__u64 start_ns;
	__u64 end_ns; /* 0: its thread ended in it */
	__u32 pid;
	__u32 tid;
	__s64 nr;
	__s64 result;
	__u64 args[6];
};

enum { NO_CALL = -1 }; /* `nr` of a thread that is in no call, or in one that began before it was followed */

#endif
