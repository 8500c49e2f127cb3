#include "cli/mesh_client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "local/mesh.h"
#include "model/sidecar.h"
#include "rest/client.h"

enum { BODY_MAX = 256 * 1024 * 1024, CALL_TIMEOUT_MS = 60000 };

bool mesh_client_open(struct mesh_client *c, struct err *err)
{
	if (!node_open(c->name, &c->node, err))
		return false;
	snprintf(c->base, sizeof(c->base), "unix:%s/" MESH_ADMIN_SOCKET, c->node.run_dir);
	return true;
}

void mesh_client_close(struct mesh_client *c)
{
	node_close(&c->node);
}

static const json_t *walk(const json_t *at, va_list ap)
{
	const char *key;
	while (at && (key = va_arg(ap, const char *)))
		at = json_object_get(at, key);
	return at;
}

const json_t *json_at(const json_t *from, ...)
{
	va_list ap;
	va_start(ap, from);
	const json_t *at = walk(from, ap);
	va_end(ap);
	return at;
}

const char *json_text(const json_t *from, ...)
{
	va_list ap;
	va_start(ap, from);
	const char *text = json_string_value(walk(from, ap));
	va_end(ap);
	return text ? text : "";
}

/* NULL: the answer is no JSON, or there is none. */
static json_t *call(const struct mesh_client *c, const struct rest_ask *ask, unsigned *status,
		    struct err *err)
{
	struct buf body;
	json_t *root = NULL;

	buf_init(&body, BODY_MAX);
	if (rest_call(c->base, ask, status, &body, err)) {
		struct slice text = buf_slice(&body);
		root = json_loadb(text.at, text.len, JSON_DECODE_ANY, NULL);
		if (!root)
			(void)err_set(err, ERR_NOT_NOW, "mesh %s answered %u: %.*s", c->name,
				      *status, SLICE_FMT(text)); /* NULL says so too */
	}
	buf_fini(&body);
	return root;
}

json_t *mesh_client_get(const struct mesh_client *c, const char *path, struct err *err)
{
	struct rest_ask ask = {.path = path, .timeout_ms = CALL_TIMEOUT_MS};
	unsigned status = 0;
	json_t *root = call(c, &ask, &status, err);

	if (!root || status / 100 == 2)
		return root;
	(void)err_set(err, status == 404 ? ERR_NOT_FOUND : ERR_BAD_INPUT, "%s",
		      json_text(root, "message", NULL)); /* NULL says so too */
	json_decref(root);
	return NULL;
}

json_t *mesh_client_post(const struct mesh_client *c, const char *path, json_t *body,
			 unsigned *status, struct err *err)
{
	char *text = json_dumps(body, JSON_COMPACT);
	struct rest_ask ask = {.method = "POST",
			       .path = path,
			       .body = slice_of(text),
			       .timeout_ms = CALL_TIMEOUT_MS};
	json_t *root = call(c, &ask, status, err);
	free(text);
	return root;
}

const char *pod_name(const json_t *pod)
{
	return json_text(pod, "metadata", "name", NULL);
}

const char *pod_ns(const json_t *pod)
{
	return json_text(pod, "metadata", "namespace", NULL);
}

static bool is_ready(const json_t *pod)
{
	const json_t *condition;
	size_t i;
	json_array_foreach (json_at(pod, "status", "conditions", NULL), i, condition)
		if (strcmp(json_text(condition, "type", NULL), "Ready") == 0)
			return strcmp(json_text(condition, "status", NULL), "True") == 0;
	return false;
}

static bool is_owned_by(const json_t *pod, const char *deployment)
{
	const json_t *owner;
	size_t i;
	json_array_foreach (json_at(pod, "metadata", "ownerReferences", NULL), i, owner)
		if (strcmp(json_text(owner, "kind", NULL), "Deployment") == 0 &&
		    strcmp(json_text(owner, "name", NULL), deployment) == 0)
			return true;
	return false;
}

/* How well POD fits, larger is better; 0: not at all. */
static int fit(const json_t *pod, const char *ns, const char *name, bool pods, bool deployments)
{
	bool by_name = pods && strcmp(pod_name(pod), name) == 0;
	bool by_owner = deployments && is_owned_by(pod, name);

	if ((ns && strcmp(pod_ns(pod), ns) != 0) || (!by_name && !by_owner))
		return 0;
	return 1 + (strcmp(pod_ns(pod), "default") == 0) * 8 + by_name * 4 +
	       !json_at(pod, "metadata", "deletionTimestamp", NULL) * 2 + is_ready(pod);
}

