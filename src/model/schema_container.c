/* Container (core/v1): what runs, how it is probed, what it sees. */
#include "model/schema.h"

#include <stdio.h>
#include <string.h>

static const struct field container_port_fields[] = {
	FIELD_STRING(struct container_port, "name", name),
	FIELD_UINT(struct container_port, "containerPort", port, 1, 65535, .flags = FIELD_REQUIRED),
	FIELD_ENUM(struct container_port, "protocol", protocol, l4_words),
	FIELD_KNOWN("hostPort"),
	FIELD_KNOWN("hostIP"),
};

static void check_container_port(struct decoder *d, const struct tree *n, void *out)
{
	const struct container_port *p = out;
	if (p->name[0])
		check_name(d, n, "name", NAME_PORT, p->name);
}

static const struct schema container_port_schema =
	SCHEMA(struct container_port, container_port_fields, NULL, check_container_port);

static const struct field key_ref_fields[] = {
	FIELD_STRING(struct env_var, "name", config_map, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct env_var, "key", config_map_key, .flags = FIELD_REQUIRED),
	FIELD_BOOL(struct env_var, "optional", optional),
};
static const struct schema key_ref_schema = SCHEMA(struct env_var, key_ref_fields, NULL, NULL);

static void check_field_ref(struct decoder *d, const struct tree *n, void *out)
{
	static const char *const paths[] = {
		"metadata.name",
		"metadata.namespace",
		"metadata.uid",
		"spec.nodeName",
		"spec.serviceAccountName",
		"status.hostIP",
		"status.hostIPs",
		"status.podIP",
		"status.podIPs",
		NULL,
	};
	const struct env_var *e = out;
	struct slice path = slice_of(e->field_path);
	struct nearest near = {.word = path};
	for (size_t i = 0; paths[i]; i++) {
		if (slice_is(path, paths[i]))
			return;
		nearest_try(&near, paths[i]);
	}
	if (slice_starts(path, SLICE("metadata.labels['")) ||
	    slice_starts(path, SLICE("metadata.annotations['")))
		return;
	decode_problem(d, n, "fieldPath", "\"%.80s\" is no field that a variable can take%s%s%s",
		       e->field_path, near.best ? ", did you mean \"" : "",
		       near.best ? near.best : "", near.best ? "\"?" : "");
}

static const struct field field_ref_fields[] = {
	FIELD_STRING(struct env_var, "fieldPath", field_path, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("apiVersion"),
};
static const struct schema field_ref_schema =
	SCHEMA(struct env_var, field_ref_fields, NULL, check_field_ref);

static const struct field value_from_fields[] = {
	FIELD_INLINE("fieldRef", &field_ref_schema),
	FIELD_INLINE("configMapKeyRef", &key_ref_schema),
	FIELD_UNSUPPORTED("secretKeyRef"),
	FIELD_UNSUPPORTED("resourceFieldRef"),
	FIELD_UNSUPPORTED("fileKeyRef"),
};
static const struct schema value_from_schema =
	SCHEMA(struct env_var, value_from_fields, NULL, NULL);

static void check_env(struct decoder *d, const struct tree *n, void *out)
{
	const struct env_var *e = out;
	check_name(d, n, "name", NAME_ENV, e->name);
	if (e->value[0] && tree_get(n, "valueFrom"))
		decode_problem(d, n, "valueFrom", "may not stand beside a value");
	if (e->field_path[0] && e->config_map[0])
		decode_problem(d, n, "valueFrom", "names two sources");
}

static const struct field env_fields[] = {
	FIELD_STRING(struct env_var, "name", name, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct env_var, "value", value),
	FIELD_INLINE("valueFrom", &value_from_schema),
};
static const struct schema env_schema = SCHEMA(struct env_var, env_fields, NULL, check_env);

static const struct field exec_fields[] = {
	FIELD_STRINGS(struct probe, "command", command, .flags = FIELD_REQUIRED),
};
static const struct schema exec_schema = SCHEMA(struct probe, exec_fields, NULL, NULL);

static void read_probe_port(struct decoder *d, struct tree *n, void *out)
{
	struct probe *p = out;
	read_port_or_name(d, n, &p->port);
}

static const struct field tcp_fields[] = {
	FIELD_CUSTOM("port", read_probe_port, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct probe, "host", host),
};
static const struct schema tcp_schema = SCHEMA(struct probe, tcp_fields, NULL, NULL);

static const struct field header_fields[] = {
	FIELD_STRING(struct pair, "name", key, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct pair, "value", value, .flags = FIELD_REQUIRED),
};
static const struct schema header_schema = SCHEMA(struct pair, header_fields, NULL, NULL);

static void check_http(struct decoder *d, const struct tree *n, void *out)
{
	const struct probe *p = out;
	if (strcmp(p->scheme, "HTTP") != 0 && strcmp(p->scheme, "HTTPS") != 0)
		decode_problem(d, n, "scheme", "expected HTTP or HTTPS, got \"%.40s\"", p->scheme);
}

static void default_http(void *out)
{
	struct probe *p = out;
	p->http_path = "/";
	p->scheme = "HTTP";
}

static const struct field http_fields[] = {
	FIELD_CUSTOM("port", read_probe_port, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct probe, "path", http_path),
	FIELD_STRING(struct probe, "host", host),
	FIELD_STRING(struct probe, "scheme", scheme),
	FIELD_LIST(struct probe, "httpHeaders", http_headers, n_http_headers, &header_schema),
};
static const struct schema http_schema =
	SCHEMA(struct probe, http_fields, default_http, check_http);

static void default_probe(void *out)
{
	struct probe *p = out;
	p->port.name = "";
	p->period_s = 10;
	p->timeout_s = p->success_threshold = 1;
	p->failure_threshold = 3;
}

/* Exactly one way to ask. */
static void check_probe(struct decoder *d, const struct tree *n, void *out)
{
	static const struct {
		const char *member;
		enum probe_kind kind;
	} ways[] = {
		{"exec", PROBE_EXEC},
		{"httpGet", PROBE_HTTP},
		{"tcpSocket", PROBE_TCP},
		{"grpc", PROBE_NONE},
	};
	struct probe *p = out;
	unsigned found = 0;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct tree *way = tree_get(n, ways[i].member);
		if (!way || way->type == TREE_NULL)
			continue;
		p->kind = ways[i].kind;
		found++;
	}
	if (found != 1)
		decode_problem(d, n, NULL,
			       "expected exactly one of exec, httpGet and tcpSocket, got %u",
			       found);
	if (p->kind == PROBE_EXEC && !p->command[0])
		decode_problem(d, n, "exec", "has an empty command");
}

