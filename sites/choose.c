/* How a site is rewritten, best first:
 *
 *  1. One instruction of >= 5 bytes before the syscall, everything from it to the syscall movable and no known branch in
 *     between. It need not be the `mov $nr,%eax`: any instruction on the straight way into the syscall will do, the nearest
 *     one is taken. No sane jump leads into its middle; a known one vetoes.
 *  2. Several instructions before the syscall, >= 5 bytes together, no known branch behind the first of them.
 *  3. The syscall and what follows, >= 5 bytes together, no known branch behind the first byte (SITE_AFTER).
 *  4. As 1, but a known branch leads behind the replaced instruction: that way runs the syscall as it stands, which user
 *     dispatch catches. Correct, only slower; never across the start of a function.
 *
 * In 1, 2 and 4 the syscall stays code. An unknown branch behind the replaced bytes is harmless there, for the same
 * reason; into the middle of 2 and 3 it would not be: so they need that no target is known there, and the known ones
 * include jump tables and every pointer in data (sweep.c). Where a function computes jumps otherwise, 2 and 3 are out.
 *
 * The syscall is never replaced together with something before it: a call that the kernel restarts comes back to the
 * syscall's own address, which must then be code. */
#include <string.h>
#include <Zydis/Zydis.h>
#include "choose.h"

#define NR_RT_SIGRETURN 15
#define NUMBER_STEPS_MAX 64
#define BEFORE_MAX (SITE_BYTES - SITE_SYSCALL_BYTES)

struct step {
	ZydisDecodedInstruction instruction;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	uint64_t at, next;
};

enum movable { MOVABLE, NOT_MOVABLE, NOT_MOVABLE_RIP };

static bool decode(const struct sweep *sweep, uint64_t at, struct step *step)
{
	const struct range *text = image_text_at(sweep->image, at);
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	step->at = at;
	if (!text || !bit_test(sweep->starts, at) ||
	    ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, sweep->image->bytes + at, text->end - at, &step->instruction,
					       step->operands)))
		return false;
	step->next = at + step->instruction.length;
	return true;
}

/* The instruction that ends at `at`, by the sweep: nothing is guessed. */
static bool decode_previous(const struct sweep *sweep, uint64_t at, struct step *step)
{
	if (bit_test(sweep->entries, at))
		return false;
	for (uint64_t back = 1; back <= ZYDIS_MAX_INSTRUCTION_LENGTH && back <= at; back++)
		if (bit_test(sweep->starts, at - back))
			return decode(sweep, at - back, step) && step->next == at;
	return false;
}

static enum movable movable(const struct step *step)
{
	const ZydisDecodedInstruction *instruction = &step->instruction;

	switch ((int)instruction->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
		return NOT_MOVABLE;
	}
	switch ((int)instruction->mnemonic) {
	case ZYDIS_MNEMONIC_ENDBR64: /* an indirect branch may lead here */
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_POPFQ: /* may set the trap flag */
	case ZYDIS_MNEMONIC_XBEGIN:
		return NOT_MOVABLE;
	}
	return instruction->attributes & ZYDIS_ATTRIB_IS_RELATIVE ? NOT_MOVABLE_RIP : MOVABLE;
}

/* Every instruction start in [start, end) must be one of `count`: else another reading of the bytes exists. */
static bool read_one_way(const struct sweep *sweep, uint64_t start, uint64_t end, int count)
{
	for (uint64_t at = start; at < end; at++)
		count -= bit_test(sweep->starts, at);
	return count == 0;
}

/* As where a branch skips a lock prefix. */
static bool has_target_inside(const struct sweep *sweep, uint64_t start, uint64_t end)
{
	for (uint64_t at = start + 1; at < end; at++)
		if (bit_test(sweep->targets, at))
			return true;
	return false;
}

static bool writes(const struct step *step, ZydisRegister large)
{
	for (int i = 0; i < step->instruction.operand_count; i++) {
		const ZydisDecodedOperand *operand = &step->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER && (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand->reg.value) == large)
			return true;
	}
	return step->instruction.mnemonic == ZYDIS_MNEMONIC_SYSCALL && large == ZYDIS_REGISTER_RAX;
}

