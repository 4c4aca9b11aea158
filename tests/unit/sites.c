/* sites: each way to rewrite a syscall, and each reason not to, on objects made by hand. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plan.h"

#define CHECK(what) do { if (!(what)) { printf("%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #what); failures++; } } while (0)
static int failures;

enum { HEADERS = 0, TEXT = 0x1000, DATA = 0x2000, IMAGE = 0x3000, DYNAMIC = 0x400, SYMBOLS = 0x800, NAMES = 0xe00 };

/* An image of three pages: headers and tables, code, data. */
struct object {
	_Alignas(4096) uint8_t bytes[IMAGE];
	int symbols;
};
static struct object object;

static void put(uint64_t at, const void *bytes, size_t count)
{
	memcpy(object.bytes + at, bytes, count);
}

static void object_start(uint16_t type)
{
	Elf64_Ehdr head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 }, .e_type = type,
		.e_machine = EM_X86_64, .e_phoff = sizeof(head), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 4 };
	uint64_t base = type == ET_EXEC ? 0x400000 : 0;
	Elf64_Phdr rows[] = {
		{ .p_type = PT_LOAD, .p_flags = PF_R, .p_vaddr = base, .p_filesz = 0x1000, .p_memsz = 0x1000 },
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = base + TEXT, .p_filesz = 0x1000, .p_memsz = 0x1000 },
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = base + DATA, .p_filesz = 0x1000, .p_memsz = 0x1000 },
		{ .p_type = PT_DYNAMIC, .p_flags = PF_R, .p_vaddr = base + DYNAMIC, .p_filesz = 0x100, .p_memsz = 0x100 },
	};
	Elf64_Dyn dynamic[] = {
		{ DT_SYMTAB, { base + SYMBOLS } }, { DT_STRTAB, { base + NAMES } }, { DT_RELA, { base + DATA + 0x800 } },
		{ DT_RELASZ, { sizeof(Elf64_Rela) } }, { DT_NULL, { 0 } },
	};

	memset(&object, 0, sizeof(object));
	memset(object.bytes + TEXT, 0xcc, 0x1000);
	put(0, &head, sizeof(head));
	put(sizeof(head), rows, sizeof(rows));
	put(DYNAMIC, dynamic, sizeof(dynamic));
}

static void function(uint64_t at, const uint8_t *code, size_t bytes)
{
	uint64_t base = ((Elf64_Ehdr *)object.bytes)->e_type == ET_EXEC ? 0x400000 : 0;
	Elf64_Sym symbol = { .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1, .st_value = base + at,
		.st_size = bytes };

	put(at, code, bytes);
	put(SYMBOLS + sizeof(symbol) * (size_t)object.symbols++, &symbol, sizeof(symbol));
}

static struct site_plan *analyse(void)
{
	struct site_plan *plan = NULL;
	int err = sites_analyse(object.bytes, IMAGE, &plan);

	if (err || !plan) {
		printf("sites_analyse: %d\n", err);
		exit(1);
	}
	return plan;
}

/* The only site of the object as it stands; offset 0 when there is none, or more. */
static struct site only_site(void)
{
	struct site_plan *plan = analyse();
	struct site site = { 0 };

	if (plan->count == 1)
		site = plan->sites[0];
	sites_destroy(plan);
	return site;
}

#define CODE(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
#define SYSCALL 0x0f, 0x05
#define MOV_EAX(nr) 0xb8, nr, 0, 0, 0
#define MOV_EDI(nr) 0xbf, nr, 0, 0, 0
#define CMP_RAX 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff
#define MOV_RSI_RDX 0x48, 0x89, 0xf2
#define CALL_AWAY 0xe8, 0x00, 0x08, 0, 0
#define RET 0xc3

static struct site site_of(const uint8_t *code, size_t bytes)
{
	object_start(ET_DYN);
	function(TEXT, code, bytes);
	return only_site();
}

