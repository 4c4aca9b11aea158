#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "cache.h"

#define CACHE_MAGIC "vtsites"
#define HEAT_MAGIC "vtheat2"
#define FACTS_MAGIC "vtfacts"
#define PLAN_SUFFIX ".sites"
#define HEAT_SUFFIX ".heat"
#define CACHE_LAYOUT 1   /* of the file */
#define CACHE_ANALYSER 2 /* of what sites/ decides: an older plan is not used */
#define CACHE_FACTS 1    /* of what is written there */
#define CACHE_NAME_MAX (2 * SITES_BUILD_ID_MAX + 16)
#define PARTS_MAX 3

struct cache_head {
	char magic[8];
	uint32_t layout, analyser;
	struct site_key key;
	uint32_t count, functions;
	uint64_t decoded_bytes;
	uint64_t checksum; /* of everything else */
};
_Static_assert(sizeof(struct cache_head) == 88, "a change needs another CACHE_LAYOUT");

/* Of the other file. What follows it needs no check: whatever it says, it names sites of the plan. */
struct heat_head {
	char magic[8];
	uint32_t analyser, count;
	struct site_key key;
};

/* Of the third: what was found out about bytes of memory, which stand behind it, and the facts behind those. */
struct facts_head {
	char magic[8];
	uint32_t layout, version;
	uint64_t checksum; /* of what stands behind it */
};

static struct heat_head heat_head(const struct site_plan *plan)
{
	return (struct heat_head){ .magic = HEAT_MAGIC, .analyser = CACHE_ANALYSER, .count = plan->count, .key = plan->key };
}

/* A bijection per word: no change of a single word goes unseen. */
static uint64_t checksum_add(uint64_t sum, const void *data, size_t bytes)
{
	for (size_t at = 0; at + 8 <= bytes; at += 8) {
		uint64_t word;

		memcpy(&word, (const uint8_t *)data + at, 8);
		sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
		sum ^= sum >> 29;
	}
	return sum;
}

static uint64_t checksum(struct cache_head head, const struct site *sites)
{
	head.checksum = 0;
	return checksum_add(checksum_add(1, &head, sizeof(head)), sites, head.count * sizeof(*sites));
}

