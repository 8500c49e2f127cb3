#include "local/pod_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "local/pod_identity.h"
#include "model/sidecar.h"
#include "sandbox/files.h"
#include "sandbox/pod_net.h"
#include "sandbox/volume.h"

enum { MAX_FILES = 1024 };

static const struct pod_spec *spec_of(const struct pod_run *run)
{
	return &run->object->pod->spec;
}

static const struct object *config_map(const struct pod_run *run, const char *name)
{
	return store_get(pods_store(run->pods), KIND_CONFIG_MAP, run->object->meta.ns, name);
}

/* The keys that ITEMS names under their paths, or all under their own names. */
static bool config_files(const struct volume *v, const struct object *map, struct volume_file *out,
			 size_t *n, struct err *err)
{
	const struct pairs *data = &map->config_map->data;
	size_t want = v->n_items ? v->n_items : data->n;

	if (want > MAX_FILES)
		return err_set(err, ERR_LIMIT, "volume %s: more than %d files", v->name, MAX_FILES);
	for (size_t i = 0; i < want; i++) {
		const char *key = v->n_items ? v->items[i].key : data->at[i].key;
		const char *value = pairs_get(data, key);
		if (!value)
			return err_set(err, ERR_NOT_FOUND, "volume %s: ConfigMap %s has no key %s",
				       v->name, map->meta.name, key);
		out[i] = (struct volume_file){.path = v->n_items ? v->items[i].value : key,
					      .data = slice_of(value),
					      .mode = v->default_mode};
	}
	*n = want;
	return true;
}

static bool setup_config(struct pod_run *run, const struct volume *v, char path[NODE_PATH_LEN],
			 struct err *err)
{
	const struct object *map = config_map(run, v->config_map);
	struct volume_file *files = mem_array(MAX_FILES, sizeof(*files));
	size_t n = 0;
	bool ok = true;

	if (!map && !v->optional)
		ok = err_set(err, ERR_NOT_FOUND, "volume %s: there is no ConfigMap %s", v->name,
			     v->config_map);
	if (map)
		ok = config_files(v, map, files, &n, err);
	ok = ok && volume_config(pods_node(run->pods), run->id, v->name, files, n, path, err);
	free(files);
	return ok;
}

bool pod_setup_volumes(struct pod_run *run, struct err *err)
{
	const struct pod_spec *spec = spec_of(run);

	if (!run->volume_paths)
		run->volume_paths = arena_array(run->arena, spec->n_volumes + 1, NODE_PATH_LEN);
	for (size_t i = 0; i < spec->n_volumes; i++) {
		const struct volume *v = &spec->volumes[i];
		bool ok = true;
		switch (v->kind) {
		case VOLUME_EMPTY_DIR:
			ok = volume_empty_dir(pods_node(run->pods), run->id, v->name,
					      run->volume_paths[i], err);
			break;
		case VOLUME_CONFIG_MAP:
			ok = setup_config(run, v, run->volume_paths[i], err);
			break;
		case VOLUME_HOST_PATH:
			ok = path_make(run->volume_paths[i], err, "%s", v->host_path) ||
			     err_wrap(err, "volume %s", v->name);
			break;
		}
		if (!ok)
			return false;
	}
	return true;
}

/* metadata.labels['KEY'] and metadata.annotations['KEY'] */
static const char *subscript(const char *path, const char *prefix, const struct pairs *pairs,
			     struct arena *arena)
{
	struct slice rest = slice_of(path);
	if (!slice_starts(rest, slice_of(prefix)) || !slice_ends(rest, SLICE("']")))
		return NULL;
	rest = slice_sub(rest, strlen(prefix), rest.len - strlen(prefix) - 2);
	const char *value = pairs_get(pairs, arena_dup(arena, rest));
	return value ? value : "";
}

static const char *ips_text(const struct pod_run *run, struct arena *arena)
{
	char v4[ADDR_TEXT], v6[ADDR_TEXT];
	return arena_printf(arena, "%s%s%s", run->has_ip[IP_V4] ? ip_text(&run->ip[IP_V4], v4) : "",
			    run->has_ip[IP_V4] && run->has_ip[IP_V6] ? "," : "",
			    run->has_ip[IP_V6] ? ip_text(&run->ip[IP_V6], v6) : "");
}

