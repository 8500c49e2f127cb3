#include "local/own_service.h"

#include <stdlib.h>

static const char *const family_name[] = {[IP_V4] = "IPv4", [IP_V6] = "IPv6"};
static const char *const family_suffix[] = {[IP_V4] = "ipv4", [IP_V6] = "ipv6"};

static bool write_json(struct store *store, enum kind kind, json_t *root, struct err *err)
{
	char *text = json_dumps(root, JSON_COMPACT);
	struct object *o = object_from_json(kind, slice_of(text), false, err);
	bool ok = o && store_apply(store, o, STORE_CREATE_OR_REPLACE, 0, NULL, err);
	object_put(o);
	free(text);
	json_decref(root);
	return ok;
}

static bool write_slice(struct store *store, const struct node *node, const struct own_service *s,
			enum ip_family f, struct err *err)
{
	const struct ip *ip = f == IP_V4 ? &node->gateway_v4 : &node->gateway_v6;
	char text[ADDR_TEXT];
	return write_json(store, KIND_ENDPOINT_SLICE,
			  json_pack("{s:s, s:s, s:{s:s++, s:s, s:{s:s}}, s:s, s:[{s:[s]}], s:O}",
				    "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice",
				    "metadata", "name", s->name, "-", family_suffix[f], "namespace",
				    s->ns, "labels", "kubernetes.io/service-name", s->name,
				    "addressType", family_name[f], "endpoints", "addresses",
				    ip_text(ip, text), "ports", s->ports),
			  err);
}

struct ip own_service_ip(const struct node *node, unsigned number, enum ip_family f)
{
	return cidr_nth(f == IP_V4 ? &node->cfg.services_v4 : &node->cfg.services_v6, number);
}

static json_t *spec_of(const struct node *node, const struct own_service *s)
{
	json_t *ips = json_array(), *families = json_array();
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		struct ip ip = own_service_ip(node, s->number, f);
		char text[ADDR_TEXT];
		if (f == IP_V6 && !node->ipv6)
			continue;
		json_array_append_new(ips, json_string(ip_text(&ip, text)));
		json_array_append_new(families, json_string(family_name[f]));
	}
	json_t *spec = json_pack("{s:o, s:O}", "ipFamilies", families, "ports", s->ports);
	if (s->number) {
		json_object_set(spec, "clusterIP", json_array_get(ips, 0));
		json_object_set(spec, "clusterIPs", ips);
	}
	json_decref(ips);
	return spec;
}

static bool write_all(struct store *store, const struct node *node, const struct own_service *s,
		      struct err *err)
{
	if (!store_get(store, KIND_NAMESPACE, "", s->ns) &&
	    !write_json(store, KIND_NAMESPACE,
			json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace",
				  "metadata", "name", s->ns),
			err))
		return false;
	return write_json(store, KIND_SERVICE,
			  json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", "v1", "kind",
				    "Service", "metadata", "name", s->name, "namespace", s->ns,
				    "spec", spec_of(node, s)),
			  err) &&
	       write_slice(store, node, s, IP_V4, err) &&
	       (!node->ipv6 || write_slice(store, node, s, IP_V6, err));
}

bool own_service_write(struct store *store, const struct node *node, const struct own_service *s,
		       struct err *err)
{
	bool ok = write_all(store, node, s, err);
	json_decref(s->ports);
	return ok;
}