static int cache_folder(char path[PATH_MAX])
{
	const char *base = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
	int length = -1;

	if (base && base[0] == '/')
		length = snprintf(path, PATH_MAX, "%s/vtrace", base);
	else if (home && home[0] == '/')
		length = snprintf(path, PATH_MAX, "%s/.cache/vtrace", home);
	if (length < 0)
		return -ENOENT;
	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static void cache_name(const struct site_key *key, const char *suffix, char name[CACHE_NAME_MAX])
{
	char *at = name + sprintf(name, "%s", key->is_hash ? "text-" : "");

	for (uint32_t i = 0; i < key->id_bytes && i < SITES_BUILD_ID_MAX; i++)
		at += sprintf(at, "%02x", key->id[i]);
	snprintf(at, 8, "%s", suffix);
}

static bool only_ours(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* What every user of a plan relies on, whatever wrote it. */
static bool site_is_sound(const struct site *site, uint64_t free_from)
{
	if (site->form < SITE_MOV || site->form > SITE_LEFT || site->why >= SITE_WHY_COUNT || site->verify > SITE_BYTES ||
	    site->patch < free_from || site->patch + site->before != site->offset ||
	    site->before + SITE_SYSCALL_BYTES > site->verify || site->original[site->before] != 0x0f ||
	    site->original[site->before + 1] != 0x05)
		return false;
	switch ((enum site_form)site->form) {
	case SITE_MOV:
		return site->length >= SITE_JUMP_BYTES && site->length <= site->before && site->after == 0;
	case SITE_AFTER:
		return (!site->filler || (site->short_bytes >= 2 && site->short_bytes <= sizeof(site->short_original))) &&
		       site->length >= SITE_JUMP_BYTES && site->length <= site->verify && site->before == 0 &&
		       SITE_SYSCALL_BYTES + site->after <= site->length;
	case SITE_LEFT:
		return site->length == 0 && site->why != SITE_WHY_NONE;
	}
	return false;
}

static bool plan_is_sound(const struct site_plan *plan)
{
	uint64_t free_from = 0;

	for (uint32_t i = 0; i < plan->count; i++) {
		const struct site *site = &plan->sites[i];

		if (!site_is_sound(site, free_from))
			return false;
		free_from = site->offset + SITE_SYSCALL_BYTES;
		if (site->patch + site->length > free_from)
			free_from = site->patch + site->length;
	}
	return true;
}

static int check(const struct cache_head *head, const struct site_key *key, const struct site_plan *plan, size_t count)
{
	if (memcmp(head->magic, CACHE_MAGIC, sizeof(head->magic)))
		return -EBADMSG;
	if (head->layout != CACHE_LAYOUT || head->analyser != CACHE_ANALYSER)
		return -ESTALE;
	if (head->count != count || head->checksum != checksum(*head, plan->sites))
		return -EBADMSG;
	if (memcmp(&head->key, key, sizeof(*key)))
		return -ESTALE;
	return plan_is_sound(plan) ? 0 : -EBADMSG;
}

static int read_plan(int fd, const struct site_key *key, struct site_plan **plan)
{
	struct cache_head head;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !only_ours(&st))
		return -EPERM;
	if (st.st_size < (off_t)sizeof(head) || st.st_size > (off_t)(sizeof(head) + SITES_MAX * sizeof(struct site)) ||
	    (st.st_size - sizeof(head)) % sizeof(struct site))
		return -EBADMSG;
	size_t bytes = (size_t)st.st_size - sizeof(head), count = bytes / sizeof(struct site);
	struct site_plan *loaded = malloc(sizeof(*loaded) + bytes);

	if (!loaded)
		return -ENOMEM;
	struct iovec parts[] = { { &head, sizeof(head) }, { loaded->sites, bytes } };
	ssize_t got = readv(fd, parts, 2);
	int err = got < 0 ? -errno : got != st.st_size ? -EBADMSG : 0;

	if (!err) {
		loaded->key = head.key;
		loaded->count = head.count;
		loaded->functions = head.functions;
		loaded->decoded_bytes = head.decoded_bytes;
		loaded->count = (uint32_t)count;
		err = check(&head, key, loaded, count);
	}
	if (err)
		free(loaded);
	else
		*plan = loaded;
	return err;
}

/* A descriptor, or -errno. */
static int open_name(const char *name)
{
	char path[PATH_MAX];
	int err = cache_folder(path);

	if (err)
		return err;
	if (strlen(path) + 1 + strlen(name) >= sizeof(path))
		return -ENAMETOOLONG;
	strcat(strcat(path, "/"), name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int open_file(const struct site_key *key, const char *suffix)
{
	char name[CACHE_NAME_MAX];

	cache_name(key, suffix, name);
	return open_name(name);
}

int site_cache_load(const struct site_key *key, struct site_plan **plan)
{
	*plan = NULL;
	int fd = open_file(key, PLAN_SUFFIX), err;

	if (fd < 0)
		return fd;
	err = read_plan(fd, key, plan);
	close(fd);
	return err;
}

int site_cache_load_heat(const struct site_plan *plan, void *heat, size_t bytes)
{
	struct heat_head head, wanted = heat_head(plan);
	struct iovec parts[] = { { &head, sizeof(head) }, { heat, bytes } };
	int fd = open_file(&plan->key, HEAT_SUFFIX);
	struct stat st;

	if (fd < 0)
		return fd;
	int err = fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) || !only_ours(&st) ? -EPERM : 0;

	if (!err && (st.st_size != (off_t)(sizeof(head) + bytes) || readv(fd, parts, 2) != st.st_size ||
		     memcmp(&head, &wanted, sizeof(head))))
		err = -ESTALE;
	close(fd);
	return err;
}

/* Makes the folder and its parent, nothing above; opens it when it is ours. */
static int open_folder(char *path)
{
	char *last = strrchr(path, '/');
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno == ENOENT) {
		*last = 0;
		mkdir(path, 0700);
		*last = '/';
		mkdir(path, 0700);
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!only_ours(&st))
		err = -EPERM;
	if (err)
		close(fd);
	return err ? err : fd;
}

/* The whole file at once. */
static int write_parts(int fd, const struct iovec parts[PARTS_MAX])
{
	size_t bytes = 0;
	struct rlimit limit;

	for (int i = 0; i < PARTS_MAX; i++)
		bytes += parts[i].iov_len;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
		return -EFBIG; /* the write would raise SIGXFSZ */
	ssize_t put = writev(fd, parts, PARTS_MAX);

	return put < 0 ? -errno : (size_t)put != bytes ? -ENOSPC : 0;
}

static int store_name(const char *name, const struct iovec parts[PARTS_MAX])
{
	char path[PATH_MAX], temporary[CACHE_NAME_MAX + 32];
	int err = cache_folder(path), folder, fd;

	if (err)
		return err;
	folder = open_folder(path);
	if (folder < 0)
		return folder;
	snprintf(temporary, sizeof(temporary), ".%s.%d", name, gettid());
	unlinkat(folder, temporary, 0); /* a dead process of the same id may have left it */
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
		goto close_folder;
	}
	err = write_parts(fd, parts);
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && renameat(folder, temporary, folder, name) < 0)
		err = -errno;
	if (err)
		unlinkat(folder, temporary, 0);
