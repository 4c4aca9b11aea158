/* Finds _dl_lookup_symbol_x in an image of glibc's dynamic loader, stripped or not, and moves its prologue. */
#ifndef VTRACE_LOADER_PATCH_LOOKUP_H
#define VTRACE_LOADER_PATCH_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#define LOOKUP_JUMP_BYTES 12 /* movabs $to,%rax; jmp *%rax */
#define LOOKUP_MOVED_MAX 32
#define LOOKUP_VERSION 1 /* of what lookup_find decides: what it found before is not used by another one */

/* `image` is the loader as mapped: byte i is at virtual address i. Returns the function's offset, or 0 with *why set
 * to a reason in words. */
uint64_t lookup_find(const uint8_t *image, size_t bytes, const char **why);

/* How many bytes of whole instructions at `code` can be moved elsewhere and cover LOOKUP_JUMP_BYTES; 0: none. */
size_t lookup_prologue(const uint8_t *code, size_t bytes);

/* Writes the 12-byte jump. rax is free at the entry of a function that is not variadic. */
void lookup_jump(uint8_t *at, uint64_t to);

#endif