static bool is_mov(struct site site, uint64_t patch, int length, int before, int32_t nr)
{
	return site.form == SITE_MOV && site.patch == TEXT + patch && site.length == length && site.before == before &&
	       site.nr == nr && site.offset == site.patch + site.before && site.resume == site.offset + 2 &&
	       site.after == 0 && site.verify == before + 2 && site.why == SITE_WHY_NONE &&
	       !memcmp(site.original, object.bytes + site.patch, site.verify);
}

static bool is_after(struct site site, uint64_t patch, int length, int after, int32_t nr)
{
	return site.form == SITE_AFTER && site.patch == TEXT + patch && site.offset == site.patch && site.length == length &&
	       site.after == after && site.before == 0 && site.nr == nr && site.why == SITE_WHY_NONE &&
	       !memcmp(site.original, object.bytes + site.patch, site.verify);
}

static bool is_left(struct site site, enum site_why why)
{
	return site.form == SITE_LEFT && site.why == why && site.length == 0 && site.offset;
}

static void the_mov_before_is_replaced(void)
{
	CHECK(is_mov(site_of(CODE(MOV_EAX(39), SYSCALL, RET)), 0, 5, 5, 39));
}

static void movable_instructions_may_lie_between(void)
{
	CHECK(is_mov(site_of(CODE(MOV_EAX(39), MOV_RSI_RDX, SYSCALL, RET)), 0, 5, 8, 39));
}

static void the_nearest_instruction_that_is_long_enough_is_replaced(void)
{
	CHECK(is_mov(site_of(CODE(MOV_EAX(39), MOV_EDI(1), SYSCALL, RET)), 5, 5, 5, 39));
	CHECK(is_mov(site_of(CODE(0x41, 0xb9, 202, 0, 0, 0, MOV_EDI(1), 0x44, 0x89, 0xc8, SYSCALL, RET)), 6, 5, 8, 202));
}

static void a_number_that_another_way_may_change_is_unknown(void)
{
	/* mov $1,%r9d; L: mov $1,%edi; mov %r9d,%eax; syscall; inc %r9d; jmp L */
	CHECK(is_mov(site_of(CODE(0x41, 0xb9, 1, 0, 0, 0, MOV_EDI(1), 0x44, 0x89, 0xc8, SYSCALL, 0x41, 0xff, 0xc1, 0xeb,
				  0xf1)), 6, 5, 8, -1));
	/* a call may change it too */
	CHECK(is_mov(site_of(CODE(MOV_EAX(39), CALL_AWAY, MOV_EDI(1), SYSCALL, RET)), 10, 5, 5, -1));
}

static void several_short_instructions_are_replaced_together(void)
{
	/* xor %eax,%eax; mov %rsp,%rsi */
	CHECK(is_mov(site_of(CODE(0x31, 0xc0, 0x48, 0x89, 0xe6, SYSCALL, RET)), 0, 5, 5, 0));
}

static void a_number_set_by_its_low_byte_is_known(void)
{
	/* mov %eax,%edi; xor %eax,%eax; mov $60,%al */
	CHECK(is_mov(site_of(CODE(0x89, 0xc7, 0x31, 0xc0, 0xb0, 60, SYSCALL, RET)), 0, 6, 6, 60));
	CHECK(is_mov(site_of(CODE(0x89, 0xc7, 0x90, 0x90, 0xb0, 60, SYSCALL, RET)), 0, 6, 6, -1));
}