close_folder:
	close(folder);
	return err;
}

static int store(const struct site_key *key, const char *suffix, const struct iovec parts[PARTS_MAX])
{
	char name[CACHE_NAME_MAX];

	cache_name(key, suffix, name);
	return store_name(name, parts);
}

int site_cache_store(const struct site_plan *plan)
{
	struct cache_head head = {
		.magic = CACHE_MAGIC, .layout = CACHE_LAYOUT, .analyser = CACHE_ANALYSER, .key = plan->key,
		.count = plan->count, .functions = plan->functions, .decoded_bytes = plan->decoded_bytes,
	};

	head.checksum = checksum(head, plan->sites);
	return store(&plan->key, PLAN_SUFFIX, (struct iovec[PARTS_MAX]){ { &head, sizeof(head) },
		     { (void *)plan->sites, plan->count * sizeof(struct site) } });
}

int site_cache_store_heat(const struct site_plan *plan, const void *heat, size_t bytes)
{
	struct heat_head head = heat_head(plan);

	return store(&plan->key, HEAT_SUFFIX, (struct iovec[PARTS_MAX]){ { &head, sizeof(head) }, { (void *)heat, bytes } });
}

static void facts_name(const void *key, size_t key_bytes, char name[CACHE_NAME_MAX])
{
	snprintf(name, CACHE_NAME_MAX, "%016llx.facts", (unsigned long long)checksum_add(1, key, key_bytes));
}

static uint64_t facts_checksum(const void *key, size_t key_bytes, const void *facts, size_t bytes)
{
	return checksum_add(checksum_add(CACHE_FACTS, key, key_bytes), facts, bytes);
}

int site_cache_load_facts(uint32_t version, const void *key, size_t key_bytes, void *facts, size_t bytes)
{
	char name[CACHE_NAME_MAX], found[SITE_CACHE_KEY_MAX];
	struct facts_head head;
	struct iovec parts[] = { { &head, sizeof(head) }, { found, key_bytes }, { facts, bytes } };
	struct stat st;

	if (key_bytes > sizeof(found))
		return -EINVAL;
	facts_name(key, key_bytes, name);
	int fd = open_name(name);

	if (fd < 0)
		return fd;
	int err = fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) || !only_ours(&st) ? -EPERM : 0;

	if (!err && (st.st_size != (off_t)(sizeof(head) + key_bytes + bytes) || readv(fd, parts, 3) != st.st_size))
		err = -EBADMSG;
	close(fd);
	if (err)
		return err;
	if (memcmp(head.magic, FACTS_MAGIC, sizeof(head.magic)) ||
	    head.checksum != facts_checksum(found, key_bytes, facts, bytes))
		return -EBADMSG;
	return head.layout != CACHE_FACTS || head.version != version || memcmp(found, key, key_bytes) ? -ESTALE : 0;
}

int site_cache_store_facts(uint32_t version, const void *key, size_t key_bytes, const void *facts, size_t bytes)
{
	struct facts_head head = { .magic = FACTS_MAGIC, .layout = CACHE_FACTS, .version = version,
				   .checksum = facts_checksum(key, key_bytes, facts, bytes) };
	char name[CACHE_NAME_MAX];

	if (key_bytes > SITE_CACHE_KEY_MAX)
		return -EINVAL;
	facts_name(key, key_bytes, name);
	return store_name(name, (struct iovec[PARTS_MAX]){ { &head, sizeof(head) }, { (void *)key, key_bytes },
			  { (void *)facts, bytes } });
}