static bool is_whole_register(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->size >= 32;
}

/* Follows the one value back: mov $imm,r; xor r,r; mov r,r. True: *number is final. */
static bool number_from(const struct step *step, ZydisRegister *large, int32_t *number)
{
	const ZydisDecodedOperand *to = &step->operands[0], *from = &step->operands[1];

	*number = -1;
	if (!is_whole_register(to))
		return true;
	if (step->instruction.mnemonic == ZYDIS_MNEMONIC_XOR && is_whole_register(from) && from->reg.value == to->reg.value)
		*number = 0;
	if (step->instruction.mnemonic != ZYDIS_MNEMONIC_MOV)
		return true;
	if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && from->imm.value.u <= INT32_MAX)
		*number = (int32_t)from->imm.value.u;
	if (!is_whole_register(from))
		return true;
	*large = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, from->reg.value);
	return false;
}

/* mov $imm,%al: as in `xor %eax,%eax; mov $60,%al`. Only for rax: other registers hold whole numbers. */
static bool sets_low_byte(const struct step *step, ZydisRegister large)
{
	return large == ZYDIS_REGISTER_RAX && step->instruction.mnemonic == ZYDIS_MNEMONIC_MOV &&
	       step->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && step->operands[0].reg.value == ZYDIS_REGISTER_AL &&
	       step->operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

/* The number in rax at `offset`, for control that comes through `sure`: from there on the way is straight, before it a
 * branch target means that other values may come in. */
static int32_t number_at(const struct sweep *sweep, uint64_t offset, uint64_t sure)
{
	ZydisRegister large = ZYDIS_REGISTER_RAX;
	uint64_t at = offset;
	int32_t number, low_byte = -1;
	struct step step;

	for (int i = 0; i < NUMBER_STEPS_MAX; i++, at = step.at) {
		if ((at <= sure && bit_test(sweep->targets, at)) || !decode_previous(sweep, at, &step))
			return -1;
		int category = (int)step.instruction.meta.category;

		if (category == ZYDIS_CATEGORY_CALL || category == ZYDIS_CATEGORY_UNCOND_BR || category == ZYDIS_CATEGORY_RET)
			return -1;
		if (!writes(&step, large))
			continue;
		if (low_byte < 0 && sets_low_byte(&step, large))
			low_byte = (int32_t)(step.operands[1].imm.value.u & 0xff);
		else if (number_from(&step, &large, &number))
			return number < 0 || low_byte < 0 ? number : (number & ~0xff) | low_byte;
	}
	return -1;
}

/* Whether the function around `offset` jumps to addresses it computes in a way we do not follow. Then targets may be
 * missing, and several instructions must not be replaced as one. (In an object at a fixed address every pointer in data
 * is a target already.) */
static bool jumps_unseen(const struct sweep *sweep, uint64_t offset)
{
	const struct range *text = image_text_at(sweep->image, offset);
	uint64_t at = offset;
	bool jumps = false, table = false;
	struct step step;

	if (sweep->image->fixed)
		return false;
	while (at > text->start && !bit_test(sweep->entries, at))
		at--;
	do {
		if (!decode(sweep, at, &step)) {
			step.next = at + 1;
			continue;
		}
		const ZydisDecodedOperand *operand = &step.operands[0];

		if (step.instruction.mnemonic == ZYDIS_MNEMONIC_JMP)
			jumps |= operand->type == ZYDIS_OPERAND_TYPE_REGISTER ||
				 (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.base != ZYDIS_REGISTER_RIP);
		if (step.instruction.mnemonic == ZYDIS_MNEMONIC_LEA && step.operands[1].mem.base == ZYDIS_REGISTER_RIP)
			table |= sweep_is_table(sweep, step.next + (uint64_t)step.operands[1].mem.disp.value);
	} while ((at = step.next) < text->end && !bit_test(sweep->entries, at));
	return jumps && !table;
}

static void keep_bytes(const struct sweep *sweep, struct site *site, uint64_t end)
{
	site->verify = (uint8_t)(end - site->patch);
	memset(site->original, 0, SITE_BYTES);
	memcpy(site->original, sweep->image->bytes + site->patch, site->verify);
}

static void leave(const struct sweep *sweep, struct site *site, enum site_why why)
{
	site->form = SITE_LEFT;
	site->why = (uint8_t)why;
	site->patch = site->offset;
	site->length = site->before = site->after = site->bypass = 0;
	site->resume = site->offset + SITE_SYSCALL_BYTES;
	keep_bytes(sweep, site, site->resume);
}

static void take_before(const struct sweep *sweep, struct site *site, uint64_t patch, uint8_t length, bool bypass)
{
	site->form = SITE_MOV;
	site->why = SITE_WHY_NONE;
	site->patch = patch;
	site->length = length;
	site->before = (uint8_t)(site->offset - patch);
	site->after = 0;
	site->bypass = bypass;
	site->resume = site->offset + SITE_SYSCALL_BYTES;
	site->nr = number_at(sweep, site->offset, patch);
	keep_bytes(sweep, site, site->resume);
}

/* Rules 1, 2 and 4: walks back from the syscall as far as everything can be moved. */
static void look_back(const struct sweep *sweep, struct site *site)
{
	uint64_t at = site->offset, bypassed_patch = 0, first_of_many = 0;
	uint8_t bypassed_length = 0, many_length = 0;
	enum site_why why = SITE_WHY_NO_ROOM;
	uint64_t region_end = site->offset; /* where a region of several instructions would end */
	struct step step;
	bool bypass = bit_test(sweep->targets, at), vetoed = false;

	for (int count = 1; decode_previous(sweep, at, &step); count++) {
		enum movable can = movable(&step);

		if (can != MOVABLE || site->offset - step.at > BEFORE_MAX) {
			if (can == NOT_MOVABLE_RIP)
				why = SITE_WHY_RIP_RELATIVE;
			break;
		}
		if (!read_one_way(sweep, step.at, site->offset, count)) {
			why = SITE_WHY_OVERLAP;
			break;
		}
		if (has_target_inside(sweep, step.at, step.next)) {
			why = SITE_WHY_BRANCH;
			break;
		}
		at = step.at;
		if (step.instruction.length >= SITE_JUMP_BYTES && !bypass) {
			take_before(sweep, site, at, step.instruction.length, false);
			return;
		}
		if (step.instruction.length >= SITE_JUMP_BYTES && !bypassed_length) {
			bypassed_patch = at;
			bypassed_length = step.instruction.length;
		}
		if (!bypass && !many_length && region_end - at >= SITE_JUMP_BYTES && !jumps_unseen(sweep, at)) {
			first_of_many = at;
			many_length = (uint8_t)(region_end - at);
		}
		vetoed |= bypass && region_end - at >= SITE_JUMP_BYTES;
		bypass |= bit_test(sweep->targets, at);
	}
	if (many_length) {
		take_before(sweep, site, first_of_many, many_length, false);
		return;
	}
	leave(sweep, site, vetoed && why == SITE_WHY_NO_ROOM ? SITE_WHY_BRANCH : why);
	if (bypassed_length) { /* kept for choose_after, which prefers rule 3 */
		site->patch = bypassed_patch;
		site->length = bypassed_length;
	}
}

/* Code between known functions is believed when something else speaks for it too. */
static bool is_believed(const struct sweep *sweep, uint64_t offset, int32_t nr)
{
	if (!bit_test(sweep->inferred, offset) || (nr >= 0 && nr < 1024))
		return true;
	for (uint64_t at = offset; at && bit_test(sweep->inferred, at); at--) {
		if (bit_test(sweep->targets, at))
			return true;
		while (at && !bit_test(sweep->starts, at - 1))
			at--;
	}
	return false;
}

void choose_before(const struct sweep *sweep, uint64_t offset, struct site *site)
{
	*site = (struct site){ .offset = offset, .nr = number_at(sweep, offset, offset) };
	int32_t straight = number_at(sweep, offset, 0);

	if (!bit_test(sweep->sites, offset)) {
		site->nr = -1;
		leave(sweep, site, SITE_WHY_NO_BOUNDS);
	} else if (!is_believed(sweep, offset, straight)) {
		leave(sweep, site, SITE_WHY_NO_BOUNDS);
	} else if (straight == NR_RT_SIGRETURN) {
		site->nr = straight;
		leave(sweep, site, SITE_WHY_SIGRETURN);
	} else {
		look_back(sweep, site);
	}
}

static bool is_filler(const struct step *step)
{
	return step->instruction.mnemonic == ZYDIS_MNEMONIC_NOP || step->instruction.mnemonic == ZYDIS_MNEMONIC_INT3;
}

/* Rule 3. A `ret` or a direct `jmp` may come last: the trampoline returns, or goes where the jump goes. Behind it only
 * filler may be replaced. */
static enum site_why look_ahead(const struct sweep *sweep, uint64_t limit, struct site *site)
{
	uint64_t at = site->offset + SITE_SYSCALL_BYTES, runs_to = 0, resume = 0;
	struct step step;
	int count = 1;

	for (; at < site->offset + SITE_JUMP_BYTES; at = step.next, count++) {
		if (bit_test(sweep->targets, at))
			return SITE_WHY_BRANCH;
		if (!decode(sweep, at, &step))
			return SITE_WHY_NO_ROOM;
		if (runs_to) {
			if (!is_filler(&step))
				return SITE_WHY_NO_ROOM;
		} else if (step.instruction.meta.category == ZYDIS_CATEGORY_RET) {
			runs_to = resume = step.next;
		} else if (step.instruction.mnemonic == ZYDIS_MNEMONIC_JMP && step.instruction.raw.imm[0].is_relative) {
			runs_to = at;
			resume = step.next + (uint64_t)step.instruction.raw.imm[0].value.s;
		} else if (movable(&step) != MOVABLE) {
			return movable(&step) == NOT_MOVABLE_RIP ? SITE_WHY_RIP_RELATIVE : SITE_WHY_NO_ROOM;
		}
		if (step.next - site->offset > SITE_BYTES || step.next > limit)
			return SITE_WHY_NO_ROOM;
	}
	if (has_target_inside(sweep, site->offset, at))
		return SITE_WHY_BRANCH;
	if (!read_one_way(sweep, site->offset, at, count))
		return SITE_WHY_OVERLAP;
	if (jumps_unseen(sweep, site->offset))
		return SITE_WHY_UNSEEN_JUMP;
	site->form = SITE_AFTER;
	site->why = SITE_WHY_NONE;
	site->patch = site->offset;
	site->length = (uint8_t)(at - site->offset);
	site->before = 0;
	site->after = (uint8_t)((runs_to ? runs_to : at) - site->offset - SITE_SYSCALL_BYTES);
	site->resume = resume ? resume : at;
	keep_bytes(sweep, site, at);
	return SITE_WHY_NONE;
}

/* Known by its symbol, or else by its look: a number from outside, and nothing but a return behind the call. */
static bool ends_cancellation(const struct sweep *sweep, const struct image_facts *facts, const struct site *site)
{
	uint64_t behind = site->offset + SITE_SYSCALL_BYTES;
	struct step step;

	for (int i = 0; i < facts->cancel_end_count; i++)
		if (facts->cancel_ends[i] == behind)
			return true;
	return facts->has_cancel && site->nr < 0 && decode(sweep, behind, &step) && step.instruction.meta.category == ZYDIS_CATEGORY_RET;
}

void choose_after(const struct sweep *sweep, const struct image_facts *facts, uint64_t limit, struct site *site)
{
	uint64_t bypassed_patch = site->patch;
	uint8_t bypassed_length = site->length, before_why = site->why;
	enum site_why why;

	if (site->form != SITE_LEFT || site->why == SITE_WHY_NO_BOUNDS || site->why == SITE_WHY_SIGRETURN)
		return;
	why = ends_cancellation(sweep, facts, site) ? SITE_WHY_CANCEL : look_ahead(sweep, limit, site);
	if (why == SITE_WHY_NONE)
		return;
	if (bypassed_length)
		take_before(sweep, site, bypassed_patch, bypassed_length, true);
	else
		leave(sweep, site, why == SITE_WHY_NO_ROOM ? before_why : why);
}
