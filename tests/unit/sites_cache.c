/* sites/cache: what was stored comes back; nothing else ever does. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cache.h"

#define CHECK(what) do { if (!(what)) { printf("%s:%d: %s\n", __FILE__, __LINE__, #what); failures++; } } while (0)
static int failures;
static char folder[64], file[256];

static struct site_plan *make_plan(uint32_t count, uint8_t id)
{
	struct site_plan *plan = calloc(1, sizeof(*plan) + count * sizeof(struct site));

	plan->key = (struct site_key){ .text_bytes = 4096, .id_bytes = 4, .id = { 0xab, 0xcd, 0, id } };
	plan->count = count;
	plan->functions = 3;
	plan->decoded_bytes = 77;
	for (uint32_t i = 0; i < count; i++) {
		struct site *site = &plan->sites[i];

		*site = (struct site){ .offset = 100 + i * 20ull + 5, .patch = 100 + i * 20ull, .resume = 100 + i * 20ull + 7,
			.nr = 39, .form = SITE_MOV, .length = 5, .before = 5, .verify = 7 };
		memcpy(site->original, "\xb8\x27\0\0\0\x0f\x05", 7);
	}
	return plan;
}

static size_t plan_bytes(const struct site_plan *plan)
{
	return sizeof(*plan) + plan->count * sizeof(struct site);
}

static int load_status(const struct site_key *key)
{
	struct site_plan *plan;
	int err = site_cache_load(key, &plan);

	if (err && plan)
		failures++;
	sites_destroy(plan);
	return err;
}

static size_t read_file(uint8_t *bytes, size_t room)
{
	FILE *in = fopen(file, "rb");
	size_t got = in ? fread(bytes, 1, room, in) : 0;

	if (in)
		fclose(in);
	return got;
}

static void write_file(const uint8_t *bytes, size_t size)
{
	FILE *out = fopen(file, "wb");

	fwrite(bytes, 1, size, out);
	fclose(out);
}

static void a_stored_plan_comes_back(void)
{
	struct site_plan *plan = make_plan(9, 1), *loaded;

	CHECK(load_status(&plan->key) == -ENOENT);
	CHECK(site_cache_store(plan) == 0);
	CHECK(site_cache_store(plan) == 0);
	CHECK(site_cache_load(&plan->key, &loaded) == 0);
	CHECK(loaded && !memcmp(plan, loaded, plan_bytes(plan)));
	sites_destroy(loaded);
	free(plan);
	plan = make_plan(0, 2);
	CHECK(site_cache_store(plan) == 0 && load_status(&plan->key) == 0);
	free(plan);
}

static void another_object_is_refused(void)
{
	struct site_plan *plan = make_plan(2, 1);

	CHECK(site_cache_store(plan) == 0);
	plan->key.text_bytes++;
	CHECK(load_status(&plan->key) == -ESTALE);
	free(plan);
}

static void a_flipped_bit_in_any_byte_is_noticed(void)
{
	struct site_plan *plan = make_plan(3, 1);
	uint8_t good[4096], bad[4096];

	CHECK(site_cache_store(plan) == 0);
	size_t size = read_file(good, sizeof(good));

	CHECK(size > 200);
	for (size_t at = 0; at < size; at++) {
		memcpy(bad, good, size);
		bad[at] ^= (uint8_t)(1 << at % 8);
		write_file(bad, size);
		CHECK(load_status(&plan->key) < 0);
	}
	write_file(good, size);
	CHECK(load_status(&plan->key) == 0);
	free(plan);
}

static void every_other_length_is_refused(void)
{
	struct site_plan *plan = make_plan(3, 1);
	uint8_t good[4096] = { 0 };

	CHECK(site_cache_store(plan) == 0);
	size_t size = read_file(good, sizeof(good));

	for (size_t cut = 0; cut < sizeof(good); cut += cut < size + 8 ? 1 : 72) {
		write_file(good, cut);
		CHECK((load_status(&plan->key) == 0) == (cut == size));
	}
	write_file(good, size);
	CHECK(truncate(file, (off_t)1 << 40) == 0);
	CHECK(load_status(&plan->key) == -EBADMSG); /* without reading, let alone allocating it */
	free(plan);
}

