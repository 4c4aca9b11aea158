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
	.set T_RING, 16
	.set RING_SELECTOR, 32
	.set T_CAUGHT, 576
	.set T_STOP, 584
	.set V_SLOT, 592
	.set V_CALLER, 600
	.set V_START, 608
	.set V_RET, 616
	.set V_FUNCTION, 624
	.set V_ARGS, 632
	.set T_GADGET_SP, 680
	.set T_PLAIN_RESUME, 688
	.set FLAG_DIRECTION, 0x400
	.set FLAG_OVERFLOW_BIT, 11
	.set FLAGS_PLAIN, 0xad7      /* carry, parity, adjust, zero, sign, interrupts enabled, overflow, and bit 1, which is always set */
	.set CONFIG_ROWS, 56
	.set CONFIG_WAYS, 56 + 512

	.section .text.entry, "ax"

/* `entry` when filters exclude syscalls: what nobody asks for is made at once. No instruction before the call may change a flag,
 * and only rcx and r11 are free. The first lines are agent_export_site's, see there. */
	.globl agent_export_filter
agent_export_filter:
	movq %gs:T_RING, %r11
	movl RING_SELECTOR(%r11), %r11d
	xchgq %rcx, %r11
	.globl agent_export_filter_swapped
agent_export_filter_swapped:
	jrcxz 2f
	movq %r11, %rcx
	.globl agent_export_filter_there
agent_export_filter_there:
	movq %rcx, %gs:T_PLAIN_RESUME
	.globl agent_export_filter_kept
agent_export_filter_kept:
	movzbl %ah, %ecx
	leaq agent_config+CONFIG_ROWS(%rip), %r11
	movzwl (%r11,%rcx,2), %ecx
	leaq CONFIG_WAYS-CONFIG_ROWS(%r11,%rcx), %r11
	movzbl %al, %ecx
	movzbl (%r11,%rcx), %ecx
	jrcxz 1f
	movq %gs:T_PLAIN_RESUME, %rcx
	jmp agent_export_site
1:	syscall
	.globl agent_export_filter_after
agent_export_filter_after:
	movq %gs:T_PLAIN_RESUME, %rcx
	jmp *%rcx
	.globl agent_export_filter_end
agent_export_filter_end:

1:
2:	movq %r11, %rcx
/* `entry` of threads that are not traced: the site's own syscall instruction is made. */
	.globl agent_export_plain
agent_export_plain:
	leaq -2(%rcx), %rcx
	jmp *%rcx

/* A rewritten site's trampoline comes here, through its thread's `entry`: rax = number, rcx = where to resume. With nobody
 * there (front or keeper are dead) nothing of the thread's block may be used: a child may share it now. The flags are the
 * program's, so it takes a jrcxz to find out. */
	.globl agent_export_site
agent_export_site:
	movq %gs:T_RING, %r11
	movl RING_SELECTOR(%r11), %r11d
	xchgq %rcx, %r11
	.globl agent_export_site_swapped
agent_export_site_swapped:
	jrcxz 1b
	movq %r11, %rcx
	.globl agent_export_site_there
agent_export_site_there:
	movl $1, %r11d               /* CAUGHT_SITE */
/* The keeper sends a dispatched syscall here: the same, and r11 = CAUGHT_DISPATCH. */
	.globl agent_export_stub
agent_export_stub:
	movq %rsp, %gs:F_RSP
	movq %gs:T_STACK, %rsp
	movq %rax, %gs:F_RAX
	.globl agent_export_stub_rax
agent_export_stub_rax:
	movq %r11, %gs:T_CAUGHT
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
	testl $FLAG_DIRECTION, %eax
	jz 1f
	cld
1:	movq %gs:T_SELF, %rdi
	call agent_syscall
/* A popfq costs 10 ns: flags that the arithmetic ones are all of are made without it. Nothing below touches them. */
	movq %rax, %r11
	movq %gs:F_FLAGS, %rcx
	testl $~FLAGS_PLAIN, %ecx
	jnz 2f
	movb %cl, %ah
	shrl $FLAG_OVERFLOW_BIT, %ecx
	andl $1, %ecx
	addb $0x7f, %cl              /* overflows, or not */
	sahf
	movq %r11, %rax
	jmp 3f