static const struct field probe_fields[] = {
	FIELD_INLINE("exec", &exec_schema),
	FIELD_INLINE("httpGet", &http_schema),
	FIELD_INLINE("tcpSocket", &tcp_schema),
	FIELD_UNSUPPORTED("grpc"),
	FIELD_UINT(struct probe, "initialDelaySeconds", initial_delay_s, 0, 86400),
	FIELD_UINT(struct probe, "periodSeconds", period_s, 1, 86400),
	FIELD_UINT(struct probe, "timeoutSeconds", timeout_s, 1, 86400),
	FIELD_UINT(struct probe, "successThreshold", success_threshold, 1, 1000000),
	FIELD_UINT(struct probe, "failureThreshold", failure_threshold, 1, 1000000),
	FIELD_KNOWN("terminationGracePeriodSeconds"),
};
static const struct schema probe_schema =
	SCHEMA(struct probe, probe_fields, default_probe, check_probe);

static void check_mount(struct decoder *d, const struct tree *n, void *out)
{
	const struct volume_mount *m = out;
	struct slice sub = slice_of(m->sub_path);
	if (m->mount_path[0] != '/')
		decode_problem(d, n, "mountPath", "must be an absolute path, got \"%.80s\"",
			       m->mount_path);
	if (slice_starts(sub, SLICE("/")) || slice_contains(sub, SLICE("..")))
		decode_problem(d, n, "subPath", "must be a relative path without \"..\"");
}

static const struct field mount_fields[] = {
	FIELD_STRING(struct volume_mount, "name", name, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct volume_mount, "mountPath", mount_path, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct volume_mount, "subPath", sub_path),
	FIELD_BOOL(struct volume_mount, "readOnly", read_only),
	FIELD_KNOWN("recursiveReadOnly"),
	FIELD_KNOWN("mountPropagation"),
	FIELD_UNSUPPORTED("subPathExpr"),
};
static const struct schema mount_schema =
	SCHEMA(struct volume_mount, mount_fields, NULL, check_mount);

static bool read_id(struct decoder *d, const struct tree *n, uint32_t *out)
{
	bool ok = n->type == TREE_INT && n->integer >= 0 && n->integer < INT32_MAX;
	if (ok)
		*out = (uint32_t)n->integer;
	else
		decode_expected(d, n, "an integer 0..2147483646");
	return ok;
}

static void read_run_as_user(struct decoder *d, struct tree *n, void *out)
{
	struct security_context *s = out;
	s->has_run_as_user = read_id(d, n, &s->run_as_user);
}

static void read_run_as_group(struct decoder *d, struct tree *n, void *out)
{
	struct security_context *s = out;
	s->has_run_as_group = read_id(d, n, &s->run_as_group);
}

