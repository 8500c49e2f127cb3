#include "sandbox/volume.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sandbox/files.h"
#include "sandbox/job.h"

static bool volume_path(const struct node *node, const char *pod, const char *name,
			char path[NODE_PATH_LEN], struct err *err)
{
	if (!id_ok(pod) || !id_ok(name))
		return err_set(err, ERR_BAD_INPUT, "volume %s of %s: not a name", name, pod);
	return path_make(path, err, "%s/pods/%s/volumes/%s", node->dir, pod, name);
}

bool volume_empty_dir(struct node *node, const char *pod, const char *name,
		      char path[NODE_PATH_LEN], struct err *err)
{
	if (!volume_path(node, pod, name, path, err) || !folders_make(path, 0755, err))
		return false;
	if (chmod(path, 0777) < 0)
		return err_sys(err, "%s", path);
	return true;
}

/* "a/b" is fine; what leads out of the volume, or into our own links, is not. */
static bool file_path_ok(const char *path)
{
	struct slice rest = slice_of(path);
	if (!rest.len || rest.at[0] == '/' || slice_starts(rest, SLICE("..")))
		return false;
	while (rest.len) {
		struct slice part = slice_cut(&rest, '/');
		if (!part.len || slice_is(part, ".") || slice_is(part, ".."))
			return false;
	}
	return true;
}

static bool write_files(const char *dir, const struct volume_file *files, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		char path[NODE_PATH_LEN];
		if (!file_path_ok(files[i].path))
			return err_set(err, ERR_BAD_INPUT,
				       "path %s: expected a relative path without ..",
				       files[i].path);
		if (!path_make(path, err, "%s/%s", dir, files[i].path) ||
		    !folders_above(path, 0755, err) ||
		    !file_write(path, files[i].data, files[i].mode ? files[i].mode : 0644, err))
			return false;
		if (files[i].owner && chown(path, files[i].owner, files[i].owner) < 0)
			return err_sys(err, "%s", path);
	}
	return true;
}

/* Replaces whatever link is at PATH in one step. */
static bool link_swap(const char *path, const char *to, struct err *err)
{
	char next[NODE_PATH_LEN];
	if (!path_make(next, err, "%s.next", path))
		return false;
	if (unlink(next) < 0 && errno != ENOENT)
		return err_sys(err, "%s", next);
	if (symlink(to, next) < 0 || rename(next, path) < 0)
		return err_sys(err, "%s", path);
	return true;
}

static bool is_top(const struct volume_file *files, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		struct slice rest = slice_of(files[i].path);
		if (slice_is(slice_cut(&rest, '/'), name))
			return true;
	}
	return false;
}

/* Removes folders of older sets, and links to files that there are no more. */
static bool remove_stale(const char *volume, const char *set, const struct volume_file *files,
			 size_t n, struct err *err)
{
	DIR *dir = opendir(volume);
	bool ok = true;
	if (!dir)
		return err_sys(err, "%s", volume);
	for (struct dirent *e; ok && (e = readdir(dir));) {
		char path[NODE_PATH_LEN];
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, "..data") == 0 || strcmp(e->d_name, set) == 0 ||
		    is_top(files, n, e->d_name))
			continue;
		ok = path_make(path, err, "%s/%s", volume, e->d_name) && tree_remove(path, err);
	}
	(void)closedir(dir); /* only read */
	return ok;
}

bool volume_config(struct node *node, const char *pod, const char *name,
		   const struct volume_file *files, size_t n, char path[NODE_PATH_LEN],
		   struct err *err)
{
	char set[40], dir[NODE_PATH_LEN], link[NODE_PATH_LEN];
	MUST(snprintf(set, sizeof(set), "..%llx", (unsigned long long)clock_ns()) <
	     (int)sizeof(set));
	if (!volume_path(node, pod, name, path, err) || !path_make(dir, err, "%s/%s", path, set) ||
	    !folders_make(dir, 0755, err))
		return false;
	if (!write_files(dir, files, n, err) || !path_make(link, err, "%s/..data", path) ||
	    !link_swap(link, set, err)) {
		struct err more;
		if (!tree_remove(dir, &more))
			log_warn("sandbox", "volume %s of %s: %s", name, pod, more.text);
		return err_wrap(err, "volume %s", name);
	}
	for (size_t i = 0; i < n; i++) {
		char to[NODE_PATH_LEN];
		struct slice rest = slice_of(files[i].path), top = slice_cut(&rest, '/');
		if (!path_make(link, err, "%s/%.*s", path, SLICE_FMT(top)) ||
		    !path_make(to, err, "..data/%.*s", SLICE_FMT(top)))
			return false;
		if (symlink(to, link) < 0 && errno != EEXIST)
			return err_sys(err, "%s", link);
	}
	return remove_stale(path, set, files, n, err);
}

static bool remove_job(void *arg, struct err *err)
{
	return tree_remove(arg, err);
}

static void on_removed(void *ctx, const struct err *err)
{
	(void)ctx; /* nobody waits */
	if (err)
		log_warn("sandbox", "volumes stay until the mesh ends: %s", err->text);
}

void volume_remove_pod(struct node *node, const char *pod)
{
	char path[NODE_PATH_LEN], gone[NODE_PATH_LEN];
	struct err err = {0};
	/* Out of the way at once, since the next Pod of that name may come at once; a database's
	 * files take longer than the loop should stand still. */
	bool ok = id_ok(pod) && path_make(path, &err, "%s/pods/%s", node->dir, pod) &&
		  path_make(gone, &err, "%s/pods/.gone-%u", node->dir, ++node->next_link);
	if (ok && rename(path, gone) < 0) {
		if (errno == ENOENT)
			return; /* it had none */
		ok = err_sys(&err, "%s", path);
	}
	if (!ok || !job_start(node->loop, remove_job, gone, on_removed, NULL, &err))
		log_warn("sandbox", "volumes of %s stay until the mesh ends: %s", pod, err.text);
}
