#include "local/ca_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/read_file.h"
#include "sandbox/files.h"

enum { KEY_FILE_MAX = 32 * 1024 };

struct row {
	const char *name;
	size_t at; /* of the buffer in struct ca_dir */
	mode_t mode;
};
static const struct row rows[] = {
	{"ca-cert.pem", offsetof(struct ca_dir, cert), 0644},
	{"ca-key.pem", offsetof(struct ca_dir, key), 0600},
	{"root-cert.pem", offsetof(struct ca_dir, roots), 0644},
	{"cert-chain.pem", offsetof(struct ca_dir, chain), 0644},
	{"token-key.pem", offsetof(struct ca_dir, token_key), 0600},
};

static struct buf *buf_of(const struct ca_dir *d, const struct row *row)
{
	return (struct buf *)(void *)((char *)d + row->at);
}

void ca_dir_init(struct ca_dir *d)
{
	d->found = false;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct buf *b = buf_of(d, &rows[i]);
		bool secret = rows[i].mode == 0600;
		buf_init(b, secret ? KEY_FILE_MAX : CA_DIR_FILE_MAX);
		if (secret)
			(void)buf_reserve(b, KEY_FILE_MAX, NULL); /* so that it can be wiped */
	}
}

void ca_dir_fini(struct ca_dir *d)
{
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		buf_wipe(buf_of(d, &rows[i]));
}

static bool missing(const struct ca_dir *d, const char *path, struct err *err)
{
	if (!buf_len(&d->cert))
		return err_set(err, ERR_BAD_INPUT, "%s: ca-key.pem without ca-cert.pem", path);
	if (!buf_len(&d->key))
		return err_set(err, ERR_BAD_INPUT, "%s: ca-cert.pem without ca-key.pem", path);
	return true;
}

bool ca_dir_read(const char *path, struct ca_dir *d, struct err *err)
{
	ca_dir_init(d);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		char file[PATH_MAX];
		struct err why = {0};
		if (snprintf(file, sizeof(file), "%s/%s", path, rows[i].name) >= (int)sizeof(file))
			return err_set(err, ERR_LIMIT, "%s: the path is too long", path);
		if (read_file(file, buf_of(d, &rows[i]), &why))
			continue;
		if (why.kind != ERR_SYS || why.sys != ENOENT)
			return err_set(err, why.kind, "%s", why.text);
	}
	d->found = buf_len(&d->cert) || buf_len(&d->key);
	return !d->found || missing(d, path, err);
}

/* A reader sees the old file or the whole new one. */
static bool write_row(const char *dir, const struct ca_dir *d, const struct row *row,
		      struct err *err)
{
	char file[PATH_MAX], next[PATH_MAX];
	if (snprintf(file, sizeof(file), "%s/%s", dir, row->name) >= (int)sizeof(file) ||
	    snprintf(next, sizeof(next), "%s/.%s.new", dir, row->name) >= (int)sizeof(next))
		return err_set(err, ERR_LIMIT, "%s: the path is too long", dir);
	if (!file_write(next, buf_slice(buf_of(d, row)), row->mode, err))
		return false;
	return rename(next, file) == 0 || err_sys(err, "%s", file);
}

static bool is_ours(const char *name)
{
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return true;
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* What else somebody keeps in OLD is in NEXT too. */
static bool carry_over(const char *old, const char *next, struct err *err)
{
	DIR *dir = opendir(old);
	bool ok = true;
	if (!dir)
		return errno == ENOENT || err_sys(err, "%s", old);
	int to = open(next, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		ok = err_sys(err, "%s", next);
	for (struct dirent *e; ok && (e = readdir(dir));)
		if (!is_ours(e->d_name) && linkat(dirfd(dir), e->d_name, to, e->d_name, 0) < 0)
			ok = err_sys(err, "%s/%s cannot be carried over", old, e->d_name);
	if (to >= 0)
		(void)close(to); /* a folder */
	(void)closedir(dir);     /* only read */
	return ok;
}

static bool sync_dir(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && syncfs(fd) == 0;
	if (!ok)
		err_sys(err, "%s", path);
	if (fd >= 0)
		(void)close(fd); /* a folder */
	return ok;
}

/* NEXT stands complete beside PATH: it takes its place. */
static bool swap(const char *next, const char *path, struct err *err)
{
	struct err why;
	if (renameat2(AT_FDCWD, next, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
		if (!tree_remove(next, &why)) /* the old one, of which nothing depends any more */
			log_warn("ca", "the old authority stays behind folder=%s error=\"%s\"",
				 next, why.text);
		return true;
	}
	if (errno != ENOENT)
		return err_sys(err, "putting a new %s in place", path);
	if (rename(next, path) < 0)
		return err_sys(err, "putting a new %s in place", path);
	return true;
}

static bool fill(const char *next, const char *path, const struct ca_dir *d, struct err *err)
{
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		if (buf_len(buf_of(d, &rows[i])) && !write_row(next, d, &rows[i], err))
			return false;
	return carry_over(path, next, err) && sync_dir(next, err) && swap(next, path, err);
}

bool ca_dir_write(const char *path, const struct ca_dir *d, struct err *err)
{
	char real[PATH_MAX], next[PATH_MAX + 8];
	if (!realpath(path, real)) { /* it is not there */
		if (errno != ENOENT)
			return err_sys(err, "%s", path);
		if (snprintf(real, sizeof(real), "%s", path) >= (int)sizeof(real))
			return err_set(err, ERR_LIMIT, "%s: the path is too long", path);
	}
	snprintf(next, sizeof(next), "%s.new", real);
	if (!folders_above(next, 0755, err) || !tree_remove(next, err))
		return false;
	if (mkdir(next, 0700) < 0)
		return err_sys(err, "making folder %s", next);
	if (fill(next, real, d, err))
		return true;
	struct err why;
	if (!tree_remove(next, &why)) /* the first error is the one to tell */
		err_wrap(err, "%s stays behind", next);
	return false;
}

bool ca_dir_write_token_key(const char *path, const struct ca_dir *d, struct err *err)
{
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		if (buf_of(d, &rows[i]) == &d->token_key)
			return write_row(path, d, &rows[i], err);
	return true;
}