static void a_branch_into_several_instructions_vetoes(void)
{
	/* je to the second of them; then the compare behind the call is taken */
	CHECK(is_after(site_of(CODE(0x74, 0x02, 0x31, 0xc0, 0x48, 0x89, 0xe6, SYSCALL, CMP_RAX, RET)), 7, 8, 6, -1));
	/* without a compare nothing fits */
	CHECK(is_left(site_of(CODE(0x74, 0x02, 0x31, 0xc0, 0x48, 0x89, 0xe6, SYSCALL, CALL_AWAY)), SITE_WHY_BRANCH));
	/* into the middle of the mov, as where a lock prefix is skipped */
	CHECK(is_left(site_of(CODE(0x74, 0x01, MOV_EAX(39), SYSCALL, CALL_AWAY)), SITE_WHY_BRANCH));
	/* a branch to the first of them is fine */
	CHECK(is_mov(site_of(CODE(0x74, 0x00, 0x31, 0xc0, 0x48, 0x89, 0xe6, SYSCALL, RET)), 2, 5, 5, 0));
}

static void a_branch_past_the_mov_prefers_what_follows_else_is_called_a_bypass(void)
{
	struct site site = site_of(CODE(0x74, 0x05, MOV_EAX(39), SYSCALL, CMP_RAX, RET));

	CHECK(is_after(site, 7, 8, 6, -1) && !site.bypass);
	site = site_of(CODE(0x74, 0x05, MOV_EAX(39), SYSCALL, CALL_AWAY));
	CHECK(is_mov(site, 2, 5, 5, 39) && site.bypass);
}

static void what_follows_may_end_with_ret_or_jmp(void)
{
	/* mov %edi,%eax is too short; number unknown and `ret` behind: it may be the libc's cancellation point */
	CHECK(is_left(site_of(CODE(0x89, 0xf8, SYSCALL, RET, 0x66, 0x90)), SITE_WHY_CANCEL));
	/* xor %eax,%eax; syscall; ret; padding */
	CHECK(is_after(site_of(CODE(0x31, 0xc0, SYSCALL, RET, 0x66, 0x90)), 2, 5, 1, 0));
	/* no padding: what is behind the ret may be alive */
	CHECK(is_left(site_of(CODE(0x31, 0xc0, SYSCALL, RET, 0x89, 0xf8)), SITE_WHY_NO_ROOM));
	/* xor %eax,%eax; syscall; jmp +0x10 */
	struct site site = site_of(CODE(0x31, 0xc0, SYSCALL, 0xe9, 0x10, 0, 0, 0));

	CHECK(is_after(site, 2, 7, 0, 0) && site.resume == TEXT + 9 + 0x10);
}

static void a_branch_behind_the_syscall_vetoes_what_follows(void)
{
	/* mov %edi,%eax; syscall; L: cmp; je L */
	CHECK(is_left(site_of(CODE(0x89, 0xf8, SYSCALL, CMP_RAX, 0x74, 0xf8, RET)), SITE_WHY_BRANCH));
}

static void operands_relative_to_rip_are_not_moved(void)
{
	CHECK(is_left(site_of(CODE(MOV_EAX(39), 0x48, 0x8d, 0x3d, 0, 0, 0, 0, SYSCALL, CALL_AWAY)), SITE_WHY_RIP_RELATIVE));
	CHECK(is_left(site_of(CODE(0x89, 0xf8, SYSCALL, 0x8b, 0x05, 0, 0, 0, 0, RET)), SITE_WHY_RIP_RELATIVE));
}

static void calls_and_syscalls_are_not_moved(void)
{
	CHECK(is_left(site_of(CODE(MOV_EAX(39), CALL_AWAY, SYSCALL, CALL_AWAY)), SITE_WHY_NO_ROOM));
	object_start(ET_DYN);
	function(TEXT, CODE(MOV_EAX(39), SYSCALL, 0x89, 0xf8, SYSCALL, CALL_AWAY));
	struct site_plan *plan = analyse();

	CHECK(plan->count == 2 && plan->sites[0].form == SITE_MOV && is_left(plan->sites[1], SITE_WHY_NO_ROOM));
	sites_destroy(plan);
}

