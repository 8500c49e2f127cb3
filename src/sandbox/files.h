/*
 * Small files and folders, with errors that name the path.
 *
 *   char path[NODE_PATH_LEN];
 *   if (!path_make(path, &err, "%s/logs/%s.log", dir, id)) ...
 *   if (!folders_make(path, 0755, &err)) ...
 *   if (!file_write(path, text, 0644, &err)) ...
 *
 * Blocking; the paths are the mesh's own, short, and on tmpfs.
 */
#pragma once
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "sandbox/node.h"

/* ERR_LIMIT when it does not fit. */
bool path_make(char out[NODE_PATH_LEN], struct err *err, const char *fmt, ...) MUST_CHECK
	PRINTF_LIKE(3, 4);
/* PATH and what is missing above it; what is there stays as it is. */
bool folders_make(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* The folders above PATH. */
bool folders_above(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* Replaces what is at PATH, a link included; MODE whatever the umask is. */
bool file_write(const char *path, struct slice bytes, mode_t mode, struct err *err) MUST_CHECK;
/* Writes to a file that is there, as those in /proc/sys are. */
bool file_set(const char *path, const char *value, struct err *err) MUST_CHECK;
/* PATH and everything below, crossing no mount; missing is fine. Goes on after an error, tells the
 * first. */
bool tree_remove(const char *path, struct err *err) MUST_CHECK;
/* Kubernetes names and ids made of them: letters, digits, '.', '-', '_', at most 200, no leading
 * '.'. */
bool id_ok(const char *id);
