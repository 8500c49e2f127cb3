#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/mesh_client.h"
#include "model/object.h"

enum { CELL = 256, YAML_MAX = 64 * 1024 * 1024 };

static const char *ns_of(const json_t *o)
{
	return json_text(o, "metadata", "namespace", NULL);
}

static const char *name_of(const json_t *o)
{
	return json_text(o, "metadata", "name", NULL);
}

static const char *age_of(const json_t *o, char out[CELL])
{
	return columns_age(json_text(o, "metadata", "creationTimestamp", NULL), out, CELL);
}

/* Texts of LIST's members KEY (or of LIST's items, KEY NULL), joined by commas. */
static const char *joined(const json_t *list, const char *key, char out[CELL])
{
	const json_t *item;
	size_t i, len = 0;
	out[0] = '\0';
	json_array_foreach (list, i, item) {
		const char *text = key ? json_text(item, key, NULL) : json_string_value(item);
		if (!text || len + 1 >= CELL)
			break;
		int n = snprintf(out + len, CELL - len, "%s%s", i ? "," : "", text);
		len += n > 0 ? (size_t)n : 0;
	}
	return out;
}

static json_int_t number(const json_t *o, const char *a, const char *b)
{
	return json_integer_value(json_at(o, a, b, NULL));
}

/* What a person wants to know of a Pod in one word: what holds it up, else its phase. */
static const char *pod_status(const json_t *pod)
{
	static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
	if (json_at(pod, "metadata", "deletionTimestamp", NULL))
		return "Terminating";
	for (size_t l = 0; l < 2; l++) {
		const json_t *c;
		size_t i;
		json_array_foreach (json_at(pod, "status", lists[l], NULL), i, c) {
			const char *reason = json_text(c, "state", "waiting", "reason", NULL);
			if (strcmp(reason, "CrashLoopBackOff") == 0)
				return reason;
		}
	}
	return json_text(pod, "status", "phase", NULL);
}

static void show_pods(const json_t *items, bool wide, struct columns_memory *memory)
{
	struct columns c;
	const json_t *pod, *container;
	size_t i, j;

	columns_init(&c, wide ? 9 : 7);
	columns_row(&c, "NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "SIDECAR",
		    "MESSAGE");
	json_array_foreach (items, i, pod) {
		const json_t *list = json_at(pod, "status", "containerStatuses", NULL);
		size_t ready = 0, total = 0;
		json_int_t restarts = 0;
		char ready_text[CELL], restarts_text[CELL], age[CELL], ips[CELL];
		bool sidecar =
			*json_text(pod, "metadata", "annotations", "sidecar.istio.io/status", NULL);
		json_array_foreach (list, j, container) {
			total++;
			ready += json_is_true(json_at(container, "ready", NULL));
			restarts += number(container, "restartCount", NULL);
		}
		snprintf(ready_text, sizeof(ready_text), "%zu/%zu", ready, total);
		snprintf(restarts_text, sizeof(restarts_text), "%lld", (long long)restarts);
		columns_row(&c, ns_of(pod), name_of(pod), ready_text, pod_status(pod),
			    restarts_text, age_of(pod, age),
			    wide ? joined(json_at(pod, "status", "podIPs", NULL), "ip", ips)
				 : json_text(pod, "status", "podIP", NULL),
			    sidecar ? "yes" : "no", json_text(pod, "status", "message", NULL));
	}
	columns_print(&c, memory);
}

/* "80,5432/TCP>5433" */
static const char *ports_of(const json_t *list, char out[CELL])
{
	const json_t *port;
	size_t i, len = 0;
	out[0] = '\0';
	json_array_foreach (list, i, port) {
		const char *protocol = json_text(port, "protocol", NULL);
		if (len + 1 >= CELL)
			break;
		int n = snprintf(out + len, CELL - len, "%s%lld/%s", i ? "," : "",
				 (long long)number(port, "port", NULL),
				 *protocol ? protocol : "TCP");
		len += n > 0 ? (size_t)n : 0;
	}
	return out;
}

