#include "local/command_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a container without a PATH of its own gets (container.h). */
static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static bool is_program(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* A volume hides what the host has there. */
static bool is_on_volume(const struct container *c, const char *path)
{
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct slice at = slice_of(c->mounts[i].mount_path);
		if (slice_ends(at, SLICE("/")))
			at.len--;
		if (slice_starts(slice_of(path), at) &&
		    (path[at.len] == '/' || path[at.len] == '\0'))
			return true;
	}
	return false;
}

static bool in_path(const struct container *c, const char *name)
{
	struct slice path = slice_of(default_path);
	for (size_t i = 0; i < c->n_env; i++)
		if (strcmp(c->env[i].name, "PATH") == 0)
			path = slice_of(c->env[i].value);
	if (slice_contains(path, SLICE("$(")) || path.len == 0)
		return true; /* known only when it runs */
	while (path.len) {
		char full[4096];
		struct slice folder = slice_cut(&path, ':');
		int n = snprintf(full, sizeof(full), "%.*s/%s", SLICE_FMT(folder), name);
		if (n < 0 || (size_t)n >= sizeof(full))
			continue;
		if (is_on_volume(c, full) || is_program(full))
			return true;
	}
	return false;
}

static bool exists(const struct container *c, const char *command)
{
	if (strstr(command, "$("))
		return true;
	if (!strchr(command, '/'))
		return in_path(c, command);
	/* a relative path is below a folder that may be made at run time */
	return command[0] != '/' || is_on_volume(c, command) || is_program(command);
}

static void check_list(const struct container *list, size_t n, const char *prefix,
		       command_problem_fn *report, void *ctx)
{
	for (size_t i = 0; i < n; i++) {
		const struct container *c = &list[i];
		bool given = c->command && c->command[0];
		const char *const *argv = given ? c->command : c->args;
		char path[128], text[1024];
		if (!argv || !argv[0] || exists(c, argv[0]))
			continue;
		snprintf(path, sizeof(path), "%s[%zu].%s[0]", prefix, i,
			 given ? "command" : "args");
		snprintf(text, sizeof(text),
			 strchr(argv[0], '/') ? "there is no program \"%s\""
					      : "there is no program \"%s\" in the PATH",
			 argv[0]);
		report(ctx, c, path, text);
	}
}

void command_check(const struct object *o, command_problem_fn *report, void *ctx)
{
	const struct pod_spec *spec;

	if (o->kind == KIND_POD)
		spec = &o->pod->spec;
	else if (o->kind == KIND_DEPLOYMENT)
		spec = &o->deployment->template_spec;
	else
		return;
	bool pod = o->kind == KIND_POD;
	check_list(spec->init_containers, spec->n_init_containers,
		   pod ? "spec.initContainers" : "spec.template.spec.initContainers", report, ctx);
	check_list(spec->containers, spec->n_containers,
		   pod ? "spec.containers" : "spec.template.spec.containers", report, ctx);
}
