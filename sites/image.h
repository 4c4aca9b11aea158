/* What an ELF image says about its code: where it is, where functions start and end, which addresses it mentions. */
#ifndef VTRACE_SITES_IMAGE_H
#define VTRACE_SITES_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plan.h"

struct range {
	uint64_t start, end;
};

#define IMAGE_TEXTS 8

/* Borrows both byte ranges. Every address in here is an offset from the image's first byte. */
struct image {
	const uint8_t *bytes;
	uint64_t size;
	const uint8_t *file; /* as on disk, for .symtab; NULL: not at hand */
	uint64_t file_size;
	uint64_t base; /* the virtual address of byte 0, as linked */
	uint64_t entry;
	bool fixed;    /* not position independent: addresses appear in code and data as they are */
	const Elf64_Phdr *rows;
	int row_count;
	int text_count;
	struct range texts[IMAGE_TEXTS];
};

/* `end` is `start` where the size is not known. */
struct function {
	uint64_t start, end;
};

struct functions {
	struct function *rows;
	size_t count, room;
};

#define IMAGE_CANCEL_ENDS 4

/* What the tables of an object tell; the caller frees both lists' rows. */
struct image_facts {
	struct functions functions; /* sorted by start, then longest first */
	struct functions pointers;  /* code addresses found in data */
	uint64_t cancel_ends[IMAGE_CANCEL_ENDS];
	int cancel_end_count;
	bool has_cancel; /* pthread_cancel may be in here */
};

/* 0 or -ENOEXEC. */
int image_open(struct image *image, const uint8_t *bytes, size_t size, const uint8_t *file, size_t file_size);
/* The executable range that holds `at`, or NULL. */
const struct range *image_text_at(const struct image *image, uint64_t at);
/* Section `index` of the file; NULL: no file, or it does not hold all of it. */
const Elf64_Shdr *image_section(const struct image *image, uint64_t index);
/* Only the headers: no texts, and bytes may end early. False: not an object we understand. */
bool image_headers(struct image *image, const uint8_t *bytes, size_t size);
/* False: there is none in the bytes at hand. */
bool image_build_id(const struct image *image, struct site_key *key);
void image_key(const struct image *image, struct site_key *key);
/* 0 or -ENOMEM. Tables that are damaged give fewer facts, never wrong accesses. */
int image_facts(const struct image *image, struct image_facts *facts);

/* unwind.c: adds the functions of .eh_frame. */
int unwind_functions(const struct image *image, struct functions *functions);
int functions_add(struct functions *functions, uint64_t start, uint64_t end);

#endif
