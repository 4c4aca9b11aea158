/* Function bounds from .eh_frame: the sorted table of .eh_frame_hdr leads to every FDE, the FDE has the exact range
 * (System V ABI / LSB, "Exception Frames"). */
#include <string.h>
#include "image.h"

enum { PE_ABSPTR = 0x00, PE_UDATA4 = 0x03, PE_UDATA8 = 0x04, PE_SDATA4 = 0x0b, PE_SDATA8 = 0x0c, PE_PCREL = 0x10 };
#define PE_HDR_TABLE 0x3b /* sdata4, relative to the header: what every linker writes */

struct cie {
	uint64_t at; /* 0: none read yet */
	uint8_t pointer_encoding;
	bool signal_frame; /* its FDEs start one byte before the function */
	bool usable;
};

static bool read_bytes(const struct image *image, uint64_t at, void *to, size_t bytes)
{
	if (at > image->size || bytes > image->size - at)
		return false;
	memcpy(to, image->bytes + at, bytes);
	return true;
}

/* Skips one LEB128 number. 0: it runs out of the image. */
static uint64_t skip_leb(const struct image *image, uint64_t at)
{
	for (int i = 0; i < 10 && at < image->size; i++)
		if (!(image->bytes[at++] & 0x80))
			return at;
	return 0;
}

static size_t pointer_bytes(uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case PE_UDATA4:
	case PE_SDATA4:
		return 4;
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return 8;
	}
	return 0;
}

/* Reads what the FDEs of this CIE need to be understood. */
static void cie_read(const struct image *image, uint64_t at, struct cie *cie)
{
	uint32_t length, id;
	uint8_t version;
	char augmentation[8];

	*cie = (struct cie){ .at = at };
	if (!read_bytes(image, at, &length, 4) || !read_bytes(image, at + 4, &id, 4) || id != 0 ||
	    !read_bytes(image, at + 8, &version, 1) || (version != 1 && version != 3) ||
	    !read_bytes(image, at + 9, augmentation, sizeof(augmentation)) ||
	    !memchr(augmentation, 0, sizeof(augmentation)))
		return;
	cie->pointer_encoding = PE_ABSPTR;
	cie->usable = true;
	if (augmentation[0] != 'z')
		return;
	uint64_t next = at + 9 + strlen(augmentation) + 1;

	next = skip_leb(image, next);                                              /* code alignment */
	next = next ? skip_leb(image, next) : 0;                                   /* data alignment */
	next = next ? version == 1 ? next + 1 : skip_leb(image, next) : 0;         /* return address register */
	next = next ? skip_leb(image, next) : 0;                                   /* bytes of augmentation data */
	for (const char *letter = augmentation + 1; *letter; letter++) {
		uint8_t encoding;

		if (*letter == 'S') {
			cie->signal_frame = true;
			continue;
		}
		if (!next || !read_bytes(image, next++, &encoding, 1)) {
			cie->usable = false;
			return;
		}
		if (*letter == 'R')
			cie->pointer_encoding = encoding;
		else if (*letter == 'P')
			next += pointer_bytes(encoding);
		else if (*letter != 'L')
			cie->usable = false;
	}
}

/* The function an FDE describes. False: an FDE we do not understand. */
static bool fde_read(const struct image *image, uint64_t at, struct cie *cie, struct function *function)
{
	uint32_t length, back;
	int64_t start = 0, bytes = 0;

	if (!read_bytes(image, at, &length, 4) || length == 0 || length == UINT32_MAX ||
	    !read_bytes(image, at + 4, &back, 4) || back == 0 || back > at + 4)
		return false;
	if (cie->at != at + 4 - back || !cie->usable)
		cie_read(image, at + 4 - back, cie);
	size_t width = pointer_bytes(cie->pointer_encoding);

	if (!cie->usable || !width || !read_bytes(image, at + 8, &start, width) ||
	    !read_bytes(image, at + 8 + width, &bytes, width))
		return false;
	if ((cie->pointer_encoding & 0x70) == PE_PCREL) {
		if (width == 4)
			start = (int32_t)start;
		start += (int64_t)(at + 8);
	} else if ((cie->pointer_encoding & 0x70) == PE_ABSPTR) {
		start -= (int64_t)image->base;
	} else {
		return false;
	}
	if (cie->signal_frame)
		start++, bytes--;
	*function = (struct function){ (uint64_t)start, (uint64_t)(start + bytes) };
	return bytes > 0;
}

/* Static programs at a fixed address have no .eh_frame_hdr: the section itself, from entry to entry. */
static int section_functions(const struct image *image, uint64_t at, uint64_t end, struct functions *functions)
{
	struct cie cie = { 0 };
	int err = 0;
	uint32_t length, id;

	for (; !err && at < end && read_bytes(image, at, &length, 4) && length >= 4 && length != UINT32_MAX;
	     at += 4 + (uint64_t)length) {
		struct function function;

		if (read_bytes(image, at + 4, &id, 4) && id && fde_read(image, at, &cie, &function))
			err = functions_add(functions, function.start, function.end);
	}
	return err;
}

static int file_functions(const struct image *image, struct functions *functions)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)image->file;
	const Elf64_Shdr *names = image->file ? image_section(image, head->e_shstrndx) : NULL;
	int err = 0;

	for (uint64_t i = 0; !err && names && i < head->e_shnum; i++) {
		const Elf64_Shdr *row = image_section(image, i);

		if (row && (row->sh_flags & SHF_ALLOC) && row->sh_name < names->sh_size &&
		    names->sh_size - row->sh_name >= sizeof(".eh_frame") &&
		    !memcmp(image->file + names->sh_offset + row->sh_name, ".eh_frame", sizeof(".eh_frame")))
			err = section_functions(image, row->sh_addr - image->base,
						row->sh_addr - image->base + row->sh_size, functions);
	}
	return err;
}

int unwind_functions(const struct image *image, struct functions *functions)
{
	struct cie cie = { 0 };

	for (int i = 0; i < image->row_count; i++) {
		const Elf64_Phdr *row = &image->rows[i];
		uint64_t header = row->p_vaddr - image->base;
		uint8_t encodings[4];
		uint32_t count;

		if (row->p_type != PT_GNU_EH_FRAME || !read_bytes(image, header, encodings, 4) || encodings[0] != 1 ||
		    (encodings[1] & 0x0f) != PE_SDATA4 || encodings[2] != PE_UDATA4 || encodings[3] != PE_HDR_TABLE ||
		    !read_bytes(image, header + 8, &count, 4) || count > (image->size - header - 12) / 8)
			continue;
		for (uint32_t entry = 0; entry < count; entry++) {
			int32_t fde;
			struct function function;

			memcpy(&fde, image->bytes + header + 12 + entry * 8ull + 4, 4);
			if (!fde_read(image, header + (uint64_t)(int64_t)fde, &cie, &function))
				continue;
			int err = functions_add(functions, function.start, function.end);

			if (err)
				return err;
		}
		return 0;
	}
	return file_functions(image, functions);
}
