#include "sandbox/run_as.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/read_file.h"
#include "sandbox/files.h"

enum { STATE_MAX = 4 * 1024 * 1024 };
static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* The files, and not the name services: those may ask the network, and cache. */
static bool find_user(uid_t uid, char name[64], gid_t *gid, char home[256])
{
	FILE *f = fopen("/etc/passwd", "re");
	bool found = false;
	for (struct passwd *pw; f && !found && (pw = fgetpwent(f));) {
		found = pw->pw_uid == uid;
		if (!found)
			continue;
		(void)snprintf(name, 64, "%s", pw->pw_name); /* cut short: then no groups */
		(void)snprintf(home, 256, "%s", pw->pw_dir); /* cut short is fine */
		*gid = pw->pw_gid;
	}
	if (f)
		(void)fclose(f); /* only read */
	return found;
}

static void find_groups(struct run_as *as, const char *user)
{
	FILE *f = fopen("/etc/group", "re");
	for (struct group *gr; f && (gr = fgetgrent(f));)
		for (char **member = gr->gr_mem; *member; member++)
			if (strcmp(*member, user) == 0 && as->n_groups < RUN_AS_GROUPS)
				as->groups[as->n_groups++] = gr->gr_gid;
	if (f)
		(void)fclose(f); /* only read */
}

static bool has_env(const struct run_as *as, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < as->n_env; i++)
		if (strncmp(as->env[i], name, len) == 0 && as->env[i][len] == '=')
			return true;
	return false;
}

/* A later one of the same name replaces the earlier. */
static void put_env(struct run_as *as, const char *name, const char *value)
{
	char *line = mem_new(strlen(name) + strlen(value) + 2);
	(void)stpcpy(stpcpy(stpcpy(line, name), "="), value); /* made to fit */
	size_t len = strlen(name) + 1;
	for (size_t i = 0; i < as->n_env; i++)
		if (strncmp(as->env[i], line, len) == 0) {
			free(as->env[i]);
			as->env[i] = line;
			return;
		}
	as->env = mem_grow(as->env, as->n_env + 2, sizeof(*as->env));
	as->env[as->n_env++] = line;
	as->env[as->n_env] = NULL;
}

char *container_expand(const char *text, const struct container_env *env, size_t n_env)
{
	struct buf out;
	buf_init(&out, SIZE_MAX);
	for (const char *at = text; *at; at++) {
		if (at[0] != '$') {
			(void)buf_putc(&out, *at); /* no bound but memory */
			continue;
		}
		if (at[1] == '$') {
			(void)buf_putc(&out, '$'); /* as above */
			at++;
			continue;
		}
		const char *end = at[1] == '(' ? strchr(at, ')') : NULL;
		const char *value = NULL;
		struct slice name = {at + 2, end ? (size_t)(end - at) - 2 : 0};
		for (size_t i = n_env; end && i > 0 && !value; i--)
			if (slice_is(name, env[i - 1].name))
				value = env[i - 1].value;
		if (value) {
			(void)buf_puts(&out, value); /* as above */
			at = end;
		} else {
			(void)buf_putc(&out, '$'); /* as above */
		}
	}
	char *expanded = mem_strdup(buf_cstr(&out));
	buf_fini(&out);
	return expanded;
}

static void settle_env(struct run_as *as, const struct container_spec *spec, const char *home)
{
	struct container_env *known = mem_array(spec->n_env + 1, sizeof(*known));
	put_env(as, "PATH", default_path);
	put_env(as, "HOSTNAME", spec->pod->hostname);
	for (size_t i = 0; i < spec->n_env; i++) {
		char *value =
			container_expand(spec->env[i].value ? spec->env[i].value : "", known, i);
		known[i] = (struct container_env){spec->env[i].name, value};
		put_env(as, spec->env[i].name, value);
	}
	if (!has_env(as, "HOME"))
		put_env(as, "HOME", home);
	for (size_t i = 0; i < spec->n_env; i++)
		free((char *)known[i].value);
	free(known);
}