2:	movq %r11, %rax
/* rax = result, and stays it: the keeper can end the call from anywhere here. */
	.globl agent_export_stub_return
agent_export_stub_return:
	movq %gs:T_STOP, %rcx
	jrcxz 1f
	jmp 5f
3:	movq %gs:T_STOP, %rcx
	jrcxz 4f
5:	int3
	.globl agent_export_stub_stop
agent_export_stub_stop:
1:	movq %gs:F_FLAGS, %r11
	pushq %r11
	movq %gs:F_RDX, %rdx
	movq %gs:F_RSI, %rsi
	movq %gs:F_RDI, %rdi
	movq %gs:F_R8, %r8
	movq %gs:F_R9, %r9
	movq %gs:F_R10, %r10
	movq %gs:F_RCX, %rcx
	popfq
	movq %gs:F_RSP, %rsp
	movq $0, %gs:T_PHASE
	jmp *%rcx
4:	movq %gs:F_FLAGS, %r11
	movq %gs:F_RDX, %rdx
	movq %gs:F_RSI, %rsi
	movq %gs:F_RDI, %rdi
	movq %gs:F_R8, %r8
	movq %gs:F_R9, %r9
	movq %gs:F_R10, %r10
	movq %gs:F_RCX, %rcx
	movq %gs:F_RSP, %rsp
	movq $0, %gs:T_PHASE
	jmp *%rcx
	.globl agent_export_stub_end
agent_export_stub_end:

/* Where a fresh image begins, with the agent's stack pointer and edi = the descriptor of its rings, which it gives back; its
 * first registers are in the frame. */
	.globl agent_export_begin
agent_export_begin:
	movl $3, %eax                /* close */
	syscall
	xorl %eax, %eax
	movq %gs:F_RBX, %rbx         /* what a call keeps by itself */
	movq %gs:F_RBP, %rbp
	movq %gs:F_R12, %r12
	movq %gs:F_R13, %r13
	movq %gs:F_R14, %r14
	movq %gs:F_R15, %r15
	jmp agent_export_stub_return

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

/* void agent_call_keeper(long what, long a, long b, long c, long d): stops in the keeper, which answers by going on. The
 * syscall lies outside what user dispatch lets through; without dispatch its number is nobody's. */
	.section .keeper_text, "ax"
	.globl agent_call_keeper
agent_call_keeper:
	movq %rcx, %r10
	movl $0x3fffffff, %eax
	syscall
	.globl agent_export_keeper_after
agent_export_keeper_after:
	ret

	.section .text.entry, "ax"

/* For the keeper (keeper/batch.c): makes the syscalls of a table at rbx, rows of number, six arguments, result; a negative
 * number ends it. -2 as the fifth argument is the result before. Position-independent: it also runs outside the agent. */
	.globl agent_export_batch
agent_export_batch:
	movq (%rbx), %rax
	testq %rax, %rax
	js 1f
	movq 8(%rbx), %rdi
	movq 16(%rbx), %rsi
	movq 24(%rbx), %rdx
	movq 32(%rbx), %r10
	movq 40(%rbx), %r8
	movq 48(%rbx), %r9
	cmpq $-2, %r8
	cmoveq %r12, %r8
	syscall
	movq %rax, 56(%rbx)
	movq %rax, %r12
	addq $64, %rbx
	jmp agent_export_batch
1:	int3
	.globl agent_export_name
agent_export_name:
	.asciz "vtrace"              /* of the arenas' memory files */
	.globl agent_export_batch_end
agent_export_batch_end:

/* long agent_raw_mmap(at, bytes, prot, flags, fd, offset): only the fourth register differs from a call's. */
	.globl agent_raw_mmap
agent_raw_mmap:
	movq %rcx, %r10
	movl $9, %eax
	syscall
	ret

/* uint64_t agent_copy(void *to, const void *from, uint64_t bytes): returns how many were copied. A fault inside is turned
 * by the keeper into a jump to agent_export_copy_recover with rcx = bytes left. agent_load(to, from): 8 bytes, or none.
 * agent_copy_string: as agent_copy, but ends behind the first 8 bytes that hold a NUL. */
	.globl agent_load
