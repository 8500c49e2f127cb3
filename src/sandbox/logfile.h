/*
 * A container's log: a file that never grows past a bound, with one older part beside it (PATH.1).
 *
 *   struct logfile *log = logfile_open("/run/hark/default/logs/shop.db.mariadb.log", &err);
 *   logfile_write(log, bytes);                       // the container's output, as it came
 *   logfile_tail(path, 20, &out);                    // its last 20 lines
 *   logfile_follow(path, SIZE_MAX, node.pidfd, 1, &err);   // `hark logs -f`
 *
 * A write that fails (full disk) is dropped and counted: a log must not stop what it tells about.
 */
#pragma once
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { LOGFILE_MAX = 8 * 1024 * 1024 }; /* of both parts together */

struct logfile;
struct logfile *logfile_open(const char *path,
			     struct err *err) MUST_CHECK; /* appends; NULL: failed */
void logfile_close(struct logfile *log);
void logfile_write(struct logfile *log, struct slice bytes);
/* Appends the last N_LINES lines of both parts to OUT, as many as fit; nothing when there is none.
 */
void logfile_tail(const char *path, size_t n_lines, struct buf *out);
/*
 * Blocking, for the CLI: prints the last N_LINES lines to OUT_FD and, unless UNTIL_FD is -1, what comes
 * after: until UNTIL_FD is readable, the log is removed, or nobody reads OUT_FD any more. A log that is
 * not there yet is waited for.
 */
bool logfile_follow(const char *path, size_t n_lines, int until_fd, int out_fd,
		    struct err *err) MUST_CHECK;
