/* The seccomp net's filter: what is called from the agent's text is allowed, everything else is notified. Written by hand,
 * because libseccomp cannot test the instruction pointer. Installed by the child that becomes the program. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent_symbols.h"
#include "agent.h"
#include "net_filter.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

#define DATA(field) offsetof(struct seccomp_data, field)
#define ARG_HIGH(n) (DATA(args) + 8 * (n) + 4) /* 64 bits are compared by halves, little-endian */
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define IF(test, value, yes, no) BPF_JUMP(BPF_JMP | (test) | BPF_K, (uint32_t)(value), yes, no)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define AGENT_HIGH (AGENT_BASE >> 32)

/* The calls by which the agent is put into an image are made from the image's text: mmap at the agent's place or, like
 * memfd_create, with AGENT_BASE as its last argument (keeper/inject.c). seccomp_data has the address behind the instruction. */
/* A notification that was not yet received can be interrupted by a signal. The keeper has such a call made again, but in threads
 * that another tracer has got meanwhile a handler without SA_RESTART makes it EINTR, and a shell whose fork is interrupted by its
 * last child's SIGCHLD gives up. So calls that make processes are not notified; those of our own tracees are seen without it. */
static const struct sock_filter code[] = {
	/*  0 */ LOAD(DATA(instruction_pointer) + 4),
	/*  1 */ IF(BPF_JEQ, AGENT_HIGH, 0, 2),
	/*  2 */ LOAD(DATA(instruction_pointer)),
	/*  3 */ IF(BPF_JGT, AGENT_EXPORT_TEXT_END, 0, 9),
	/*  4 */ LOAD(DATA(nr)),
	/*  5 */ IF(BPF_JEQ, SYS_mmap, 1, 0),
	/*  6 */ IF(BPF_JEQ, SYS_memfd_create, 2, 7),
	/*  7 */ LOAD(ARG_HIGH(0)),
	/*  8 */ IF(BPF_JEQ, AGENT_HIGH, 4, 0),
	/*  9 */ LOAD(ARG_HIGH(5)),
	/* 10 */ IF(BPF_JEQ, AGENT_HIGH, 0, 1),
	/* 11 */ ANSWER(SECCOMP_RET_ALLOW),
	/* 12 */ ANSWER(SECCOMP_RET_USER_NOTIF),
	/* 13 */ ANSWER(SECCOMP_RET_ALLOW),
	/* 14 */ IF(BPF_JEQ, SYS_clone3, 2, 0),
	/* 15 */ IF(BPF_JGE, SYS_clone, 0, 3),
	/* 16 */ IF(BPF_JGT, SYS_vfork, 2, 0),
	/* 17 */ LOAD(DATA(arch)),
	/* 18 */ IF(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0),
	/* 19 */ ANSWER(SECCOMP_RET_USER_NOTIF),
	/* 20 */ ANSWER(SECCOMP_RET_ALLOW),
};
_Static_assert(SYS_clone == 56 && SYS_fork == 57 && SYS_vfork == 58, "16 takes them together");
_Static_assert(AGENT_BASE >> 32 == AGENT_EXPORT_TEXT_END >> 32, "one compare of the upper half is enough");
_Static_assert((uint32_t)AGENT_BASE == 0, "the lower half needs no lower bound");

static int install(const struct sock_fprog *program, unsigned long flags)
{
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

int net_filter_install(void)
{
	const struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = (struct sock_filter *)code };
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	int fd = install(&program, flags);

	if (fd < 0 && errno == EACCES) { /* without CAP_SYS_ADMIN */
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		fd = install(&program, flags);
	}
	if (fd < 0 && errno == EINVAL)
		fd = install(&program, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	return fd;
}
