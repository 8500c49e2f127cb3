#include "sandbox/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/files.h"

enum { PART_MAX = LOGFILE_MAX / 2, CHUNK = 64 * 1024 };

struct logfile {
	int fd;
	size_t len; /* of the current part */
	char path[NODE_PATH_LEN], old[NODE_PATH_LEN];
};

struct logfile *logfile_open(const char *path, struct err *err)
{
	struct logfile *log = mem_new(sizeof(*log));
	struct stat st;
	if (!path_make(log->path, err, "%s", path) || !path_make(log->old, err, "%s.1", path))
		goto fail;
	log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (log->fd < 0 || fstat(log->fd, &st) < 0) {
		(void)err_sys(err, "%s", path); /* NULL says so too */
		if (log->fd >= 0)
			(void)close(log->fd); /* nothing was written */
		goto fail;
	}
	log->len = (size_t)st.st_size;
	return log;
fail:
	free(log);
	return NULL;
}

void logfile_close(struct logfile *log)
{
	if (!log)
		return;
	(void)close(log->fd); /* a log on tmpfs: what was written is there */
	free(log);
}

/* On failure the old part goes on: growing a little is better than losing lines. */
static void rotate(struct logfile *log)
{
	if (rename(log->path, log->old) < 0)
		return;
	int fd = open(log->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return;
	(void)close(log->fd); /* as above */
	log->fd = fd;
	log->len = 0;
}

void logfile_write(struct logfile *log, struct slice bytes)
{
	if (log->len + bytes.len > PART_MAX)
		rotate(log);
	while (bytes.len) {
		ssize_t n = write(log->fd, bytes.at, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* no space: dropped, see the header */
		log->len += (size_t)n;
		bytes = slice_sub(bytes, (size_t)n, bytes.len);
	}
}

/* Where the last N_LINES lines of FD begin, and how many there are, at most N_LINES. */
static off_t find_tail(int fd, off_t end, size_t n_lines, size_t *found)
{
	char bytes[4096];
	*found = 0;
	for (off_t at = end; at > 0;) {
		size_t len = at < (off_t)sizeof(bytes) ? (size_t)at : sizeof(bytes);
		at -= (off_t)len;
		if (pread(fd, bytes, len, at) != (ssize_t)len)
			return end;
		for (size_t i = len; i > 0; i--) {
			if (bytes[i - 1] != '\n' || at + (off_t)i == end)
				continue; /* the last line's own end starts no line */
			if (++*found == n_lines)
				return at + (off_t)i;
		}
	}
	*found += end > 0;
	return 0;
}

struct part {
	int fd;
	off_t from;
};

/* The older part (FD -1: not needed) and the current one, each from where the lines begin. */
static void open_tail(const char *path, size_t n_lines, struct part parts[2])
{
	char old[NODE_PATH_LEN];
	struct stat st;
	size_t found = 0;
	parts[0] = parts[1] = (struct part){-1, 0};
	parts[1].fd = open(path, O_RDONLY | O_CLOEXEC);
	if (parts[1].fd >= 0 && fstat(parts[1].fd, &st) == 0)
		parts[1].from =
			n_lines ? find_tail(parts[1].fd, st.st_size, n_lines, &found) : st.st_size;
	if (found >= n_lines || !path_make(old, NULL, "%s.1", path))
		return;
	parts[0].fd = open(old, O_RDONLY | O_CLOEXEC);
	if (parts[0].fd >= 0 && fstat(parts[0].fd, &st) == 0)
		parts[0].from = find_tail(parts[0].fd, st.st_size, n_lines - found, &found);
}

void logfile_tail(const char *path, size_t n_lines, struct buf *out)
{
	struct part parts[2];
	open_tail(path, n_lines, parts);
	for (size_t i = 0; i < 2; i++) {
		char bytes[4096];
		ssize_t n;
		while (parts[i].fd >= 0 &&
		       (n = pread(parts[i].fd, bytes, sizeof(bytes), parts[i].from)) > 0) {
			if (!buf_append(out, (struct slice){bytes, (size_t)n}))
				break; /* as many as fit */
			parts[i].from += n;
		}
		if (parts[i].fd >= 0)
			(void)close(parts[i].fd); /* only read */
	}
}

/* Everything from P->FROM on; false when OUT_FD takes no more. */
static bool copy_out(struct part *p, int out_fd, struct err *err)
{
	char bytes[CHUNK];
	ssize_t n;
	while ((n = pread(p->fd, bytes, sizeof(bytes), p->from)) > 0) {
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(out_fd, bytes + done, (size_t)(n - done));
			if (w < 0 && errno != EINTR)
				return err_sys(err, "output");
			done += w > 0 ? w : 0;
		}
		p->from += n;
	}
	return true;
}

/* Whether PATH is another file than FD by now: the log was rotated. */
static bool is_other(const char *path, int fd)
{
	struct stat now, then;
	return stat(path, &now) == 0 && fstat(fd, &then) == 0 && now.st_ino != then.st_ino;
}

/* A while, or until nobody reads OUT_FD any more or the writers of UNTIL_FD ended; whether they did. */
static bool rest_is_over(int out_fd, int until_fd)
{
	enum { NAP_MS = 50 };
	struct pollfd ends[] = {{.fd = out_fd}, {.fd = until_fd, .events = POLLIN}};
	return poll(ends, N_ELEMS(ends), NAP_MS) > 0 && (ends[0].revents || ends[1].revents);
}

/* FD is what PATH was; now it may be another file, or for good none. */
static bool reopen(const char *path, struct part *p, int out_fd, struct err *err)
{
	bool ok = true;
	if (p->fd >= 0) {
		ok = copy_out(p, out_fd, err); /* written between the two */
		(void)close(p->fd);            /* only read */
	}
	*p = (struct part){open(path, O_RDONLY | O_CLOEXEC), 0};
	return ok;
}

bool logfile_follow(const char *path, size_t n_lines, int until_fd, int out_fd, struct err *err)
{
	enum { GONE_LOOKS = 3 }; /* rotating takes less */
	struct part parts[2];
	unsigned missing = 0;
	bool follow = until_fd >= 0, over = !follow;
	open_tail(path, n_lines, parts);
	if (parts[1].fd < 0 && !follow)
		return err_sys(err, "%s", path);
	bool seen = parts[1].fd >= 0;
	bool ok = parts[0].fd < 0 || copy_out(&parts[0], out_fd, err);
	for (;;) {
		if (ok && parts[1].fd >= 0)
			ok = copy_out(&parts[1], out_fd, err);
		if (!ok || over)
			break;
		over = rest_is_over(out_fd, until_fd);
		if (parts[1].fd < 0 || is_other(path, parts[1].fd))
			ok = reopen(path, &parts[1], out_fd, err);
		seen = seen || parts[1].fd >= 0;
		missing = access(path, F_OK) < 0 ? missing + 1 : 0;
		over = over || (seen && missing == GONE_LOOKS);
	}
	for (size_t i = 0; i < 2; i++)
		if (parts[i].fd >= 0)
			(void)close(parts[i].fd); /* only read */
	return ok;
}