static const char *first_ip(const struct pod_run *run, struct arena *arena)
{
	char text[ADDR_TEXT];
	enum ip_family f = run->has_ip[IP_V4] ? IP_V4 : IP_V6;
	return arena_printf(arena, "%s", ip_text(&run->ip[f], text));
}

static const char *field_value(const struct pod_run *run, const char *path, struct arena *arena)
{
	const struct meta *meta = &run->object->meta;
	const struct pod_spec *spec = spec_of(run);
	const struct node *node = pods_node(run->pods);
	const char *value;
	char text[ADDR_TEXT];

	if (strcmp(path, "metadata.name") == 0)
		return meta->name;
	if (strcmp(path, "metadata.namespace") == 0)
		return meta->ns;
	if (strcmp(path, "metadata.uid") == 0)
		return meta->uid;
	if (strcmp(path, "spec.nodeName") == 0)
		return node->cfg.name;
	if (strcmp(path, "spec.serviceAccountName") == 0)
		return spec->service_account;
	if (strcmp(path, "status.hostIP") == 0 || strcmp(path, "status.hostIPs") == 0)
		return arena_printf(arena, "%s", ip_text(&node->gateway_v4, text));
	if (strcmp(path, "status.podIP") == 0)
		return first_ip(run, arena);
	if (strcmp(path, "status.podIPs") == 0)
		return ips_text(run, arena);
	value = subscript(path, "metadata.labels['", &meta->labels, arena);
	if (!value)
		value = subscript(path, "metadata.annotations['", &meta->annotations, arena);
	return value;
}

/* *OUT is NULL for a variable that is optional and not to be had. */
static bool env_value(const struct pod_run *run, const struct env_var *var, struct arena *arena,
		      const char **out, struct err *err)
{
	*out = var->value;
	if (*var->field_path) {
		*out = field_value(run, var->field_path, arena);
		return *out || err_set(err, ERR_BAD_INPUT, "env %s: there is no field %s",
				       var->name, var->field_path);
	}
	if (*var->config_map) {
		const struct object *map = config_map(run, var->config_map);
		const char *value =
			map ? pairs_get(&map->config_map->data, var->config_map_key) : NULL;
		/* the store's object may be replaced at any time */
		*out = value ? arena_dup(arena, slice_of(value)) : NULL;
		return *out || var->optional ||
		       err_set(err, ERR_NOT_FOUND, "env %s: ConfigMap %s has no key %s", var->name,
			       var->config_map, var->config_map_key);
	}
	return true;
}

static bool setup_env(const struct pod_run *run, const struct container *c, struct arena *arena,
		      struct container_spec *out, struct err *err)
{
	struct container_env *env = arena_array(arena, c->n_env + 1, sizeof(*env));
	size_t n = 0;
	for (size_t i = 0; i < c->n_env; i++) {
		env[n].name = c->env[i].name;
		if (!env_value(run, &c->env[i], arena, &env[n].value, err))
			return false;
		n += env[n].value != NULL;
	}
	out->env = env;
	out->n_env = n;
	return true;
}

static const char *volume_path(const struct pod_run *run, const char *name)
{
	const struct pod_spec *spec = spec_of(run);
	for (size_t i = 0; i < spec->n_volumes; i++)
		if (strcmp(spec->volumes[i].name, name) == 0)
			return run->volume_paths[i];
	return NULL;
}

static bool setup_mounts(const struct pod_run *run, const struct container *c, struct arena *arena,
			 struct container_spec *out, struct err *err)
{
	struct container_mount *mounts = arena_array(arena, c->n_mounts + 1, sizeof(*mounts));
	for (size_t i = 0; i < c->n_mounts; i++) {
		const struct volume_mount *m = &c->mounts[i];
		mounts[i] = (struct container_mount){
			.source = volume_path(run, m->name),
			.sub_path = *m->sub_path ? m->sub_path : NULL,
			.target = m->mount_path,
			.read_only = m->read_only,
		};
		if (!mounts[i].source)
			return err_set(err, ERR_BAD_INPUT, "volumeMounts: there is no volume %s",
				       m->name);
	}
	out->mounts = mounts;
	out->n_mounts = c->n_mounts;
	return true;
}

