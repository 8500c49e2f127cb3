/*
 * What a fuzz target is linked with when libFuzzer is not: runs every file named, and every file in
 * every folder named, through the target once. So seeds and past findings are ordinary tests.
 *
 *   detect_classify_fuzz src/detect/seeds/classify
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_run;

static bool run_file(const char *path, off_t size, struct err *err)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return err_sys(err, "open %s", path);
	/* Exactly SIZE bytes on the heap: under AddressSanitizer a read past the end is seen. */
	uint8_t *bytes = mem_new((size_t)size);
	size_t n = fread(bytes, 1, (size_t)size, f);
	bool whole = n == (size_t)size || err_sys(err, "read %s", path);
	(void)fclose(f); /* only read from */
	if (whole) {
		(void)LLVMFuzzerTestOneInput(bytes, n); /* always 0; a finding aborts */
		n_run++;
	}
	free(bytes);
	return whole;
}

static bool run_path(const char *path, struct err *err)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return err_sys(err, "stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return run_file(path, st.st_size, err);
	DIR *dir = opendir(path);
	if (!dir)
		return err_sys(err, "open %s", path);
	bool ok = true;
	for (struct dirent *entry; ok && (entry = readdir(dir));) {
		char child[4096];
		if (entry->d_name[0] == '.')
			continue;
		int n = snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		MUST(n > 0 && (size_t)n < sizeof(child));
		ok = run_path(child, err);
	}
	(void)closedir(dir); /* only read from */
	return ok;
}

int main(int argc, char **argv)
{
	struct err err = {0};
	for (int i = 1; i < argc; i++)
		if (!run_path(argv[i], &err)) {
			fprintf(stderr, "%s: %s\n", argv[0], err.text);
			return 1;
		}
	if (n_run == 0) { /* a moved folder must not turn the test green */
		fprintf(stderr, "%s: no input was named or found\n", argv[0]);
		return 1;
	}
	printf("%u inputs\n", n_run);
	return 0;
}