static void an_unsound_plan_is_refused_even_with_a_good_checksum(void)
{
	static const struct { size_t at; uint8_t value; } wrong[] = {
		{ offsetof(struct site, form), 0 }, { offsetof(struct site, form), 9 }, { offsetof(struct site, length), 4 },
		{ offsetof(struct site, length), 6 }, { offsetof(struct site, before), 4 }, { offsetof(struct site, verify), 33 },
		{ offsetof(struct site, verify), 6 }, { offsetof(struct site, after), 1 }, { offsetof(struct site, patch), 1 },
		{ offsetof(struct site, original) + 5, 0 }, { offsetof(struct site, form), SITE_LEFT },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct site_plan *plan = make_plan(3, 1);

		((uint8_t *)&plan->sites[1])[wrong[i].at] = wrong[i].value;
		CHECK(site_cache_store(plan) == 0);
		CHECK(load_status(&plan->key) == -EBADMSG);
		free(plan);
	}
}

static void a_file_that_others_can_write_is_refused(void)
{
	struct site_plan *plan = make_plan(3, 1);
	char moved[300];

	CHECK(site_cache_store(plan) == 0 && load_status(&plan->key) == 0);
	CHECK(chmod(file, 0622) == 0 && load_status(&plan->key) == -EPERM);
	CHECK(chmod(file, 0644) == 0 && load_status(&plan->key) == 0);
	if (geteuid() == 0) {
		CHECK(chown(file, 12345, (gid_t)-1) == 0 && load_status(&plan->key) == -EPERM);
		CHECK(chown(file, 0, (gid_t)-1) == 0);
	}
	snprintf(moved, sizeof(moved), "%s.moved", file);
	CHECK(rename(file, moved) == 0 && symlink(moved, file) == 0 && load_status(&plan->key) == -ELOOP);
	unlink(file);
	unlink(moved);
	CHECK(mkfifo(file, 0600) == 0 && load_status(&plan->key) == -EPERM); /* and does not wait for a writer */
	unlink(file);
	free(plan);
}

static void a_folder_that_cannot_be_used_is_an_error_code(void)
{
	struct site_plan *plan = make_plan(3, 1);

	setenv("XDG_CACHE_HOME", "/proc/nothing", 1);
	CHECK(site_cache_store(plan) < 0 && load_status(&plan->key) < 0);
	setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored, says its specification */
	unsetenv("HOME");
	CHECK(site_cache_store(plan) == -ENOENT && load_status(&plan->key) == -ENOENT);
	setenv("HOME", folder, 1);
	CHECK(site_cache_store(plan) == 0 && load_status(&plan->key) == 0);
	setenv("XDG_CACHE_HOME", "/dev/null", 1);
	CHECK(site_cache_store(plan) < 0 && load_status(&plan->key) < 0);
	setenv("XDG_CACHE_HOME", folder, 1);
	free(plan);
}

static void a_limit_on_file_size_leaves_no_file_and_raises_no_signal(void)
{
	struct site_plan *plan = make_plan(30, 3);

	if (fork() == 0) {
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 0, 0 });
		_exit(site_cache_store(plan) == -EFBIG ? 0 : 1);
	}
	int status;

	wait(&status);
	CHECK(status == 0);
	CHECK(load_status(&plan->key) == -ENOENT);
	char listed[300];
	DIR *dir;
	struct dirent *entry;

	snprintf(listed, sizeof(listed), "%s/vtrace", folder);
	dir = opendir(listed);
	while ((entry = readdir(dir)))
		CHECK(entry->d_name[0] != '.' || !entry->d_name[1] || !strcmp(entry->d_name, ".."));
	closedir(dir);
	free(plan);
}

static void readers_beside_writers_see_whole_plans(void)
{
	struct site_plan *plans[] = { make_plan(10, 1), make_plan(400, 1) };
	bool good = true;
	int status;

	CHECK(site_cache_store(plans[0]) == 0);
	for (int writer = 0; writer < 4; writer++)
		if (fork() == 0) {
			int err = 0;

			for (int i = 0; i < 50; i++)
				err |= site_cache_store(plans[(writer + i) % 2]);
			_exit(err != 0);
		}
	for (int i = 0; i < 200; i++) {
		struct site_plan *loaded;

		good &= site_cache_load(&plans[0]->key, &loaded) == 0 && (loaded->count == 10 || loaded->count == 400) &&
			!memcmp(loaded->sites, plans[1]->sites, loaded->count * sizeof(struct site));
		sites_destroy(loaded);
	}
	CHECK(good);
	while (wait(&status) > 0)
		CHECK(status == 0);
	free(plans[0]);
	free(plans[1]);
}