static void setup_argv(const struct container *c, struct arena *arena, struct container_spec *out)
{
	const char *const *parts[] = {c->command, c->args};
	const char **argv;
	size_t n = 0;

	for (size_t i = 0; i < N_ELEMS(parts); i++)
		for (const char *const *a = parts[i]; a && *a; a++)
			n++;
	argv = arena_array(arena, n + 1, sizeof(*argv));
	n = 0;
	for (size_t i = 0; i < N_ELEMS(parts); i++)
		for (const char *const *a = parts[i]; a && *a; a++)
			argv[n++] = *a;
	out->argv = argv;
	out->n_argv = n;
}

static const char *hosts_text(const struct pod_run *run, struct arena *arena)
{
	const struct pod_spec *spec = spec_of(run);
	const char *text = "127.0.0.1\tlocalhost\n"
			   "::1\tlocalhost ip6-localhost ip6-loopback\n";
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		char ip[ADDR_TEXT];
		if (!run->has_ip[f])
			continue;
		ip_text(&run->ip[f], ip);
		if (*spec->subdomain)
			text = arena_printf(arena, "%s%s\t%s.%s.%s.svc.%s\t%s\n", text, ip,
					    run->net->hostname, spec->subdomain,
					    run->object->meta.ns, pods_cfg(run->pods)->zone,
					    run->net->hostname);
		else
			text = arena_printf(arena, "%s%s\t%s\n", text, ip, run->net->hostname);
	}
	return text;
}

/* The mesh's nameserver first, unless the Pod wants none of it (dnsPolicy None); then its own. */
size_t pod_setup_nameservers(const struct pod_run *run, struct ip out[POD_NAMESERVERS])
{
	const struct pod_spec *spec = spec_of(run);
	size_t n = 0;
	if (strcmp(spec->dns_policy, "None") != 0)
		out[n++] = pods_cfg(run->pods)->dns;
	for (const char *const *s = spec->dns_servers; s && *s && n < POD_NAMESERVERS; s++)
		if (ip_parse(slice_of(*s), &out[n])) /* it does: the schema looked */
			n++;
	return n;
}

static const char *search_line(const struct pod_run *run, struct arena *arena)
{
	const struct pod_spec *spec = spec_of(run);
	const char *zone = pods_cfg(run->pods)->zone, *line = "";
	if (strcmp(spec->dns_policy, "None") != 0)
		line = arena_printf(arena, " %s.svc.%s svc.%s %s", run->object->meta.ns, zone, zone,
				    zone);
	for (const char *const *s = spec->dns_searches; s && *s; s++)
		line = arena_printf(arena, "%s %s", line, *s);
	return *line ? arena_printf(arena, "search%s\n", line) : "";
}

/* An option that the Pod sets again replaces ours: the last one counts, resolv.conf(5). */
static const char *options_line(const struct pod_run *run, struct arena *arena)
{
	const struct pod_spec *spec = spec_of(run);
	const char *line = strcmp(spec->dns_policy, "None") != 0 ? " ndots:5" : "";
	for (size_t i = 0; i < spec->n_dns_options; i++) {
		const struct pair *o = &spec->dns_options[i];
		line = arena_printf(arena, "%s %s%s%s", line, o->key, *o->value ? ":" : "",
				    o->value);
	}
	return *line ? arena_printf(arena, "options%s\n", line) : "";
}

static const char *resolv_conf(const struct pod_run *run, struct arena *arena)
{
	struct ip servers[POD_NAMESERVERS];
	size_t n = pod_setup_nameservers(run, servers);
	const char *text = "";
	char ip[ADDR_TEXT];
	for (size_t i = 0; i < n; i++)
		text = arena_printf(arena, "%snameserver %s\n", text, ip_text(&servers[i], ip));
	return arena_printf(arena, "%s%s%s", text, search_line(run, arena),
			    options_line(run, arena));
}

bool pod_setup_mesh(const struct pod_run *run, struct arena *arena, struct mesh_config *out,
		    struct err *err)
{
	const struct object *map =
		store_get(pods_store(run->pods), KIND_CONFIG_MAP, MESH_CONFIG_NS, MESH_CONFIG_NAME);
	return mesh_config_for_pod(map, &run->object->meta.annotations, arena, out, err);
}