static void sigreturn_is_left(void)
{
	CHECK(is_left(site_of(CODE(MOV_EAX(15), SYSCALL)), SITE_WHY_SIGRETURN));
	CHECK(is_left(site_of(CODE(0x48, 0xc7, 0xc0, 15, 0, 0, 0, SYSCALL)), SITE_WHY_SIGRETURN));
	/* also when something leads to the syscall itself */
	CHECK(is_left(site_of(CODE(0x74, 0x05, MOV_EAX(15), SYSCALL, CMP_RAX)), SITE_WHY_SIGRETURN));
}

static void two_sites_never_share_bytes(void)
{
	/* xor %eax,%eax; syscall; mov $1,%eax; syscall: the mov belongs to the second one */
	object_start(ET_DYN);
	function(TEXT, CODE(0x31, 0xc0, SYSCALL, MOV_EAX(1), SYSCALL, RET));
	struct site_plan *plan = analyse();

	CHECK(plan->count == 2 && is_left(plan->sites[0], SITE_WHY_NO_ROOM) && is_mov(plan->sites[1], 4, 5, 5, 1));
	sites_destroy(plan);
}

static void a_jump_table_into_the_bytes_vetoes(void)
{
	/* lea DATA(%rip),%rdx; mov %edi,%eax; syscall; cmp; ret */
	int32_t table[] = { TEXT + 11 - DATA, 0 };

	object_start(ET_DYN);
	function(TEXT, CODE(0x48, 0x8d, 0x15, 0xf9, 0x0f, 0, 0, 0x89, 0xf8, SYSCALL, CMP_RAX, RET));
	CHECK(is_after(only_site(), 9, 8, 6, -1));
	put(DATA, table, sizeof(table));
	CHECK(is_left(only_site(), SITE_WHY_BRANCH));
}

static void an_indirect_jump_without_a_table_vetoes_several_instructions_only(void)
{
	/* mov %edi,%eax; syscall; cmp; jmp *%rdx */
	CHECK(is_left(site_of(CODE(0x89, 0xf8, SYSCALL, CMP_RAX, 0xff, 0xe2)), SITE_WHY_UNSEEN_JUMP));
	CHECK(is_mov(site_of(CODE(MOV_EAX(39), SYSCALL, 0xff, 0xe2)), 0, 5, 5, 39));
}

static void a_pointer_into_the_bytes_vetoes(void)
{
	Elf64_Rela row = { .r_offset = DATA, .r_info = R_X86_64_RELATIVE, .r_addend = TEXT + 4 };
	uint64_t pointer = 0x400000 + TEXT + 4;

	object_start(ET_DYN);
	function(TEXT, CODE(0x89, 0xf8, SYSCALL, CMP_RAX, RET));
	CHECK(is_after(only_site(), 2, 8, 6, -1));
	put(DATA + 0x800, &row, sizeof(row));
	CHECK(is_left(only_site(), SITE_WHY_BRANCH));
	object_start(ET_EXEC);
	function(TEXT, CODE(0x89, 0xf8, SYSCALL, CMP_RAX, RET));
	CHECK(is_after(only_site(), 2, 8, 6, -1));
	put(DATA + 16, &pointer, sizeof(pointer));
	CHECK(is_left(only_site(), SITE_WHY_BRANCH));
}

static void the_start_of_a_function_is_never_crossed(void)
{
	/* padding of 5 bytes, then a function: mov %edi,%eax; syscall; call */
	object_start(ET_DYN);
	function(TEXT, CODE(0x0f, 0x1f, 0x44, 0, 0));
	function(TEXT + 5, CODE(0x89, 0xf8, SYSCALL, CALL_AWAY));
	CHECK(is_left(only_site(), SITE_WHY_NO_ROOM));
}

static void bytes_that_can_be_read_in_two_ways_are_left(void)
{
	/* a symbol in the middle of the mov: from there, 00 00 00 reads as add and add */
	object_start(ET_DYN);
	function(TEXT, CODE(MOV_EAX(39), SYSCALL, RET));
	function(TEXT + 2, CODE(0, 0, 0, SYSCALL, RET));
	CHECK(only_site().form == SITE_LEFT);
}