static void print_load_time(void)
{
	struct site_plan *plan = make_plan(526, 9);
	struct timespec start, end;
	long best = 1 << 30;

	site_cache_store(plan);
	for (int i = 0; i < 200; i++) {
		clock_gettime(CLOCK_MONOTONIC, &start);
		load_status(&plan->key);
		clock_gettime(CLOCK_MONOTONIC, &end);
		long took = (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec;

		best = took < best ? took : best;
	}
	printf("a plan of %u sites loads in %.1f us\n", plan->count, best / 1e3);
	free(plan);
}

/* The other file: of that plan and that size, or nothing. */
static void heat_comes_back(void)
{
	struct site_plan *plan = make_plan(3, 7), *longer = make_plan(4, 7), *stranger = make_plan(3, 8);
	uint64_t heat[5] = { 1, 2, 3, 4, 5 }, got[5] = { 0 };

	CHECK(site_cache_load_heat(plan, got, sizeof(got)) == -ENOENT);
	CHECK(site_cache_store_heat(plan, heat, sizeof(heat)) == 0);
	CHECK(site_cache_load_heat(plan, got, sizeof(got)) == 0 && !memcmp(got, heat, sizeof(heat)));
	CHECK(site_cache_load_heat(plan, got, sizeof(got) - 8) == -ESTALE);
	CHECK(site_cache_load_heat(longer, got, sizeof(got)) == -ESTALE);
	CHECK(site_cache_load_heat(stranger, got, sizeof(got)) == -ENOENT);
	sites_destroy(plan);
	sites_destroy(longer);
	sites_destroy(stranger);
}

static void facts_come_back_or_nothing(void)
{
	const uint64_t key[3] = { 1, 2, 3 }, other[3] = { 1, 2, 4 }, facts[2] = { 5, 6 };
	uint64_t got[2] = { 0 };
	uint8_t good[256], bad[256];

	CHECK(site_cache_load_facts(1, key, sizeof(key), got, sizeof(got)) == -ENOENT);
	CHECK(site_cache_store_facts(1, key, sizeof(key), facts, sizeof(facts)) == 0);
	CHECK(site_cache_load_facts(1, key, sizeof(key), got, sizeof(got)) == 0 && !memcmp(got, facts, sizeof(facts)));
	CHECK(site_cache_load_facts(2, key, sizeof(key), got, sizeof(got)) == -ESTALE);
	CHECK(site_cache_load_facts(1, other, sizeof(other), got, sizeof(got)) == -ENOENT);
	CHECK(site_cache_load_facts(1, key, sizeof(key), got, 8) == -EBADMSG);

	char plan_file[sizeof(file)], pattern[128];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/vtrace/*.facts", folder);
	CHECK(glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1);
	strcpy(plan_file, file);
	snprintf(file, sizeof(file), "%s", found.gl_pathv[0]);
	globfree(&found);
	size_t size = read_file(good, sizeof(good));

	CHECK(size == 24 + sizeof(key) + sizeof(facts));
	for (size_t at = 0; at < size; at++) {
		memcpy(bad, good, size);
		bad[at] ^= (uint8_t)(1 << at % 8);
		write_file(bad, size);
		CHECK(site_cache_load_facts(1, key, sizeof(key), got, sizeof(got)) < 0);
	}
	write_file(good, size);
	CHECK(site_cache_load_facts(1, key, sizeof(key), got, sizeof(got)) == 0);
	strcpy(file, plan_file);
}

int main(void)
{
	strcpy(folder, "/tmp/vtrace-sites-cache.XXXXXX");
	if (!mkdtemp(folder))
		return 77;
	setenv("XDG_CACHE_HOME", folder, 1);
	snprintf(file, sizeof(file), "%s/vtrace/abcd0001.sites", folder);
	a_stored_plan_comes_back();
	another_object_is_refused();
	a_flipped_bit_in_any_byte_is_noticed();
	every_other_length_is_refused();
	an_unsound_plan_is_refused_even_with_a_good_checksum();
	a_file_that_others_can_write_is_refused();
	a_folder_that_cannot_be_used_is_an_error_code();
	heat_comes_back();
	facts_come_back_or_nothing();
	a_limit_on_file_size_leaves_no_file_and_raises_no_signal();
	readers_beside_writers_see_whole_plans();
	print_load_time();
	char remove[128];

	snprintf(remove, sizeof(remove), "rm -rf %s", folder);
	return system(remove) != 0 || failures != 0;
}