static bool setup_sidecar(struct pod_run *run, struct arena *arena, struct container_spec *out,
			  struct err *err)
{
	struct mesh_config mesh;
	if (!pod_setup_mesh(run, arena, &mesh, err))
		return false;
	/* The mesh's `concurrency` counts for sidecars that start from now on; 0: one per core. */
	const char *const argv[] = {"/proc/self/exe", "proxy", "--workers",
				    arena_printf(arena, "%u", mesh.workers)};
	const struct container_env own[] = {
		{"POD_NAME", run->object->meta.name},
		{"POD_NAMESPACE", run->object->meta.ns},
		{"INSTANCE_IP", first_ip(run, arena)},
		{"INSTANCE_IPS", ips_text(run, arena)},
		{SIDECAR_DNS_ENV, run->dns_capture ? "true" : "false"},
	};
	const char **argv_copy = arena_array(arena, N_ELEMS(argv), sizeof(*argv_copy));
	struct container_env *env =
		arena_array(arena, N_ELEMS(own) + POD_IDENTITY_ENV, sizeof(*env));
	struct container_mount *mounts =
		arena_array(arena, 1 + POD_IDENTITY_MOUNTS, sizeof(*mounts));

	if (!pod_identity_write(run, err))
		return false;
	memcpy(argv_copy, argv, sizeof(argv));
	memcpy(env, own, sizeof(own));
	mounts[0] = (struct container_mount){.source = pods_cfg(run->pods)->api_socket,
					     .target = "/run/hark/api.sock"};
	out->argv = argv_copy;
	out->n_argv = N_ELEMS(argv);
	out->env = env;
	out->n_env = N_ELEMS(own) + pod_identity_env(run, arena, &env[N_ELEMS(own)]);
	out->mounts = mounts;
	out->n_mounts = 1 + pod_identity_mounts(run, &mounts[1]);
	out->has_user = out->has_group = true;
	out->user = SIDECAR_ID;
	out->group = SIDECAR_ID;
	out->caps = 0;
	out->no_new_privs = true;
	out->raise_nofile = true;
	out->read_only_root = true;
	return true;
}

bool pod_setup_container(struct pod_run *run, const struct container_life *life,
			 struct arena *arena, struct container_spec *out, struct err *err)
{
	const struct container *c = life->spec;
	char log_path[NODE_PATH_LEN];

	*out = (struct container_spec){.id = life->id, .pod = run->net};
	out->resolv_conf = resolv_conf(run, arena);
	out->hosts = hosts_text(run, arena);
	if (!pods_log_path(pods_node(run->pods)->cfg.run_dir, run->object->meta.ns,
			   run->object->meta.name, container_life_name(life), log_path, err))
		return false;
	out->log_path = arena_dup(arena, slice_of(log_path));
	if (!c)
		return setup_sidecar(run, arena, out, err);
	setup_argv(c, arena, out);
	out->cwd = *c->working_dir ? c->working_dir : NULL;
	out->has_user = c->security.has_run_as_user;
	out->user = c->security.run_as_user;
	out->has_group = c->security.has_run_as_group;
	out->group = c->security.run_as_group;
	out->caps = CONTAINER_DEFAULT_CAPS;
	return setup_env(run, c, arena, out, err) && setup_mounts(run, c, arena, out, err);
}

static uint16_t port_of(const struct container *c, const struct int_or_name *port)
{
	if (!port->name || !*port->name)
		return port->number;
	for (size_t i = 0; i < c->n_ports; i++)
		if (strcmp(c->ports[i].name, port->name) == 0)
			return c->ports[i].port;
	return 0;
}

bool pod_setup_probe(const struct container_life *life, struct probe_spec *out)
{
	probe_spec_init(out);
	if (!life->spec) {
		out->kind = PROBE_HTTP;
		out->port = SIDECAR_HEALTH_PORT;
		out->path = "/healthz/ready";
		out->period_s = 2;
		out->failure_threshold = 4;
		return true;
	}
	const struct probe *p = &life->spec->readiness;
	if (p->kind == PROBE_NONE || life->role == ROLE_INIT)
		return false;
	out->kind = p->kind;
	out->port = port_of(life->spec, &p->port);
	out->path = p->http_path && *p->http_path ? p->http_path : NULL;
	out->host = p->host && *p->host ? p->host : NULL;
	out->headers = p->http_headers;
	out->n_headers = p->n_http_headers;
	out->argv = p->command;
	out->initial_delay_s = p->initial_delay_s;
	out->period_s = p->period_s;
	out->timeout_s = p->timeout_s;
	out->success_threshold = p->success_threshold;
	out->failure_threshold = p->failure_threshold;
	return true;
}