static void code_whose_start_is_unknown_is_left(void)
{
	object_start(ET_DYN);
	put(TEXT, CODE(0x06, SYSCALL, 0x06)); /* 06 is no instruction */
	CHECK(is_left(only_site(), SITE_WHY_NO_BOUNDS));
}

static void code_between_functions_counts_when_all_of_it_decodes(void)
{
	object_start(ET_DYN);
	function(TEXT, CODE(RET));
	put(TEXT + 1, CODE(MOV_EAX(39), SYSCALL, RET));
	function(TEXT + 9, CODE(RET));
	CHECK(is_mov(only_site(), 1, 5, 5, 39));
	put(TEXT + 8, CODE(0x06));
	CHECK(is_left(only_site(), SITE_WHY_NO_BOUNDS));
	/* nothing leads to it and no number speaks for it */
	put(TEXT + 1, CODE(MOV_EDI(39), SYSCALL, RET));
	CHECK(is_left(only_site(), SITE_WHY_NO_BOUNDS));
}

/* The code of `object` in an image whose text is `text` bytes long; -1: it cannot be analysed. */
static long sites_in_text_of(size_t text)
{
	uint8_t *image = calloc(1, IMAGE + text);
	struct site_plan *plan;
	long count = -1;

	if (!image)
		return -1;
	memcpy(image, object.bytes, IMAGE);
	Elf64_Phdr *rows = (Elf64_Phdr *)(image + sizeof(Elf64_Ehdr));

	rows[1].p_memsz = rows[1].p_filesz = text;
	rows[2] = (Elf64_Phdr){ 0 };
	memset(image + DATA, 0x90, text - (DATA - TEXT));
	if (!sites_analyse(image, IMAGE + text, &plan)) {
		count = plan->count;
		sites_destroy(plan);
	}
	free(image);
	return count;
}

static void code_between_functions_is_left_when_there_is_too_much_of_it(void)
{
	object_start(ET_DYN);
	function(TEXT, CODE(MOV_EAX(39), SYSCALL, RET));
	CHECK(sites_in_text_of(1u << 20) == 1);
	CHECK(sites_in_text_of(17u << 20) == 0);
}

static void the_bytes_of_a_syscall_inside_an_instruction_are_no_site(void)
{
	struct site_plan *plan;

	object_start(ET_DYN);
	function(TEXT, CODE(0xb8, SYSCALL, SYSCALL, RET));
	plan = analyse();
	CHECK(plan->count == 0);
	sites_destroy(plan);
}

static void a_prefixed_syscall_is_left(void)
{
	struct site site = site_of(CODE(MOV_EAX(39), 0x48, SYSCALL, CMP_RAX, RET));

	CHECK(site.form == SITE_LEFT && site.offset == TEXT + 6);
}

static void instructions_with_effects_of_their_own_are_not_moved(void)
{
	static const uint8_t codes[][8] = {
		{ 0xf4, 0x90, 0x90 }, { 0xcc, 0x90, 0x90 }, { 0x0f, 0x0b, 0x90 }, { 0x9d, 0x90, 0x90 }, { 0xcd, 0x80, 0x90 },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		uint8_t code[32] = { MOV_EAX(39), codes[i][0], codes[i][1], codes[i][2], SYSCALL, CALL_AWAY };

		CHECK(is_left(site_of(code, 15), SITE_WHY_NO_ROOM));
	}
	/* endbr64 is where an indirect branch may lead */
	CHECK(is_left(site_of(CODE(0xf3, 0x0f, 0x1e, 0xfa, 0x90, SYSCALL, CALL_AWAY)), SITE_WHY_NO_ROOM));
}

