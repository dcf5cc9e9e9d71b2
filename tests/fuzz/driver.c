/*
 * driver: runs a fuzz target over its corpus, for "make check" and for reproducing a finding.
 *
 * With arguments: each file is given to the target. Without: every file of tests/fuzz/corpus/FUZZ_NAME, whole and, for
 * small ones, cut short at every length and with every byte flipped in turn; that is what CI runs under the sanitizers.
 * To search for more, compile a target without this file by clang -fsanitize=fuzzer,address: libFuzzer has a main of its own.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX_BYTES = 1 << 20, MUTATE_MAX_BYTES = 600 };

static unsigned runs;

/* A copy of exactly that size, so that the sanitizer sees the first byte too many. */
static void
run_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	runs++;
}

static void
run_mutations(uint8_t *data, size_t size)
{
	for (size_t cut = 0; cut < size; cut++)
		run_copy(data, cut);
	for (size_t i = 0; i < size; i++) {
		static const uint8_t flips[] = {0xff, 0x01, 0x80};

		for (size_t f = 0; f < sizeof(flips); f++) {
			data[i] ^= flips[f];
			run_copy(data, size);
			data[i] ^= flips[f];
		}
	}
}

static int
run_file(const char *path, int mutate)
{
	uint8_t *data = malloc(INPUT_MAX_BYTES);
	FILE *in = fopen(path, "rb");
	size_t size;

	if (data == NULL || in == NULL) {
		fprintf(stderr, "%s: cannot be read\n", path);
		if (in)
			fclose(in);
		free(data);
		return -1;
	}
	size = fread(data, 1, INPUT_MAX_BYTES, in);
	fclose(in);
	run_copy(data, size);
	if (mutate && size <= MUTATE_MAX_BYTES)
		run_mutations(data, size);
	free(data);
	return 0;
}

static int
run_corpus(void)
{
	const char *top = getenv("srcdir");
	char folder[1024], path[2048];
	struct dirent *entry;
	unsigned files = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", top ? top : ".", FUZZ_NAME);
	dir = opendir(folder);
	if (dir == NULL) {
		fprintf(stderr, "%s: no corpus\n", folder);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (run_file(path, 1) < 0)
			break;
		files++;
	}
	closedir(dir);
	printf("%s: %u files, %u runs\n", FUZZ_NAME, files, runs);
	return files > 0 && entry == NULL ? 0 : -1;
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return run_corpus() < 0;
	for (int i = 1; i < argc; i++)
		if (run_file(argv[i], 0) < 0)
			return 1;
	return 0;
}