bool run_as_of_spec(struct run_as *as, const struct container_spec *spec, struct err *err)
{
	char name[64] = "", home[256] = "/";
	gid_t group = 0;
	*as = (struct run_as){
		.user = spec->has_user ? spec->user : 0,
		.caps = spec->caps,
		.no_new_privs = spec->no_new_privs,
		.raise_nofile = spec->raise_nofile,
		.cwd = mem_strdup(spec->cwd ? spec->cwd : "/"),
	};
	if (find_user(as->user, name, &group, home) && !spec->has_group)
		find_groups(as, name);
	as->group = spec->has_group ? spec->group : group;
	for (size_t i = 0; i < spec->n_env; i++)
		if (!*spec->env[i].name || strchr(spec->env[i].name, '='))
			return err_set(err, ERR_BAD_INPUT, "\"%s\" cannot name a variable",
				       spec->env[i].name);
	settle_env(as, spec, home);
	return true;
}

void run_as_fini(struct run_as *as)
{
	for (size_t i = 0; i < as->n_env; i++)
		free(as->env[i]);
	free(as->env);
	free(as->cwd);
	*as = (struct run_as){0};
}

/* Numbers on one line, then the folder, then the environment, each ended by a zero byte: both may hold
 * line ends. */
bool run_as_save(const struct run_as *as, const char *path, struct err *err)
{
	struct buf out;
	buf_init(&out, STATE_MAX);
	(void)buf_printf(&out, "%d %u %u %llu %d %d %zu", (int)as->pid, as->user, as->group,
			 (unsigned long long)as->caps, as->no_new_privs, as->raise_nofile,
			 as->n_groups); /* full: seen last */
	for (size_t i = 0; i < as->n_groups; i++)
		(void)buf_printf(&out, " %u", as->groups[i]);                 /* as above */
	(void)buf_putc(&out, '\0');                                           /* as above */
	(void)buf_append(&out, (struct slice){as->cwd, strlen(as->cwd) + 1}); /* as above */
	for (size_t i = 0; i < as->n_env; i++)
		(void)buf_append(&out,
				 (struct slice){as->env[i], strlen(as->env[i]) + 1}); /* as above */
	bool ok = !out.full ||
		  err_set(err, ERR_LIMIT, "more than %d bytes of environment", STATE_MAX);
	/* Whoever reads it finds the old one or the new one, never half of one. */
	char next[NODE_PATH_LEN];
	ok = ok && path_make(next, err, "%s.new", path) &&
	     file_write(next, buf_slice(&out), 0600, err);
	if (ok && rename(next, path) < 0)
		ok = err_sys(err, "%s", path);
	buf_fini(&out);
	return ok;
}

static bool next_number(struct slice *rest, uint64_t max, uint64_t *out)
{
	return slice_to_u64(slice_cut(rest, ' '), max, out);
}

static bool parse_numbers(struct run_as *as, struct slice line)
{
	uint64_t pid = 0, user = 0, group = 0, nnp = 0, nofile = 0, n_groups = 0, gid = 0;
	if (!next_number(&line, INT_MAX, &pid) || !next_number(&line, UINT32_MAX, &user) ||
	    !next_number(&line, UINT32_MAX, &group) || !next_number(&line, UINT64_MAX, &as->caps) ||
	    !next_number(&line, 1, &nnp) || !next_number(&line, 1, &nofile) ||
	    !next_number(&line, RUN_AS_GROUPS, &n_groups) || pid == 0)
		return false;
	as->pid = (pid_t)pid;
	as->user = (uid_t)user;
	as->group = (gid_t)group;
	as->no_new_privs = nnp != 0;
	as->raise_nofile = nofile != 0;
	for (; as->n_groups < n_groups; as->n_groups++) {
		if (!next_number(&line, UINT32_MAX, &gid))
			return false;
		as->groups[as->n_groups] = (gid_t)gid;
	}
	return true;
}