static void objects_we_do_not_understand_are_refused(void)
{
	struct site_plan *plan;
	struct site_key key;

	CHECK(sites_analyse((const uint8_t *)"no elf", 6, &plan) == -ENOEXEC && !plan);
	CHECK(sites_analyse_file("/dev/null", &plan) == -ENOEXEC && !plan);
	CHECK(sites_analyse_file("/nonexistent", &plan) == -ENOENT && !plan);
	object_start(ET_DYN);
	((Elf64_Ehdr *)object.bytes)->e_machine = EM_386;
	CHECK(sites_analyse(object.bytes, IMAGE, &plan) == -ENOEXEC && !plan);
	CHECK(sites_key(object.bytes, IMAGE, &key) == -ENOEXEC);
}

static void the_key_is_the_code_when_there_is_no_build_id(void)
{
	struct site_key one, two;

	object_start(ET_DYN);
	CHECK(sites_key(object.bytes, IMAGE, &one) == 0 && one.is_hash && one.text_bytes == 0x1000);
	object.bytes[TEXT + 99] ^= 1;
	CHECK(sites_key(object.bytes, IMAGE, &two) == 0 && memcmp(&one, &two, sizeof(one)));
}

/* What the keeper asks of a running libc: the same answer from its file, its headers alone, and its analysis. */
static void the_key_of_a_file_is_that_of_its_plan(void)
{
	struct site_plan *plan;
	struct site_key key;
	int fd = open("/proc/self/exe", O_RDONLY);

	CHECK(sites_key_fd(fd, &key) == 0 && sites_analyse_fd(fd, &plan) == 0);
	CHECK(key.id_bytes > 0 && !memcmp(&key, &plan->key, sizeof(key)));
	sites_destroy(plan);
	close(fd);
}

static void damaged_objects_do_no_harm(void)
{
	struct site_plan *plan;

	srand(1);
	for (int round = 0; round < 1000; round++) {
		object_start(round % 2 ? ET_DYN : ET_EXEC);
		function(TEXT, CODE(MOV_EAX(39), SYSCALL, CMP_RAX, 0x74, 0x02, 0x31, 0xc0, SYSCALL, RET));
		for (int i = 0; i < 6; i++)
			object.bytes[rand() % (round % 3 ? 0x340 : IMAGE)] = (uint8_t)rand();
		if (sites_analyse(object.bytes, IMAGE - (size_t)(rand() % 5 ? 0 : rand() % IMAGE), &plan) == 0)
			sites_destroy(plan);
	}
}

int main(void)
{
	the_mov_before_is_replaced();
	movable_instructions_may_lie_between();
	the_nearest_instruction_that_is_long_enough_is_replaced();
	a_number_that_another_way_may_change_is_unknown();
	several_short_instructions_are_replaced_together();
	a_number_set_by_its_low_byte_is_known();
	a_branch_into_several_instructions_vetoes();
	a_branch_past_the_mov_prefers_what_follows_else_is_called_a_bypass();
	what_follows_may_end_with_ret_or_jmp();
	a_branch_behind_the_syscall_vetoes_what_follows();
	operands_relative_to_rip_are_not_moved();
	calls_and_syscalls_are_not_moved();
	sigreturn_is_left();
	two_sites_never_share_bytes();
	a_jump_table_into_the_bytes_vetoes();
	an_indirect_jump_without_a_table_vetoes_several_instructions_only();
	a_pointer_into_the_bytes_vetoes();
	the_start_of_a_function_is_never_crossed();
	bytes_that_can_be_read_in_two_ways_are_left();
	code_whose_start_is_unknown_is_left();
	code_between_functions_counts_when_all_of_it_decodes();
	code_between_functions_is_left_when_there_is_too_much_of_it();
	the_bytes_of_a_syscall_inside_an_instruction_are_no_site();
	a_prefixed_syscall_is_left();
	instructions_with_effects_of_their_own_are_not_moved();
	objects_we_do_not_understand_are_refused();
	the_key_is_the_code_when_there_is_no_build_id();
	the_key_of_a_file_is_that_of_its_plan();
	damaged_objects_do_no_harm();
	return failures != 0;
}
