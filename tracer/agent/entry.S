/* Runs in the tracee, on registers that are all the program's: no libc, nothing is written below the program's
 * stack pointer, every register but rax, rcx and r11 survives. %gs:0 is the thread's struct agent_thread
 * (wire/agent.h); the numbers below are its offsets, asserted there. */
	.set T_SELF, 0
	.set T_STACK, 8
	.set T_PHASE, 24
	.set F_RAX, 32
	.set F_RBX, 40
	.set F_RCX, 48
	.set F_RDX, 56
	.set F_RSI, 64
	.set F_RDI, 72
	.set F_RBP, 80
	.set F_RSP, 88
	.set F_R8, 96
	.set F_R9, 104
	.set F_R10, 112
	.set F_R11, 120
	.set F_R12, 128
	.set F_R13, 136
	.set F_R14, 144
	.set F_R15, 152
	.set F_FLAGS, 160
	.set VIA_COUNT, 176
	.set VIA, 184
	.set T_GADGET_SP, 568

	.section .text.entry, "ax"

/* The keeper sends a dispatched syscall here: rax = number, rcx = where to resume. */
	.globl agent_export_stub
agent_export_stub:
	movq %rsp, %gs:F_RSP
	movq %gs:T_STACK, %rsp
	movq %rax, %gs:F_RAX
	.globl agent_export_stub_rax
agent_export_stub_rax:
	movq %rcx, %gs:F_RCX
	movq %rbx, %gs:F_RBX
	movq %rdx, %gs:F_RDX
	movq %rsi, %gs:F_RSI
	movq %rdi, %gs:F_RDI
	movq %rbp, %gs:F_RBP
	movq %r8, %gs:F_R8
	movq %r9, %gs:F_R9
	movq %r10, %gs:F_R10
	movq %r12, %gs:F_R12
	movq %r13, %gs:F_R13
	movq %r14, %gs:F_R14
	movq %r15, %gs:F_R15
	pushfq
	popq %rax
	movq %rax, %gs:F_FLAGS
	movq $1, %gs:T_PHASE
/* From here on the frame is whole; before, the keeper finds all but rsp and rax in the registers themselves. */
	.globl agent_export_stub_saved
agent_export_stub_saved:
	cld
	movq %gs:T_SELF, %rdi
	call agent_syscall
/* rax = result, and stays it: the keeper can end the call from anywhere here. */
	.globl agent_export_stub_return
agent_export_stub_return:
	movq %gs:F_RBX, %rbx
	movq %gs:F_RDX, %rdx
	movq %gs:F_RSI, %rsi
	movq %gs:F_RDI, %rdi
	movq %gs:F_RBP, %rbp
	movq %gs:F_R8, %r8
	movq %gs:F_R9, %r9
	movq %gs:F_R10, %r10
	movq %gs:F_R12, %r12
	movq %gs:F_R13, %r13
	movq %gs:F_R14, %r14
	movq %gs:F_R15, %r15
	movq %gs:F_FLAGS, %r11
	movq %gs:F_RCX, %rcx
	pushq %r11
	popfq
	movq %gs:F_RSP, %rsp
	movq $0, %gs:T_PHASE
	jmp *%rcx
	.globl agent_export_stub_end
agent_export_stub_end:

/* long agent_gadget(void): the program's own syscall, with its argument registers, and with its stack pointer: sigaltstack
 * looks at that. A child that clone or fork makes here
 * never runs the rest: the keeper gives it the program's registers at its first stop. */
	.globl agent_gadget
agent_gadget:
	movq %gs:F_RDX, %rdx
	movq %gs:F_RSI, %rsi
	movq %gs:F_RDI, %rdi
	movq %gs:F_R8, %r8
	movq %gs:F_R9, %r9
	movq %gs:F_R10, %r10
	movq %gs:F_RAX, %rax
	movq %rsp, %gs:T_GADGET_SP
	movq %gs:F_RSP, %rsp
	.globl agent_export_gadget
agent_export_gadget:
	syscall
	.globl agent_export_gadget_after
agent_export_gadget_after:
	movq $2, %gs:T_PHASE         /* first of all: the call has been made */
	movq %gs:T_GADGET_SP, %rsp
	ret

/* _Noreturn void agent_sigreturn(void): rt_sigreturn wants the stack pointer exactly at the frame. */
	.globl agent_sigreturn
agent_sigreturn:
	movq $0, %gs:T_PHASE
	movq %gs:F_RSP, %rsp
	movl $15, %eax
	.globl agent_export_sigreturn
agent_export_sigreturn:
	syscall
	hlt

/* long agent_raw(long nr, long a, long b, long c, long d): a syscall of the agent's own. */
	.globl agent_raw
agent_raw:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	.globl agent_export_remote
agent_export_remote:
	syscall
	ret
	int3

/* long agent_raw_mmap(at, bytes, prot, flags, fd, offset): only the fourth register differs from a call's. */
	.globl agent_raw_mmap
agent_raw_mmap:
	movq %rcx, %r10
	movl $9, %eax
	syscall
	ret

/* uint64_t agent_copy(void *to, const void *from, uint64_t bytes): returns how many were copied. A fault inside is turned
 * by the keeper into a jump to agent_export_copy_recover with rcx = bytes left. */
	.globl agent_copy
agent_copy:
	movq %rdx, %rax
	movq %rdx, %rcx
	.globl agent_export_copy
agent_export_copy:
	rep movsb
	.globl agent_export_copy_recover
agent_export_copy_recover:
	subq %rcx, %rax
	ret

/* Every libc wrapper comes here with r11 = its index. It notes which function runs and who called it, and jumps to the
 * real one with every argument register as it was. A jump, not a call: no frame of ours for an unwinder to meet. */
	.globl agent_via_note
agent_via_note:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	movq %gs:T_SELF, %rsi
	leaq 32(%rsp), %rdx          /* where the return address lies */
	movq VIA_COUNT(%rsi), %rcx
1:	testq %rcx, %rcx
	jz 2f
	leaq (%rcx,%rcx,2), %rax
	cmpq %rdx, VIA-24(%rsi,%rax,8)
	ja 2f                        /* that call is still below us in the stack */
	decq %rcx
	jmp 1b
2:	cmpq $16, %rcx
	jae 3f
	leaq (%rcx,%rcx,2), %rax
	movq %rdx, VIA(%rsi,%rax,8)
	movq (%rdx), %rdx
	movq %rdx, VIA+8(%rsi,%rax,8)
	movl %r11d, %edx
	movq %rdx, VIA+16(%rsi,%rax,8)
	incq %rcx
3:	movq %rcx, VIA_COUNT(%rsi)
	leaq agent_real(%rip), %rax
	movq (%rax,%r11,8), %r11
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	jmp *%r11

/* Written by the keeper: the moved prologue of _dl_lookup_symbol_x and the jump back. */
	.globl agent_export_lookup_original
agent_export_lookup_original:
	.fill 64, 1, 0xcc

	.section .note.GNU-stack, "", @progbits