bool run_as_load(struct run_as *as, const char *path, struct err *err)
{
	struct buf in;
	buf_init(&in, STATE_MAX + 1);
	*as = (struct run_as){0};
	bool ok = read_file(path, &in, err);
	if (ok && !buf_cstr(&in))
		ok = err_set(err, ERR_LIMIT, "%s: too large", path);
	struct slice rest = buf_slice(&in);
	if (ok && !parse_numbers(as, slice_cut(&rest, '\0')))
		ok = err_set(err, ERR_NOT_NOW, "%s: the container is being made", path);
	if (ok) {
		as->cwd = mem_strdup(slice_cut(&rest, '\0').at);
		while (rest.len) {
			struct slice line = slice_cut(&rest, '\0');
			as->env = mem_grow(as->env, as->n_env + 2, sizeof(*as->env));
			as->env[as->n_env++] = mem_strdup(line.at);
			as->env[as->n_env] = NULL;
		}
	}
	buf_fini(&in);
	return ok;
}

/*
 * Root keeps what the bounding set leaves it, through exec; another user starts with none, as in
 * Kubernetes. Nothing is inheritable or ambient.
 */
static bool drop_capabilities(uint64_t keep, struct err *err)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned cap = 0; cap < 64; cap++)
		if (keep >> cap & 1 && cap_valid(cap) &&
		    capng_update(
			    CAPNG_ADD,
			    (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET),
			    cap) < 0)
			return err_set(err, ERR_NOT_NOW, "capability %u", cap);
	/* The bounding set first: lowering it needs a capability that the rest takes away. */
	if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
		return err_set(err, ERR_NOT_NOW, "the capability bounding set");
	return true;
}

static bool become(const struct run_as *as, struct err *err)
{
	struct rlimit limit;
	if (as->raise_nofile && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* raising the soft limit cannot fail */
	}
	if (!drop_capabilities(as->caps, err))
		return false;
	if (setgroups(as->n_groups, as->groups) < 0)
		return err_sys(err, "setting groups");
	if (setresgid(as->group, as->group, as->group) < 0)
		return err_sys(err, "becoming group %u", as->group);
	if (setresuid(as->user, as->user, as->user) < 0)
		return err_sys(err, "becoming user %u", as->user);
	if (as->user == 0 && capng_apply(CAPNG_SELECT_CAPS) < 0)
		return err_set(err, ERR_NOT_NOW, "the capability sets");
	if (as->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "no_new_privs");
	return true;
}

static const char *env_of(const struct run_as *as, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < as->n_env; i++)
		if (strncmp(as->env[i], name, len) == 0 && as->env[i][len] == '=')
			return as->env[i] + len + 1;
	return "";
}

static void explain_exec(const struct run_as *as, const char *command, struct err *err)
{
	int why = errno;
	if (why == ENOENT && !strchr(command, '/'))
		(void)err_set(err, ERR_NOT_FOUND, "command \"%s\" is not found in PATH (%s)",
			      command, env_of(as, "PATH")); /* told by the caller */
	else if (why == ENOENT && access(command, F_OK) == 0)
		(void)err_set(err, ERR_NOT_FOUND,
			      "command \"%s\" is there, but the interpreter that it names is not",
			      command); /* as above */
	else if (why == ENOENT)
		(void)err_set(err, ERR_NOT_FOUND, "command \"%s\" does not exist",
			      command); /* as above */
	else {
		errno = why;
		(void)err_sys(err, "command \"%s\"", command); /* as above */
	}
}

void run_as_exec(const struct run_as *as, char *const argv[], struct err *err)
{
	sigset_t none;
	MUST(sigemptyset(&none) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0);
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* some cannot be set, and are as they should be */
	(void)umask(022);
	/* We are still the program `hark`, about to have no more rights than the container's other
	 * processes: they must not get at its file through our /proc entry, and change it on the
	 * host (as runc's CVE-2019-5736). The exec undoes this. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* 0 is always valid */
	/* The folder may be the user's alone, so it is entered as that user. */
	if (!become(as, err))
		return;
	if (chdir(as->cwd) < 0) {
		(void)err_sys(err, "workingDir %s", as->cwd); /* told by the caller */
		return;
	}
	environ = as->env;
	(void)execvp(argv[0], argv); /* returns only when it failed */
	explain_exec(as, argv[0], err);
}