static const json_t *best_fit(const json_t *items, const char *ns, const char *name, bool pods,
			      bool deployments, struct err *err)
{
	const json_t *pod, *best = NULL, *elsewhere = NULL;
	int best_fit = 0;
	size_t i;

	json_array_foreach (items, i, pod) {
		int f = fit(pod, ns, name, pods, deployments);
		if (f == 0)
			continue;
		if (best && strcmp(pod_ns(best), pod_ns(pod)) != 0)
			elsewhere = f > best_fit ? best : pod;
		if (f > best_fit) {
			best = pod;
			best_fit = f;
		}
	}
	if (elsewhere && strcmp(pod_ns(best), "default") != 0) {
		(void)err_set(err, ERR_BAD_INPUT, "\"%s\" is in %s and in %s: say NAMESPACE/POD",
			      name, pod_ns(best), pod_ns(elsewhere)); /* NULL says so too */
		return NULL;
	}
	if (!best)
		(void)err_set(err, ERR_NOT_FOUND, "there is no Pod \"%s%s%s\"", ns ? ns : "",
			      ns ? "/" : "", name); /* as above */
	return best;
}

json_t *mesh_client_pod(const struct mesh_client *c, const char *text, struct err *err)
{
	char ns_text[128];
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text, *ns = c->ns;
	bool pods = true, deployments = true;

	if (slash) {
		struct slice before = {text, (size_t)(slash - text)};
		if (slice_is(before, "pod") || slice_is(before, "pods")) {
			deployments = false;
		} else if (slice_is(before, "deploy") || slice_is(before, "deployment")) {
			pods = false;
		} else {
			snprintf(ns_text, sizeof(ns_text), "%.*s", SLICE_FMT(before));
			ns = ns_text;
		}
	}
	json_t *list = mesh_client_get(c, "/api/v1/pods", err);
	if (!list)
		return NULL;
	const json_t *pod =
		best_fit(json_object_get(list, "items"), ns, name, pods, deployments, err);
	json_t *found = json_incref((json_t *)pod); /* jansson counts through const nowhere */
	json_decref(list);
	return found;
}

static bool has_container(const json_t *pod, const char *key, const char *name)
{
	const json_t *container;
	size_t i;
	json_array_foreach (json_at(pod, "spec", key, NULL), i, container)
		if (strcmp(json_text(container, "name", NULL), name) == 0)
			return true;
	return false;
}

const char *pod_container_name(const json_t *pod, const char *name)
{
	if (!name) {
		name = json_text(pod, "metadata", "annotations",
				 "kubectl.kubernetes.io/default-container", NULL);
		if (*name && has_container(pod, "containers", name))
			return name;
		const json_t *first = json_array_get(json_at(pod, "spec", "containers", NULL), 0);
		return first ? json_text(first, "name", NULL) : NULL;
	}
	if (strcmp(name, SIDECAR_NAME) == 0 &&
	    *json_text(pod, "metadata", "annotations", "sidecar.istio.io/status", NULL))
		return name;
	return has_container(pod, "containers", name) || has_container(pod, "initContainers", name)
		       ? name
		       : NULL;
}

void pod_container_id(const json_t *pod, const char *container, char *out, size_t out_len)
{
	snprintf(out, out_len, "%s.%s.%s", pod_ns(pod), pod_name(pod), container);
}

void api_path(const struct kind_info *kind, const char *ns, const char *name, char *out,
	      size_t out_len)
{
	bool core = strchr(kind->api_version, '/') == NULL;
	const char *slash = name ? strchr(name, '/') : NULL;
	struct buf path;

	buf_init(&path, out_len);
	buf_printf(&path, "/%s/%s", core ? "api" : "apis", kind->api_version);
	if (kind->namespaced && (ns || name)) {
		struct slice in = slash ? (struct slice){name, (size_t)(slash - name)}
					: slice_of(ns ? ns : "default");
		buf_puts(&path, "/namespaces/");
		rest_escape(&path, in);
	}
	buf_printf(&path, "/%s", kind->plural);
	if (name) {
		buf_putc(&path, '/');
		rest_escape(&path, slice_of(slash ? slash + 1 : name));
	}
	/* a name too long for OUT is too long for the API as well: it finds nothing */
	snprintf(out, out_len, "%.*s", SLICE_FMT(buf_slice(&path)));
	buf_fini(&path);
}
