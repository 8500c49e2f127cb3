#include "sandbox/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "sandbox/files.h"

/* The mount namespace last: after that the other files would be looked for in there. */
static const char *const names[ENTER_N] = {"pid", "net", "uts", "ipc", "mnt"};

static bool load(struct enter *e, const char *dir, const char *id, struct err *err)
{
	char path[NODE_PATH_LEN];
	if (!id_ok(id))
		return err_set(err, ERR_NOT_FOUND, "no container called %s", id);
	if (!path_make(path, err, "%s/containers/%s/state", dir, id))
		return false;
	if (access(path, R_OK) < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "container %s is not running", id);
	return run_as_load(&e->as, path, err);
}

bool enter_open(struct enter *e, const char *proc, const char *dir, const char *id, struct err *err)
{
	*e = (struct enter){.ns = {-1, -1, -1, -1, -1}};
	if (!load(e, dir, id, err))
		goto fail;
	for (size_t i = 0; i < ENTER_N; i++) {
		char path[NODE_PATH_LEN];
		if (!path_make(path, err, "%s/%d/ns/%s", proc, (int)e->as.pid, names[i]))
			goto fail;
		e->ns[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (e->ns[i] >= 0)
			continue;
		if (errno == ENOENT)
			(void)err_set(err, ERR_NOT_FOUND, "container %s is not running",
				      id); /* told by the caller */
		else
			(void)err_sys(err, "%s", path); /* as above */
		goto fail;
	}
	return true;
fail:
	enter_close(e);
	return false;
}

void enter_close(struct enter *e)
{
	for (size_t i = 0; i < ENTER_N; i++)
		if (e->ns[i] >= 0)
			(void)close(e->ns[i]); /* a namespace handle */
	run_as_fini(&e->as);
}

bool enter_pids(const struct enter *e, struct err *err)
{
	return setns(e->ns[ENTER_PID], CLONE_NEWPID) == 0 ||
	       err_sys(err, "entering the container's PID namespace");
}

bool enter_rest(const struct enter *e, struct err *err)
{
	for (size_t i = ENTER_NET; i < ENTER_N; i++)
		if (setns(e->ns[i], 0) < 0)
			return err_sys(err, "entering the container's %s namespace", names[i]);
	return true;
}
