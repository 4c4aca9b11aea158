/* The seccomp net's filter: what is called from the agent's text is allowed, except execve and ptrace; everything else is
 * notified. Built in the keeper, installed by the child that becomes the program. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent_symbols.h"
#include "net_filter.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

/* libseccomp cannot test the instruction pointer, so that test stands before its program. seccomp_data has the address
 * after the instruction, little-endian; the two halves are compared apart. */
static const struct sock_filter prologue[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AGENT_BASE >> 32, 0, 2),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)AGENT_EXPORT_TEXT_END, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
};
#define PROLOGUE (sizeof(prologue) / sizeof(prologue[0]))
_Static_assert(AGENT_BASE >> 32 == AGENT_EXPORT_TEXT_END >> 32, "one compare of the upper half is enough");
_Static_assert((uint32_t)AGENT_BASE == 0, "the lower half needs no lower bound");

/* For the calls the agent makes: the ones the keeper must know of whoever makes them. */
static int agent_rules(scmp_filter_ctx rules)
{
	static const int notified[] = { SYS_execve, SYS_execveat, SYS_ptrace };
	int err = seccomp_attr_set(rules, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW); /* x32 numbers: the agent has them */

	for (size_t i = 0; !err && i < sizeof(notified) / sizeof(notified[0]); i++)
		err = seccomp_rule_add(rules, SCMP_ACT_NOTIFY, notified[i], 0);
	return err;
}

/* Reads libseccomp's program behind the prologue. 0 or -errno. */
static int export_rules(scmp_filter_ctx rules, struct net_filter *filter)
{
	int fd = memfd_create("vtrace-filter", MFD_CLOEXEC), err;
	ssize_t got = -1;

	if (fd < 0)
		return -errno;
	err = seccomp_export_bpf(rules, fd);
	if (!err)
		got = pread(fd, filter->code + PROLOGUE, sizeof(filter->code) - sizeof(prologue), 0);
	if (!err && (got <= 0 || (size_t)got + sizeof(prologue) >= sizeof(filter->code)))
		err = -E2BIG;
	close(fd);
	if (err)
		return err;
	filter->count = (unsigned short)(PROLOGUE + (size_t)got / sizeof(filter->code[0]));
	return 0;
}

int net_filter_build(struct net_filter *filter)
{
	scmp_filter_ctx rules = seccomp_init(SCMP_ACT_ALLOW);
	int err;

	if (!rules)
		return -ENOSYS;
	memcpy(filter->code, prologue, sizeof(prologue));
	err = agent_rules(rules);
	if (!err)
		err = export_rules(rules, filter);
	seccomp_release(rules);
	return err;
}

static int install(const struct sock_fprog *program, unsigned long flags)
{
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

int net_filter_install(const struct net_filter *filter)
{
	struct sock_fprog program = { .len = filter->count, .filter = (struct sock_filter *)filter->code };
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
