#include "observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	FLUSH_AT = 64 * 1024,
	HELD_MAX = 256 * 1024, /* while nobody reads */
	LINE_MAX_BYTES = 16 * 1024,
};

struct access_log {
	int fd;
	enum { TO_FILE, TO_PIPE, TO_SOCKET } to;
	struct buf held; /* whole lines */
	struct buf line; /* the one being written */
	uint64_t dropped;
	bool failing; /* the last write failed: said once */
};

struct access_log *access_log_on_fd(int fd)
{
	struct access_log *log = mem_new(sizeof(*log));
	log->fd = fd;
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		log->to = TO_FILE;
	else if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
		log->to = TO_SOCKET;
	else
		log->to = TO_PIPE; /* pipes, terminals, /dev/null */
	buf_init(&log->held, HELD_MAX);
	buf_init(&log->line, LINE_MAX_BYTES);
	return log;
}

struct access_log *access_log_open(const char *path, struct err *err)
{
	/* Opening /dev/stdout anew fails where it is a socket, and where another user owns it. */
	int fd = -1;
	if (path[0] == '\0')
		return NULL;
	if (strcmp(path, "/dev/stdout") == 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else if (strcmp(path, "/dev/stderr") == 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0) {
		(void)err_sys(err, "access log %s", path);
		return NULL;
	}
	return access_log_on_fd(fd);
}

void access_log_close(struct access_log *log)
{
	if (!log)
		return;
	(void)access_log_flush(log); /* what is still held then is lost with the process anyway */
	(void)close(log->fd);
	buf_fini(&log->held);
	buf_fini(&log->line);
	free(log);
}

/* How much of what is held may leave in one write: on a pipe, whole lines that fit PIPE_BUF, so
 * that the kernel neither blocks nor mixes them with another worker's. */
static size_t chunk(const struct access_log *log)
{
	struct slice held = buf_slice(&log->held);
	if (log->to != TO_PIPE || held.len <= PIPE_BUF)
		return held.len;
	size_t n = 0;
	for (;;) {
		size_t line = slice_find(slice_sub(held, n, held.len), '\n') + 1;
		if (n && n + line > PIPE_BUF)
			return n;
		n += line;
		if (n >= held.len)
			return held.len;
	}
}

static ssize_t write_some(const struct access_log *log, size_t n)
{
	struct slice held = slice_sub(buf_slice(&log->held), 0, n);
	if (log->to == TO_SOCKET)
		return send(log->fd, held.at, held.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
	if (log->to == TO_PIPE && poll(&ready, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(log->fd, held.at, held.len);
}

static void give_up(struct access_log *log)
{
	int why = errno;
	struct slice held = buf_slice(&log->held);
	for (size_t i = 0; i < held.len; i++)
		log->dropped += held.at[i] == '\n';
	buf_clear(&log->held);
	if (!log->failing)
		log_warn("observe", "access log cannot be written error=\"%s\"", strerror(why));
	log->failing = true;
}

bool access_log_flush(struct access_log *log)
{
	while (buf_len(&log->held)) {
		ssize_t n = write_some(log, chunk(log));
		if (n >= 0) {
			buf_consume(&log->held, (size_t)n);
			log->failing = false;
		} else if (errno == EAGAIN) {
			return false;
		} else if (errno != EINTR) {
			give_up(log);
		}
	}
	if (log->held.size > FLUSH_AT)
		buf_fini(&log->held); /* a burst's memory is not kept */
	return true;
}

void access_log_line(struct access_log *log, const struct conn_record *r)
{
	struct json_out out;
	buf_clear(&log->line);
	json_out_init(&out, &log->line);
	record_json(r, true, clock_ns(), &out);
	(void)buf_putc(&log->line, '\n'); /* a refusal shows in .full */
	if (log->line.full || !buf_append(&log->held, buf_slice(&log->line))) {
		log->dropped++;
		return;
	}
	if (buf_len(&log->held) >= FLUSH_AT)
		(void)access_log_flush(log); /* what stays is tried again at the turn's end */
}

uint64_t access_log_take_dropped(struct access_log *log)
{
	uint64_t n = log->dropped;
	log->dropped = 0;
	return n;
}
