/* How gen's wrappers.c becomes code: each wrapper loads its index and goes to agent_via_note (entry.S). Naked: the
 * compiler adds nothing, so all argument registers, rax (variadic calls) and r10 (static chain) stay as they were. */
#ifndef VTRACE_AGENT_WRAPPER_H
#define VTRACE_AGENT_WRAPPER_H

#define WRAPPER_BYTES 16
#define WRAPPER(index, name)                                                                       \
	__asm__(".section .text.wrappers, \"ax\"\n"                                                \
		".balign 16\n"                                                                     \
		"wrapper_" #name ":\n"                                                             \
		"	movl $" #index ", %r11d\n"                                                     \
		"	jmp agent_via_note\n"                                                          \
		".balign 16\n"                                                                     \
		".previous\n");

/* A vDSO function: the same with agent_vdso_enter. A section of its own, or the two would mix. */
#define VDSO_WRAPPER(index, name)                                                                  \
	__asm__(".section .text.vdso_wrappers, \"ax\"\n"                                           \
		".balign 16\n"                                                                     \
		"vdso_wrapper_" #name ":\n"                                                        \
		"	movl $" #index ", %r11d\n"                                                     \
		"	jmp agent_vdso_enter\n"                                                        \
		".balign 16\n"                                                                     \
		".previous\n");

#endif
