#include "sandbox/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool path_make(char out[NODE_PATH_LEN], struct err *err, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(out, NODE_PATH_LEN, fmt, args);
	va_end(args);
	if (n < 0 || n >= NODE_PATH_LEN)
		return err_set(err, ERR_LIMIT, "a path of more than %d characters: %s...",
			       NODE_PATH_LEN, out);
	return true;
}

bool folders_above(const char *path, mode_t mode, struct err *err)
{
	char above[PATH_MAX];
	size_t len = strlen(path);
	if (len >= sizeof(above))
		return err_set(err, ERR_LIMIT, "a path of more than %zu characters", sizeof(above));
	memcpy(above, path, len + 1);
	for (size_t i = 1; i < len; i++) {
		if (above[i] != '/')
			continue;
		above[i] = '\0';
		if (mkdir(above, mode) < 0 && errno != EEXIST)
			return err_sys(err, "making folder %s", above);
		above[i] = '/';
	}
	return true;
}

bool folders_make(const char *path, mode_t mode, struct err *err)
{
	struct stat st;
	if (!folders_above(path, mode, err))
		return false;
	if (mkdir(path, mode) == 0)
		return true;
	if (errno != EEXIST)
		return err_sys(err, "making folder %s", path);
	if (stat(path, &st) < 0)
		return err_sys(err, "%s", path);
	return S_ISDIR(st.st_mode) || err_set(err, ERR_CONFLICT, "%s is not a folder", path);
}

static bool write_all(int fd, const char *path, struct slice bytes, struct err *err)
{
	for (size_t done = 0; done < bytes.len;) {
		ssize_t n = write(fd, bytes.at + done, bytes.len - done);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "writing %s", path);
		if (n > 0)
			done += (size_t)n;
	}
	return true;
}

bool file_write(const char *path, struct slice bytes, mode_t mode, struct err *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "replacing %s", path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return err_sys(err, "making %s", path);
	bool ok = write_all(fd, path, bytes, err);
	if (ok && fchmod(fd, mode) < 0)
		ok = err_sys(err, "mode of %s", path);
	if (close(fd) < 0 && ok)
		ok = err_sys(err, "writing %s", path);
	return ok;
}

bool file_set(const char *path, const char *value, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", path);
	bool ok = write_all(fd, path, slice_of(value), err);
	(void)close(fd); /* a setting took effect with the write */
	return ok;
}

static _Thread_local struct err *tree_err; /* nftw(3) passes no context */
static _Thread_local bool tree_failed;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)at; /* the kind says enough */
	int failed = kind == FTW_DP || kind == FTW_DNR ? rmdir(path) : unlink(path);
	if (failed && errno != ENOENT && !tree_failed) {
		tree_failed = true;
		(void)err_sys(tree_err, "removing %s", path); /* told at the end */
	}
	return 0;
}

bool tree_remove(const char *path, struct err *err)
{
	tree_err = err;
	tree_failed = false;
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return err_sys(err, "removing %s", path);
	return !tree_failed;
}

bool id_ok(const char *id)
{
	size_t n = 0;
	for (; id[n]; n++) {
		char c = id[n];
		bool word =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!word && c != '-' && c != '_' && c != '.')
			return false;
	}
	return n > 0 && n <= 200 && id[0] != '.';
}