/* Of containers and of Pods: the two differ only in fields that are not used here. */
static const struct field security_fields[] = {
	FIELD_CUSTOM("runAsUser", read_run_as_user),
	FIELD_CUSTOM("runAsGroup", read_run_as_group),
	FIELD_KNOWN("runAsNonRoot"),
	FIELD_KNOWN("privileged"),
	FIELD_KNOWN("capabilities"),
	FIELD_KNOWN("readOnlyRootFilesystem"),
	FIELD_KNOWN("allowPrivilegeEscalation"),
	FIELD_KNOWN("procMount"),
	FIELD_KNOWN("seLinuxOptions"),
	FIELD_KNOWN("seccompProfile"),
	FIELD_KNOWN("appArmorProfile"),
	FIELD_KNOWN("windowsOptions"),
	FIELD_KNOWN("supplementalGroups"),
	FIELD_KNOWN("supplementalGroupsPolicy"),
	FIELD_KNOWN("fsGroup"),
	FIELD_KNOWN("fsGroupChangePolicy"),
	FIELD_KNOWN("seLinuxChangePolicy"),
	FIELD_KNOWN("sysctls"),
};
const struct schema security_schema = SCHEMA(struct security_context, security_fields, NULL, NULL);

static bool has_port_named(const struct container *c, const char *name)
{
	for (size_t i = 0; i < c->n_ports; i++)
		if (strcmp(c->ports[i].name, name) == 0)
			return true;
	return false;
}

static void check_container(struct decoder *d, const struct tree *n, void *out)
{
	struct container *c = out;
	c->line = n->line;
	check_name(d, n, "name", NAME_LABEL, c->name);
	for (size_t i = 0; i < c->n_ports; i++)
		for (size_t j = 0; j < i && c->ports[i].name[0]; j++)
			if (strcmp(c->ports[i].name, c->ports[j].name) == 0)
				decode_problem(d, list_item(n, "ports", i), "name",
					       "\"%s\" is also the name of ports[%zu]",
					       c->ports[i].name, j);
	for (size_t i = 0; i < c->n_mounts; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(c->mounts[i].mount_path, c->mounts[j].mount_path) == 0)
				decode_problem(d, list_item(n, "volumeMounts", i), "mountPath",
					       "\"%.80s\" is also the path of volumeMounts[%zu]",
					       c->mounts[i].mount_path, j);
	if (d->strict && c->readiness.port.name[0] && !has_port_named(c, c->readiness.port.name))
		decode_problem(d, n, "readinessProbe", "the container has no port named \"%s\"",
			       c->readiness.port.name);
	if (c->working_dir[0] && c->working_dir[0] != '/')
		decode_problem(d, n, "workingDir", "must be an absolute path, got \"%.80s\"",
			       c->working_dir);
}

static const struct field container_fields[] = {
	FIELD_STRING(struct container, "name", name, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct container, "image", image, .flags = FIELD_SKIP_LEAN),
	FIELD_STRINGS(struct container, "command", command, .flags = FIELD_SKIP_LEAN),
	FIELD_STRINGS(struct container, "args", args, .flags = FIELD_SKIP_LEAN),
	FIELD_STRING(struct container, "workingDir", working_dir, .flags = FIELD_SKIP_LEAN),
	FIELD_LIST(struct container, "env", env, n_env, &env_schema, .flags = FIELD_SKIP_LEAN),
	FIELD_LIST(struct container, "ports", ports, n_ports, &container_port_schema),
	FIELD_STRUCT(struct container, "readinessProbe", readiness, &probe_schema,
		     .flags = FIELD_SKIP_LEAN),
	FIELD_LIST(struct container, "volumeMounts", mounts, n_mounts, &mount_schema,
		   .flags = FIELD_SKIP_LEAN),
	FIELD_STRUCT(struct container, "securityContext", security, &security_schema,
		     .flags = FIELD_SKIP_LEAN),
	FIELD_UNSUPPORTED("envFrom"),
	FIELD_UNSUPPORTED("volumeDevices"),
	FIELD_KNOWN("livenessProbe"),
	FIELD_KNOWN("startupProbe"),
	FIELD_KNOWN("lifecycle"),
	FIELD_KNOWN("resources"),
	FIELD_KNOWN("resizePolicy"),
	FIELD_KNOWN("restartPolicy"),
	FIELD_KNOWN("restartPolicyRules"),
	FIELD_KNOWN("imagePullPolicy"),
	FIELD_KNOWN("terminationMessagePath"),
	FIELD_KNOWN("terminationMessagePolicy"),
	FIELD_KNOWN("stdin"),
	FIELD_KNOWN("stdinOnce"),
	FIELD_KNOWN("tty"),
};
const struct schema container_schema =
	SCHEMA(struct container, container_fields, NULL, check_container);
