#include "local/service_ips.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"

/* Numbers below this are for Services that ask for an address, as Kubernetes keeps a band for
 * them. */
enum { STATIC_BAND = 256 };

static const char *const family_name[] = {[IP_V4] = "IPv4", [IP_V6] = "IPv6"};

static bool can_have_ips(const struct service *s)
{
	return s->type != SERVICE_EXTERNAL_NAME && !s->headless;
}

void service_ips_init(struct service_ips *ips, const struct node_config *cfg, bool ipv6,
		      const struct store *store)
{
	size_t n = 0;
	struct object *const *all = store_all(store, KIND_SERVICE, NULL, &n);

	ips->store = store;
	ips->pool[IP_V4] = ip_pool_new(&cfg->services_v4, STATIC_BAND);
	ips->pool[IP_V6] = ipv6 ? ip_pool_new(&cfg->services_v6, STATIC_BAND) : NULL;
	for (size_t i = 0; i < n; i++)
		for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
			if (ips->pool[f] && all[i]->service->has_ip[f])
				/* may be outside: the range was checked when it came */
				(void)ip_pool_claim(ips->pool[f], &all[i]->service->cluster_ip[f]);
}

void service_ips_fini(struct service_ips *ips)
{
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
		ip_pool_free(ips->pool[f]);
}

/* What the store has under SVC's name, when that can lend its addresses. */
static const struct service *stored(const struct service_ips *ips, const struct object *svc)
{
	const struct object *o = store_get(ips->store, KIND_SERVICE, svc->meta.ns, svc->meta.name);
	return o ? o->service : NULL;
}

static bool has_already(const struct service *old, enum ip_family f, const struct ip *ip)
{
	return old && old->has_ip[f] && ip_eq(&old->cluster_ip[f], ip);
}

bool service_ips_claim(struct service_ips *ips, const struct object *svc, struct err *err)
{
	const struct service *s = svc->service, *old = stored(ips, svc);
	char ip[ADDR_TEXT];

	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		if (!s->has_ip[f] || has_already(old, f, &s->cluster_ip[f]))
			continue;
		ip_text(&s->cluster_ip[f], ip);
		if (!ips->pool[f])
			return err_set(err, ERR_BAD_INPUT, "%s: this machine has no %s", ip,
				       family_name[f]);
		switch (ip_pool_claim(ips->pool[f], &s->cluster_ip[f])) {
		case IP_POOL_CLAIMED:
			break;
		case IP_POOL_TAKEN:
			return err_set(err, ERR_CONFLICT, "%s is another Service's already", ip);
		case IP_POOL_OUTSIDE:
			return err_set(err, ERR_BAD_INPUT,
				       "%s is not in the range of the mesh's virtual IPs", ip);
		}
	}
	return true;
}

bool service_ips_wants(const struct object *svc, bool ipv6)
{
	const struct service *s = svc->service;
	return can_have_ips(s) && ((s->want_family[IP_V4] && !s->has_ip[IP_V4]) ||
				   (ipv6 && s->want_family[IP_V6] && !s->has_ip[IP_V6]));
}

bool service_ips_wanting(const struct service_ips *ips, const struct object *svc)
{
	return service_ips_wants(svc, ips->pool[IP_V6] != NULL);
}

/* Of "ns/name": where to begin looking for a free address. */
static uint32_t hint_of(const struct object *svc)
{
	uint32_t h = fnv1a(FNV1A, slice_of(svc->meta.ns));
	h = fnv1a(fnv1a(h, SLICE("/")), slice_of(svc->meta.name));
	return h & 0x7fffffff;
}

/* The order that the Service wants its families in: as in ipFamilies, IPv4 first by default. */
static enum ip_family primary_family(const json_t *spec)
{
	const char *first =
		json_string_value(json_array_get(json_object_get(spec, "ipFamilies"), 0));
	return first && strcmp(first, "IPv6") == 0 ? IP_V6 : IP_V4;
}

static struct object *with_ips(const struct object *svc, const struct ip *ip, const bool *has,
			       struct err *err)
{
	json_t *root = json_loadb(svc->json.at, svc->json.len, 0, NULL);
	json_t *spec = json_object_get(root, "spec");
	json_t *list = json_array(), *families = json_array();
	enum ip_family first = primary_family(spec);

	for (int i = 0; i < N_IP_FAMILIES; i++) {
		enum ip_family f = i == 0 ? first : (first == IP_V4 ? IP_V6 : IP_V4);
		char text[ADDR_TEXT];
		if (!has[f])
			continue;
		json_array_append_new(list, json_string(ip_text(&ip[f], text)));
		json_array_append_new(families, json_string(family_name[f]));
	}
	json_object_set(spec, "clusterIP", json_array_get(list, 0));
	if (!json_object_get(spec, "ipFamilyPolicy"))
		json_object_set_new(
			spec, "ipFamilyPolicy",
			json_string(json_array_size(list) > 1 ? "PreferDualStack" : "SingleStack"));
	json_object_set_new(spec, "clusterIPs", list);
	json_object_set_new(spec, "ipFamilies", families);
	char *text = json_dumps(spec, JSON_COMPACT);
	struct object *full = object_with(svc, "spec", slice_of(text), err);
	free(text);
	json_decref(root);
	return full;
}

struct object *service_ips_fill(struct service_ips *ips, const struct object *svc, struct err *err)
{
	const struct service *s = svc->service, *old = stored(ips, svc);
	struct ip ip[N_IP_FAMILIES];
	bool has[N_IP_FAMILIES];

	if (!service_ips_wanting(ips, svc))
		return object_get(svc);
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		has[f] = s->has_ip[f];
		ip[f] = s->cluster_ip[f];
		if (has[f] || !s->want_family[f] || !ips->pool[f])
			continue;
		has[f] = true;
		if (old && old->has_ip[f]) {
			ip[f] = old->cluster_ip[f];
		} else if (!ip_pool_take(ips->pool[f], hint_of(svc), &ip[f])) {
			(void)err_set(err, ERR_LIMIT, "no %s address is left for a virtual IP",
				      family_name[f]);
			return NULL;
		}
	}
	return with_ips(svc, ip, has, err);
}
