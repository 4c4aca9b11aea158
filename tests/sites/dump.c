/* Prints the plan of each file named: one site a line, then one line of totals with the time it took. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "plan.h"

static const char *const forms[] = { "?", "mov", "after", "left" };

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void print_site(const struct site *site)
{
	printf("site %llx %s nr=%d patch=%llx length=%d before=%d after=%d resume=%llx bypass=%d verify=%d bytes=",
	       (unsigned long long)site->offset, forms[site->form], site->nr, (unsigned long long)site->patch, site->length,
	       site->before, site->after, (unsigned long long)site->resume, site->bypass, site->verify);
	for (int i = 0; i < site->verify; i++)
		printf("%02x", site->original[i]);
	printf(" # %s\n", site_why_text(site->why));
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct site_plan *plan;
		double start = now_ms();
		int err = sites_analyse_file(argv[i], &plan);
		double took = now_ms() - start;

		if (err) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-err));
			return 1;
		}
		for (uint32_t at = 0; at < plan->count; at++)
			print_site(&plan->sites[at]);
		printf("total %s sites=%u functions=%u text=%llu decoded=%llu ms=%.1f\n", argv[i], plan->count, plan->functions,
		       (unsigned long long)plan->key.text_bytes, (unsigned long long)plan->decoded_bytes, took);
		sites_destroy(plan);
	}
	return 0;
}
