/*
 * The access log: one JSON line per connection, at its end.
 *
 *   struct access_log *log = access_log_open(mesh->access_log_file, &err);   // per worker
 *   observe_closed(wm, &conn->record, log);                                  // adds a line
 *   access_log_flush(log);                                                   // once per loop turn
 *   access_log_close(log);
 *
 * Lines are collected and leave with one write(2) per turn of the loop, or when 64 KiB are there. A
 * write never waits: where nobody reads the pipe, lines stay in the buffer, and past its bound new
 * ones are dropped and counted. Lines of several workers do not mix: each has its own struct
 * access_log on the same file (append mode; on a pipe no write is larger than PIPE_BUF).
 */
#pragma once
#include "observe/record.h"

struct access_log;

/* "/dev/stdout" and "/dev/stderr" are the process's own; anything else is opened for appending,
 * mode 0640. "" is no log: NULL with no error (ERR->kind ERR_NONE). */
struct access_log *access_log_open(const char *path, struct err *err) MUST_CHECK;
struct access_log *access_log_on_fd(int fd);   /* owns FD from here on */
void access_log_close(struct access_log *log); /* flushes what can be written now; NULL is fine */
void access_log_line(struct access_log *log, const struct conn_record *r);
/* False: some lines are still waiting for their reader; call again in a later turn. */
bool access_log_flush(struct access_log *log);
/* Lines dropped since the last call. */
uint64_t access_log_take_dropped(struct access_log *log);
