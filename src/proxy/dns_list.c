/* GET /dns: which names the DNS proxy answers, and what it would answer for one. */
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "proxy/main_thread.h"

enum { LIST_BYTES = 64 << 20 };

static void addresses(struct json_out *j, const struct view *v, struct slice host)
{
	struct ip *ips = mem_array(VIEW_NAME_IPS, sizeof(*ips));
	struct view_name found;
	char text[ADDR_TEXT];
	json_open_array(j, "addresses");
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		if (!view_name(v, host, SLICE(""), f, ips, VIEW_NAME_IPS, &found))
			continue;
		for (size_t i = 0; i < found.n; i++)
			json_cstr(j, NULL, ip_text(&ips[i], text));
	}
	json_close(j);
	free(ips);
}

static void service(struct json_out *j, const struct view *v, const struct view_service *s)
{
	const struct service *spec = s->object->service;
	json_open_object(j, NULL);
	json_cstr(j, "host", s->host);
	if (spec->type == SERVICE_EXTERNAL_NAME)
		json_cstr(j, "alias_of", spec->external_name);
	else
		addresses(j, v, slice_of(s->host));
	json_close(j);
}

static void entry(struct json_out *j, const struct view *v, const struct view_service *s)
{
	json_open_object(j, NULL);
	json_cstr(j, "host", s->host);
	addresses(j, v, slice_of(s->host));
	json_close(j);
}

static void settings(struct json_out *j, const struct resolv_conf *conf)
{
	char text[ADDR_TEXT];
	json_open_array(j, "nameservers");
	for (unsigned i = 0; i < conf->n_servers; i++)
		json_cstr(j, NULL, ip_text(&conf->servers[i], text));
	json_close(j);
	json_cstr(j, "search", conf->search);
	json_u64(j, "ttl", DNS_PROXY_TTL_S);
}

static void all_names(struct json_out *j, const struct view *v, const struct resolv_conf *conf)
{
	size_t n = 0;
	const struct view_service **all = view_services(v, &n);
	json_open_object(j, NULL);
	settings(j, conf);
	json_open_array(j, "names");
	for (size_t i = 0; i < n; i++)
		service(j, v, all[i]);
	free(all);
	all = view_entries(v, &n);
	for (size_t i = 0; i < n; i++)
		if (all[i]->entry->n_ips)
			entry(j, v, all[i]);
	json_close(j);
	json_close(j);
	free(all);
}

/* As the proxy would answer it, with the search domain. */
static void one_name(struct json_out *j, const struct view *v, struct slice name,
		     const struct resolv_conf *conf)
{
	struct ip *ips = mem_array(VIEW_NAME_IPS, sizeof(*ips));
	struct view_name found = {0};
	char text[ADDR_TEXT];
	bool known = false;
	json_open_object(j, NULL);
	json_slice(j, "name", name);
	json_open_array(j, "addresses");
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		known = view_name(v, name, slice_of(conf->search), f, ips, VIEW_NAME_IPS, &found);
		for (size_t i = 0; known && i < found.n; i++)
			json_cstr(j, NULL, ip_text(&ips[i], text));
	}
	json_close(j);
	json_cstr(j, "alias_of", known ? found.alias : NULL);
	json_cstr(j, "answered_by",
		  known && !found.alias ? "mesh"
		  : known               ? "alias"
					: "nameservers");
	json_close(j);
	free(ips);
}

void list_names(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	struct slice name = rest_query(req, "name");
	struct buf out;
	struct json_out j;
	if (!p->dns) {
		rest_reply_text(reply, 404, "the DNS proxy is off");
		return;
	}
	if (!p->view) {
		rest_reply_text(reply, 503, "no configuration yet");
		return;
	}
	buf_init(&out, LIST_BYTES);
	json_out_init(&j, &out);
	if (name.at)
		one_name(&j, p->view, name, dns_proxy_conf(p->dns));
	else
		all_names(&j, p->view, dns_proxy_conf(p->dns));
	if (out.full)
		rest_reply_text(reply, 500, "longer than %d bytes", LIST_BYTES);
	else
		rest_reply_full(reply, 200, "application/json", buf_slice(&out));
	buf_fini(&out);
}
