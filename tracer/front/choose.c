#include <string.h>
#include <sys/syscall.h>
#include "choose.h"

#define ROW_NUMBERS 256u
#define KNOWN_NUMBERS ((CHOICE_ROWS - 1) * ROW_NUMBERS)
#define OTHERS (CHOICE_ROWS - 1)

/* Whatever is filtered, the front follows mappings, names and images by these. */
static const int for_front[] = { SYS_mmap, SYS_munmap, SYS_prctl, SYS_execve, SYS_execveat };
/* And the agent and the keeper see to these: births (keeper/birth.c), the agent's place (agent/own_memory.c), and what
 * agent/bounce.c names. */
static const int for_agent[] = {
	SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_mprotect, SYS_pkey_mprotect, SYS_madvise, SYS_mremap, SYS_shmat,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_ptrace, SYS_modify_ldt, SYS_arch_prctl, SYS_seccomp,
};

static bool shows(const struct filter *filter, uint32_t first, uint32_t last)
{
	for (uint32_t nr = first; nr <= last; nr++)
		if (filter->by_abi[0][nr])
			return true;
	return false;
}

static bool shows_all(const struct filter *filter)
{
	for (uint32_t nr = 0; nr < FILTER_NUMBERS; nr++)
		if (!filter->by_abi[0][nr])
			return false;
	return filter->others;
}

static uint8_t *way_of(struct agent_choice *choice, int nr)
{
	return &choice->way[nr / (int)ROW_NUMBERS][nr % (int)ROW_NUMBERS];
}

bool choose(const struct filter *filter, struct agent_choice *choice)
{
	bool others = filter->others || shows(filter, KNOWN_NUMBERS, FILTER_NUMBERS - 1);

	if (shows_all(filter))
		return false;
	for (uint32_t i = 0; i < ROW_NUMBERS; i++)
		choice->row[i] = (uint16_t)((i < OTHERS ? i : OTHERS) * ROW_NUMBERS);
	memset(choice->way[OTHERS], others ? WAY_RECORD : WAY_PLAIN, ROW_NUMBERS);
	for (int nr = 0; nr < (int)KNOWN_NUMBERS; nr++)
		*way_of(choice, nr) = filter->by_abi[0][nr] ? WAY_RECORD : WAY_PLAIN;
	for (size_t i = 0; i < sizeof(for_agent) / sizeof(for_agent[0]); i++)
		if (*way_of(choice, for_agent[i]) == WAY_PLAIN)
			*way_of(choice, for_agent[i]) = WAY_AGENT;
	for (size_t i = 0; i < sizeof(for_front) / sizeof(for_front[0]); i++)
		*way_of(choice, for_front[i]) = WAY_RECORD;
	return true;
}
