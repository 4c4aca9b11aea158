/* Finds the `syscall` instructions of an ELF object and says for each how a jump can take its place, or why none can.
 * Looks at bytes only: touches no process, writes nothing.
 *
 * A rewritten site has its `length` bytes at `patch` replaced by `jmp rel32` (and filler) to a trampoline, which runs
 *
 *     the `before` bytes of `original`, verbatim         program's registers, program's stack
 *     the agent, which makes the call
 *     SITE_AFTER: the `after` bytes behind the syscall, verbatim
 *     a jump to `resume`
 *
 * Moved bytes are copied unchanged, so that byte k of a moved piece is byte k of the original: a signal or a fault with
 * RIP in the copy maps back by one subtraction. (Moved code may touch memory, and so may fault.) */
#ifndef VTRACE_SITES_PLAN_H
#define VTRACE_SITES_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define SITE_BYTES 32
#define SITE_JUMP_BYTES 5 /* jmp rel32 */
#define SITE_SYSCALL_BYTES 2
#define SITES_MAX 65536
#define SITES_BUILD_ID_MAX 32

/* All offsets are bytes from the image's first page: the load base of a PIE or a library, the first segment's page of
 * an object at a fixed address. */
enum site_form {
	SITE_MOV = 1, /* instructions before the syscall are replaced, usually `mov $nr,%eax`; the syscall stays code */
	SITE_AFTER,   /* the syscall and what follows it are replaced: offset + 2 is no code any more */
	SITE_LEFT,    /* not rewritten; see why */
};

enum site_why {
	SITE_WHY_NONE = 0,    /* it is rewritten */
	SITE_WHY_NO_BOUNDS,   /* the bytes 0f 05, but in no function whose start is known: perhaps data */
	SITE_WHY_SIGRETURN,   /* rt_sigreturn runs with the stack pointer at the frame */
	SITE_WHY_NO_ROOM,     /* too few instructions around it can be moved */
	SITE_WHY_BRANCH,      /* there would be room, but for a branch into it */
	SITE_WHY_RIP_RELATIVE, /* there would be room, but for an operand relative to RIP */
	SITE_WHY_CANCEL,      /* the libc compares the address behind it to find out whether the call was made */
	SITE_WHY_OVERLAP,     /* the code around it can be read in two ways, or is another site's */
	SITE_WHY_UNSEEN_JUMP, /* there would be room, but its function computes jumps in a way we do not follow */
	SITE_WHY_COUNT
};

struct site {
	uint64_t offset; /* of the syscall instruction */
	uint64_t patch;  /* of the first replaced byte; == offset when SITE_AFTER or SITE_LEFT */
	uint64_t resume; /* where the program goes on */
	int32_t nr;      /* on the way through `patch`; -1: not a constant */
	uint8_t form, why;
	uint8_t length;  /* replaced bytes, whole instructions, >= SITE_JUMP_BYTES; 0 when SITE_LEFT */
	uint8_t before;  /* offset - patch: bytes that run before the agent, the replaced ones included */
	uint8_t after;   /* SITE_AFTER: bytes behind the syscall that run after the agent */
	uint8_t bypass;  /* a known branch reaches the syscall without passing `patch`: that way is not caught here */
	uint8_t verify;  /* how many bytes of original must be found at `patch` before anything is written */
	uint8_t padding[5];
	uint8_t original[SITE_BYTES];
};
_Static_assert(sizeof(struct site) == 72, "struct site is the cache's format");

/* What names an object: its build-id, or else a hash of its code. */
struct site_key {
	uint64_t text_bytes; /* executable bytes in the file */
	uint32_t id_bytes;
	uint32_t is_hash;
	uint8_t id[SITES_BUILD_ID_MAX];
};
_Static_assert(sizeof(struct site_key) == 48, "struct site_key is the cache's format");

struct site_plan {
	struct site_key key;
	uint32_t count;
	uint32_t functions;     /* whose start and end are known; 0: stripped of symbols and unwind table */
	uint64_t decoded_bytes; /* of key.text_bytes */
	struct site sites[];    /* by offset */
};

/* `image` is the object as mapped: byte i is at offset i, segments in their places, relocated or not. 0 or -errno:
 * -ENOEXEC not an ELF object we understand, -ENOMEM, -E2BIG too many sites. The caller owns *plan: sites_destroy.
 * Static objects without an unwind table (Go) keep their symbols outside the image: use sites_analyse_file. */
int sites_analyse(const uint8_t *image, size_t bytes, struct site_plan **plan);
int sites_analyse_fd(int fd, struct site_plan **plan);
int sites_analyse_file(const char *path, struct site_plan **plan);
void sites_destroy(struct site_plan *plan);

/* The key without the analysis. 0 or -ENOEXEC. With a build-id it reads headers only, else all code. */
int sites_key(const uint8_t *image, size_t bytes, struct site_key *key);
int sites_key_fd(int fd, struct site_key *key);

const char *site_why_text(uint8_t why);

#endif
