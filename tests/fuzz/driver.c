/* Without libFuzzer: runs the files named, or all files of the directories named, once each. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"

static unsigned runs;

static void run_file(const char *path)
{
	FILE *file = fopen(path, "re");
	static uint8_t data[1 << 20];

	if (!file) {
		perror(path);
		exit(1);
	}
	size_t bytes = fread(data, 1, sizeof(data), file);
	uint8_t *exact = malloc(bytes ? bytes : 1);

	fclose(file);
	memcpy(exact, data, bytes);
	LLVMFuzzerTestOneInput(exact, bytes);
	free(exact);
	runs++;
}

static void run_path(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory) {
		run_file(path);
		return;
	}
	while ((entry = readdir(directory))) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.')
			run_path(name);
	}
	closedir(directory);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%u inputs\n", runs);
	return runs ? 0 : 1;
}
