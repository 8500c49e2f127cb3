/* What /proc says of this process. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "observe/worker.h"

/* Field N (from 0) of /proc/self/statm, in bytes; 0 when it cannot be read. proc(5). */
static uint64_t statm_bytes(unsigned n)
{
	char text[256];
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	struct slice rest = {text, fread(text, 1, sizeof(text), f)};
	(void)fclose(f); /* only read from */
	uint64_t pages = 0;
	for (unsigned i = 0; i <= n; i++)
		if (!slice_to_u64(slice_cut(&rest, ' '), UINT64_MAX / 65536, &pages))
			return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;
	if (!d)
		return 0;
	while (readdir(d))
		n++;
	(void)closedir(d);        /* only read from */
	return n > 2 ? n - 2 : 0; /* "." and ".." */
}

/* Workers have descriptor tables of their own, and the limit holds for each: the fullest one counts. */
static unsigned open_fds(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned most = 0;
	if (!tasks)
		return 0;
	for (struct dirent *t; (t = readdir(tasks));) {
		char path[sizeof("/proc/self/task//fd") + sizeof(t->d_name)];
		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/fd", t->d_name); /* fits */
		unsigned n = entries(path);
		most = n > most ? n : most;
	}
	(void)closedir(tasks); /* only read from */
	return most;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void one(struct buf *out, const char *name, const char *type, const char *help, double value)
{
	render_head(out, name, type, help);
	(void)buf_printf(out, "%s %.17g\n", name, value);
}

void render_process(const struct metrics_facts *facts, struct buf *out)
{
	struct rusage used = {0};
	struct rlimit fds = {0};
	(void)getrusage(RUSAGE_SELF, &used);  /* cannot fail with these arguments */
	(void)getrlimit(RLIMIT_NOFILE, &fds); /* nor can this */
	one(out, "process_cpu_seconds_total", "counter", "User and system CPU time.",
	    seconds(used.ru_utime) + seconds(used.ru_stime));
	one(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
	    (double)statm_bytes(1));
	one(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.",
	    (double)statm_bytes(0));
	one(out, "process_open_fds", "gauge", "Open file descriptors of the thread that has most.",
	    open_fds());
	one(out, "process_max_fds", "gauge", "Most file descriptors that may be open.",
	    (double)fds.rlim_cur);
	one(out, "process_start_time_seconds", "gauge", "Start of the process, since 1970.",
	    facts->start_time_s);
}
