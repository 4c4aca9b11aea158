/* _dl_lookup_symbol_x is the function whose code refers to the string "undefined symbol: "; its bounds come from
 * .eh_frame_hdr's sorted table (System V ABI / LSB: version 1, eh_frame pointer, count, then pairs of 32-bit offsets). */
#include <elf.h>
#include <stdbool.h>
#include <string.h>
#include <Zydis/Zydis.h>
#include "lookup.h"

static const char undefined_symbol[] = "undefined symbol: ";

struct text { uint64_t start, end; };

static const Elf64_Phdr *find_phdr(const uint8_t *image, size_t bytes, uint32_t type, uint32_t flags)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)image;

	if (bytes < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) || head->e_phentsize != sizeof(Elf64_Phdr) ||
	    head->e_phoff > bytes || head->e_phnum * sizeof(Elf64_Phdr) > bytes - head->e_phoff)
		return NULL;
	const Elf64_Phdr *rows = (const Elf64_Phdr *)(image + head->e_phoff);

	for (int i = 0; i < head->e_phnum; i++)
		if (rows[i].p_type == type && (rows[i].p_flags & flags) == flags && rows[i].p_vaddr < bytes &&
		    rows[i].p_memsz <= bytes - rows[i].p_vaddr)
			return &rows[i];
	return NULL;
}

static uint64_t find_string(const uint8_t *image, size_t bytes)
{
	const uint8_t *at = memmem(image, bytes, undefined_symbol, sizeof(undefined_symbol) - 1);

	return at ? (uint64_t)(at - image) : 0;
}

/* The code address that loads `target` by lea disp32(%rip), if there is exactly one. */
static uint64_t find_reference(const uint8_t *image, struct text text, uint64_t target)
{
	uint64_t found = 0;

	for (uint64_t at = text.start; at + 7 <= text.end; at++) {
		int32_t displacement;

		if ((image[at] & 0xfb) != 0x48 || image[at + 1] != 0x8d || (image[at + 2] & 0xc7) != 0x05)
			continue;
		memcpy(&displacement, image + at + 3, 4);
		if (at + 7 + (uint64_t)(int64_t)displacement != target)
			continue;
		if (found)
			return 0;
		found = at;
	}
	return found;
}

/* The range of the function that holds `pc`, from the unwind table. */
static bool function_around(const uint8_t *image, size_t bytes, uint64_t pc, struct text *function)
{
	const Elf64_Phdr *row = find_phdr(image, bytes, PT_GNU_EH_FRAME, 0);
	uint64_t header = row ? row->p_vaddr : 0;
	uint32_t count;

	if (!header || row->p_memsz < 12 || image[header] != 1 || image[header + 3] != 0x3b)
		return false;
	memcpy(&count, image + header + 8, 4);
	if (count > (row->p_memsz - 12) / 8)
		return false;
	function->start = 0;
	function->end = UINT64_MAX;
	for (uint32_t i = 0; i < count; i++) {
		int32_t offset;

		memcpy(&offset, image + header + 12 + i * 8ull, 4);
		uint64_t start = header + (uint64_t)(int64_t)offset;

		if (start <= pc && start > function->start)
			function->start = start;
		if (start > pc && start < function->end)
			function->end = start;
	}
	return function->start != 0;
}

/* Where the compiler split the error path off: the one direct jump from elsewhere into [part.start, part.end). */
static uint64_t find_jump_into(const uint8_t *image, struct text text, struct text part)
{
	uint64_t found = 0;

	for (uint64_t at = text.start; at + 6 <= text.end; at++) {
		bool near = image[at] == 0x0f && (image[at + 1] & 0xf0) == 0x80;
		int length = near ? 6 : image[at] == 0xe9 ? 5 : 0;
		int32_t displacement;

		if (!length || (at >= part.start && at < part.end))
			continue;
		memcpy(&displacement, image + at + length - 4, 4);
		uint64_t to = at + (uint64_t)length + (uint64_t)(int64_t)displacement;

		if (to >= part.start && to < part.end)
			found = at;
	}
	return found;
}

uint64_t lookup_find(const uint8_t *image, size_t bytes, const char **why)
{
	const Elf64_Phdr *code = find_phdr(image, bytes, PT_LOAD, PF_X);
	struct text text, function;
	uint64_t string, reference;

	*why = "it is not a glibc loader (no \"undefined symbol: \" message in it)";
	string = code ? find_string(image, bytes) : 0;
	if (!string)
		return 0;
	text = (struct text){ code->p_vaddr, code->p_vaddr + code->p_memsz };
	*why = "no single place in its code refers to the \"undefined symbol: \" message";
	reference = find_reference(image, text, string);
	if (!reference)
		return 0;
	*why = "it has no usable unwind table";
	if (!function_around(image, bytes, reference, &function))
		return 0;
	if (lookup_prologue(image + function.start, bytes - function.start))
		return function.start;
	*why = "the start of its lookup function cannot be moved";
	reference = find_jump_into(image, text, function);
	if (!reference || !function_around(image, bytes, reference, &function) ||
	    !lookup_prologue(image + function.start, bytes - function.start))
		return 0;
	return function.start;
}

size_t lookup_prologue(const uint8_t *code, size_t bytes)
{
	ZydisDecoder decoder;
	size_t moved = 0;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	while (moved < LOOKUP_JUMP_BYTES) {
		ZydisDecodedInstruction instruction;

		if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&decoder, NULL, code + moved, bytes - moved, &instruction)) ||
		    (instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE) ||
		    instruction.meta.category == ZYDIS_CATEGORY_RET || instruction.meta.category == ZYDIS_CATEGORY_CALL ||
		    instruction.meta.category == ZYDIS_CATEGORY_SYSCALL)
			return 0;
		moved += instruction.length;
	}
	return moved <= LOOKUP_MOVED_MAX ? moved : 0;
}

void lookup_jump(uint8_t *at, uint64_t to)
{
	memcpy(at, "\x48\xb8", 2);
	memcpy(at + 2, &to, 8);
	memcpy(at + 10, "\xff\xe0", 2);
}