static void show_services(const json_t *items, bool wide, struct columns_memory *memory)
{
	struct columns c;
	const json_t *svc;
	size_t i;

	columns_init(&c, wide ? 7 : 6);
	columns_row(&c, "NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "PORTS", "AGE", "EXTERNAL-NAME");
	json_array_foreach (items, i, svc) {
		char ips[CELL], ports[CELL], age[CELL];
		const char *type = json_text(svc, "spec", "type", NULL);
		columns_row(&c, ns_of(svc), name_of(svc), *type ? type : "ClusterIP",
			    wide ? joined(json_at(svc, "spec", "clusterIPs", NULL), NULL, ips)
				 : json_text(svc, "spec", "clusterIP", NULL),
			    ports_of(json_at(svc, "spec", "ports", NULL), ports), age_of(svc, age),
			    json_text(svc, "spec", "externalName", NULL));
	}
	columns_print(&c, memory);
}

static void show_slices(const json_t *items, struct columns_memory *memory)
{
	struct columns c;
	const json_t *slice, *ep;
	size_t i, j;

	columns_init(&c, 6);
	columns_row(&c, "NAMESPACE", "NAME", "FAMILY", "PORTS", "READY", "NOT READY");
	json_array_foreach (items, i, slice) {
		char ready[CELL] = "", not_ready[CELL] = "", ports[CELL];
		json_array_foreach (json_at(slice, "endpoints", NULL), j, ep) {
			bool not = json_is_false(json_at(ep, "conditions", "ready", NULL));
			char *to = not ? not_ready : ready;
			size_t len = strlen(to);
			const json_t *ip = json_array_get(json_at(ep, "addresses", NULL), 0);
			snprintf(to + len, CELL - len, "%s%s", len ? "," : "",
				 ip ? json_string_value(ip) : "");
		}
		columns_row(&c, ns_of(slice), name_of(slice), json_text(slice, "addressType", NULL),
			    ports_of(json_at(slice, "ports", NULL), ports), ready, not_ready);
	}
	columns_print(&c, memory);
}

static void show_deployments(const json_t *items, struct columns_memory *memory)
{
	struct columns c;
	const json_t *o;
	size_t i;

	columns_init(&c, 5);
	columns_row(&c, "NAMESPACE", "NAME", "READY", "UP-TO-DATE", "AGE");
	json_array_foreach (items, i, o) {
		const json_t *replicas = json_at(o, "spec", "replicas", NULL);
		char ready[CELL], updated[CELL], age[CELL];
		snprintf(ready, sizeof(ready), "%lld/%lld",
			 (long long)number(o, "status", "readyReplicas"),
			 replicas ? (long long)json_integer_value(replicas) : 1);
		snprintf(updated, sizeof(updated), "%lld",
			 (long long)number(o, "status", "updatedReplicas"));
		columns_row(&c, ns_of(o), name_of(o), ready, updated, age_of(o, age));
	}
	columns_print(&c, memory);
}

static void show_config_maps(const json_t *items, struct columns_memory *memory)
{
	struct columns c;
	const json_t *o;
	size_t i;

	columns_init(&c, 4);
	columns_row(&c, "NAMESPACE", "NAME", "KEYS", "AGE");
	json_array_foreach (items, i, o) {
		char age[CELL], keys[CELL] = "";
		const char *key;
		json_t *value;
		json_object_foreach ((json_t *)json_at(o, "data", NULL), key, value) {
			size_t len = strlen(keys);
			snprintf(keys + len, CELL - len, "%s%s", len ? "," : "", key);
		}
		columns_row(&c, ns_of(o), name_of(o), keys, age_of(o, age));
	}
	columns_print(&c, memory);
}

static void show_namespaces(const json_t *items, struct columns_memory *memory)
{
	struct columns c;
	const json_t *o;
	size_t i;

	columns_init(&c, 3);
	columns_row(&c, "NAME", "INJECTION", "AGE");
	json_array_foreach (items, i, o) {
		char age[CELL];
		columns_row(&c, name_of(o),
			    json_text(o, "metadata", "labels", "istio-injection", NULL),
			    age_of(o, age));
	}
	columns_print(&c, memory);
}

/* One column of each kind's own, as `kubectl get` shows it. */
static void show_policies(const json_t *items, const char *title, const char *field,
			  const char *member, struct columns_memory *memory)
{
	struct columns c;
	const json_t *o;
	size_t i;

	columns_init(&c, 4);
	columns_row(&c, "NAMESPACE", "NAME", title, "AGE");
	json_array_foreach (items, i, o) {
		char age[CELL];
		columns_row(&c, ns_of(o), name_of(o), json_text(o, "spec", field, member, NULL),
			    age_of(o, age));
	}
	columns_print(&c, memory);
}

static void show_entries(const json_t *items, bool wide, struct columns_memory *memory)
{
	struct columns c;
	const json_t *o;
	size_t i;

	columns_init(&c, wide ? 7 : 6);
	columns_row(&c, "NAMESPACE", "NAME", "HOSTS", "LOCATION", "RESOLUTION", "AGE", "ADDRESSES");
	json_array_foreach (items, i, o) {
		char hosts[CELL], ips[CELL], age[CELL];
		const char *location = json_text(o, "spec", "location", NULL);
		const char *resolution = json_text(o, "spec", "resolution", NULL);
		const json_t *written = json_at(o, "spec", "addresses", NULL);
		columns_row(
			&c, ns_of(o), name_of(o),
			joined(json_at(o, "spec", "hosts", NULL), NULL, hosts),
			*location ? location : "MESH_EXTERNAL", *resolution ? resolution : "NONE",
			age_of(o, age),
			json_array_size(written)
				? joined(written, NULL, ips)
				: joined(json_at(o, "status", "addresses", NULL), "value", ips));
	}
	columns_print(&c, memory);
}

static void show_sidecars(const json_t *items, struct columns_memory *memory)
{
	struct columns c;
	const json_t *o;
	size_t i;

	columns_init(&c, 3);
	columns_row(&c, "NAMESPACE", "NAME", "AGE");
	json_array_foreach (items, i, o) {
		char age[CELL];
		columns_row(&c, ns_of(o), name_of(o), age_of(o, age));
	}
	columns_print(&c, memory);
}

void show_table(enum kind kind, const json_t *items, bool wide, struct columns_memory *memory)
{
	switch (kind) {
	case KIND_POD:
		show_pods(items, wide, memory);
		return;
	case KIND_SERVICE:
		show_services(items, wide, memory);
		return;
	case KIND_ENDPOINT_SLICE:
		show_slices(items, memory);
		return;
	case KIND_DEPLOYMENT:
		show_deployments(items, memory);
		return;
	case KIND_CONFIG_MAP:
		show_config_maps(items, memory);
		return;
	case KIND_NAMESPACE:
		show_namespaces(items, memory);
		return;
	case KIND_PEER_AUTHENTICATION:
		show_policies(items, "MODE", "mtls", "mode", memory);
		return;
	case KIND_DESTINATION_RULE:
		show_policies(items, "HOST", "host", NULL, memory);
		return;
	case KIND_AUTHORIZATION_POLICY:
		show_policies(items, "ACTION", "action", NULL, memory);
		return;
	case KIND_SERVICE_ENTRY:
		show_entries(items, wide, memory);
		return;
	case KIND_WORKLOAD_ENTRY:
		show_policies(items, "ADDRESS", "address", NULL, memory);
		return;
	case KIND_SIDECAR:
		show_sidecars(items, memory);
		return;
	case N_KINDS:
		return;
	}
}

bool show_yaml(enum kind kind, const json_t *o, struct err *err)
{
	char *text = json_dumps(o, JSON_COMPACT);
	struct object *object = object_from_json(kind, slice_of(text), false, err);
	struct buf yaml;

	buf_init(&yaml, YAML_MAX);
	bool ok = object != NULL;
	if (ok && !object_yaml(object, &yaml))
		ok = err_set(err, ERR_LIMIT, "the YAML is too long");
	if (ok)
		printf("---\n%.*s", SLICE_FMT(buf_slice(&yaml)));
	buf_fini(&yaml);
	object_put(object);
	free(text);
	return ok;
}
