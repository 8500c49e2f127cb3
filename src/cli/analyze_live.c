#include "cli/analyze_live.h"

#include <stdlib.h>
#include <string.h>

#include "cli/sidecar.h"

static void read_object(enum kind kind, const json_t *item, struct analysis *a)
{
	struct err err = {0};
	char *text = json_dumps(item, JSON_COMPACT);
	struct object *o = object_from_json(kind, slice_of(text), false, &err);
	free(text);
	if (o)
		analysis_add(a, o);
	else
		analysis_unreadable(a, kind, json_text(item, "metadata", "namespace", NULL),
				    json_text(item, "metadata", "name", NULL), err.text);
	object_put(o);
}

/* The list of KIND, whose objects have gone into the analysis; NULL: ERR. */
static json_t *read_kind(const struct mesh_client *c, enum kind kind, struct analysis *a,
			 struct err *err)
{
	char path[512];
	const json_t *item;
	size_t i;
	api_path(kind_info(kind), NULL, NULL, path, sizeof(path));
	json_t *list = mesh_client_get(c, path, err);
	if (!list) {
		err_wrap(err, "%s", kind_info(kind)->plural); /* NULL says so too */
		return NULL;
	}
	json_array_foreach (json_object_get(list, "items"), i, item) {
		read_object(kind, item, a);
	}
	return list;
}

static unsigned count_of(const json_t *port, const char *member)
{
	json_int_t n = json_integer_value(json_object_get(port, member));
	return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (unsigned)n;
}

/* One of the ports that a sidecar tells of. */
static void read_port(const json_t *port, struct analysis *a)
{
	/* "shop/db", or a ServiceEntry's host */
	struct slice service = slice_of(json_text(port, "service", NULL));
	bool host = slice_find(service, '/') == service.len;
	struct slice ns = host ? SLICE("") : slice_cut(&service, '/');
	char ns_text[256], name_text[256];
	unsigned number = count_of(port, "port");
	if (service.len == 0 || number == 0 || number > UINT16_MAX)
		return; /* of a Pod's port that no Service has: nobody could declare it */
	snprintf(ns_text, sizeof(ns_text), "%.*s", SLICE_FMT(ns));
	snprintf(name_text, sizeof(name_text), "%.*s", SLICE_FMT(service));
	struct learned_port seen = {
		.ns = ns_text,
		.service = name_text,
		.port = (uint16_t)number,
		.inbound = strcmp(json_text(port, "side", NULL), "inbound") == 0,
		.server_first = count_of(port, "server_first"),
		.client_http = count_of(port, "client_http"),
		.client_tls = count_of(port, "client_tls"),
		.client_opaque = count_of(port, "client_opaque"),
		.greeting = json_text(port, "greeting", NULL),
		.in_clear = json_text(port, "in_clear", NULL),
	};
	analysis_learned(a, &seen);
}

static void read_learned(const struct mesh_client *c, const json_t *pod, struct analysis *a)
{
	struct err err = {0};
	struct buf out;
	unsigned status = 0;
	const json_t *port;
	size_t i;
	buf_init(&out, SIDECAR_ANSWER_MAX);
	bool ok = sidecar_get(c, pod, "/learned", &status, &out, &err) && status == 200;
	json_t *root = ok ? json_loadb(buf_slice(&out).at, buf_len(&out), 0, NULL) : NULL;
	if (!root)
		fprintf(stderr,
			"hark analyze: note: what the sidecar of %s/%s has learnt is missing%s%s\n",
			pod_ns(pod), pod_name(pod), err.text[0] ? ": " : "", err.text);
	json_array_foreach (json_object_get(root, "ports"), i, port) {
		read_port(port, a);
	}
	json_decref(root);
	buf_fini(&out);
}

bool analyze_live_read(const struct mesh_client *c, struct analysis *a, struct err *err)
{
	const json_t *pod;
	size_t i;
	for (enum kind k = 0; k < N_KINDS; k++) {
		json_t *list = read_kind(c, k, a, err);
		if (!list)
			return false;
		json_array_foreach (json_object_get(list, "items"), i, pod) {
			if (k == KIND_POD && sidecar_is_there(pod))
				read_learned(c, pod, a);
		}
		json_decref(list);
	}
	return true;
}