agent_load:
	movl $8, %ecx
	movl %ecx, %eax
	.globl agent_export_copy
agent_export_copy:
	movq (%rsi), %rdx
	movq %rdx, (%rdi)
	ret
	.globl agent_copy_string
agent_copy_string:
	movq %rdx, %rax
	movq %rdx, %rcx
	movabsq $0x0101010101010101, %r8
	movabsq $0x8080808080808080, %r9
1:	cmpq $8, %rcx
	jb 2f
	movq (%rsi), %rdx
	movq %rdx, (%rdi)
	addq $8, %rsi
	addq $8, %rdi
	subq $8, %rcx
	movq %rdx, %r10
	subq %r8, %r10
	notq %rdx
	andq %rdx, %r10
	testq %r9, %r10              /* the highest bit of each byte that was 0, and maybe of one behind it */
	jz 1b
	subq %rcx, %rax
	ret
	.globl agent_copy
agent_copy:
	movq %rdx, %rax
	movq %rdx, %rcx
2:	rep movsb
	.globl agent_export_copy_recover
agent_export_copy_recover:
	subq %rcx, %rax
	ret

/* Every libc wrapper comes here with r11 = its index. It notes which function runs and who called it, and jumps to the
 * real one with every argument register as it was. A jump, not a call: no frame of ours for an unwinder to meet. */
	.globl agent_via_note
agent_via_note:
	cmpl $0, agent_config+8(%rip) /* no_via */
	jne 4f
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
4:	pushq %rax
	leaq agent_real(%rip), %rax
	movq (%rax,%r11,8), %r11
	popq %rax
	jmp *%r11

/* Every vDSO function that is recorded comes here with r11 = its index, and returns to agent_vdso_return. Only the return
 * address changes on the program's stack: no frame of ours, and one word to put back undoes it (the keeper does, before
 * anyone could unwind from there). With a shadow stack such a return would be a fault: nothing is recorded then. */
	.globl agent_vdso_enter
agent_vdso_enter:
	cmpl $0, agent_config+8(%rip) /* no_via */
	jne 1f
	xorl %eax, %eax
	rdsspq %rax
	testq %rax, %rax
	jnz 1f
	movq %gs:T_RING, %rax
	testq %rax, %rax
	jz 1f
	cmpl $0, RING_SELECTOR(%rax) /* nobody would see to the return address */
	je 1f
	movq %rdi, %gs:V_ARGS
	movq %rsi, %gs:V_ARGS+8
	movq %rdx, %gs:V_ARGS+16
	movq %rcx, %gs:V_ARGS+24
	movq %r8, %gs:V_ARGS+32
	movq %r9, %gs:V_ARGS+40
	movq %r11, %gs:V_FUNCTION
	movq (%rsp), %rax
	movq %rax, %gs:V_CALLER
	rdtsc
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, %gs:V_START
	movq %gs:V_ARGS+16, %rdx
	leaq agent_vdso_return(%rip), %rax
	movq %rax, (%rsp)
	movq %rsp, %gs:V_SLOT
1:	leaq agent_vdso_real(%rip), %rax
	jmp *(%rax,%r11,8)

/* rax = the result. */
	.globl agent_export_vdso_return
agent_export_vdso_return:
agent_vdso_return:
	movq %rax, %gs:V_RET
	movq %gs:T_STACK, %rsp
	movq %gs:T_SELF, %rdi
	call agent_vdso_record
	movq %gs:V_RET, %rax
	movq %gs:V_CALLER, %rcx
	movq %gs:V_SLOT, %rsp
	leaq 8(%rsp), %rsp
	movq $0, %gs:V_SLOT
	cmpq $0, %gs:T_STOP
	jne 1f
	jmp *%rcx
1:	int3
	.globl agent_export_vdso_stop
agent_export_vdso_stop:
	jmp *%rcx

/* Written by the keeper: the moved prologue of _dl_lookup_symbol_x and the jump back. */
	.globl agent_export_lookup_original
agent_export_lookup_original:
	.fill 64, 1, 0xcc

	.section .note.GNU-stack, "", @progbits
