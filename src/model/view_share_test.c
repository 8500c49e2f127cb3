/* A view that went on from the one before says what a view from nothing would say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/view.h"

enum {
	STEPS = 600,
	CHANGES_MAX = 3, /* before the next view */
	SERVICES = 6,
	SLICES = 8,
	PODS = 5,
	POLICIES = 3,
	ENTRIES = 4,
	KEPT = 10, /* old views, as connections keep them */
	DUMP_MAX = 1 << 20,
	MANY = 2000,
};

/* The same draws in each run. */
static uint32_t draw(uint32_t below)
{
	static uint32_t x = 362436069u;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % below;
}

/* What the API has: the text of each object, or nothing. */
struct slot {
	enum kind kind;
	char ns[16], name[32];
	char *json;
};

struct api {
	struct slot slots[200];
	size_t n;
};

static const char *const spaces[] = {"shop", "web"};
static const char *const apps[] = {"db", "front"};

static struct slot *slot(struct api *api, enum kind kind, const char *ns, const char *name)
{
	for (size_t i = 0; i < api->n; i++)
		if (api->slots[i].kind == kind && strcmp(api->slots[i].ns, ns) == 0 &&
		    strcmp(api->slots[i].name, name) == 0)
			return &api->slots[i];
	struct slot *s = &api->slots[api->n++];
	assert_true(api->n < N_ELEMS(api->slots));
	s->kind = kind;
	(void)snprintf(s->ns, sizeof(s->ns), "%s", ns);
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	return s;
}

/* MORE: members behind metadata, in single quotes; META: members of metadata, with a comma before. */
static void put(struct view_builder *b, struct slot *s, const char *meta, const char *more)
{
	char text[2048];
	struct err err = {0};
	(void)snprintf(text, sizeof(text),
		       "{'metadata':{'namespace':'%s','name':'%s','resourceVersion':'%u',"
		       "'creationTimestamp':'2026-01-01T00:00:%02uZ'%s}%s}",
		       s->ns, s->name, 1 + draw(1000000), draw(60), meta, more);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	if (!view_builder_set_json(b, s->kind, slice_of(text), &err))
		fail_msg("%s: %s", err.text, text);
	free(s->json);
	s->json = mem_strdup(text);
}

static void forget(struct view_builder *b, struct slot *s)
{
	MEM_FREE(s->json);
	view_builder_remove(b, s->kind, s->ns, s->name);
}

static void change_service(struct api *api, struct view_builder *b)
{
	char name[32], more[512];
	uint32_t i = draw(SERVICES);
	(void)snprintf(name, sizeof(name), "s%u", i);
	struct slot *s = slot(api, KIND_SERVICE, spaces[i % 2], name);
	static const char *const ips[] = {"'clusterIP':'None'", "'clusterIP':'198.19.0.1'",
					  "'clusterIP':'198.19.0.2'"};
	static const char *const ports[] = {"{'port':80}",
					    "{'name':'http-a','port':80},{'name':'b','port':81}",
					    "{'name':'b','port':81,'targetPort':8081}"};
	if (draw(5) == 0) {
		forget(b, s);
		return;
	}
	(void)snprintf(more, sizeof(more), ",'spec':{%s,'ports':[%s]%s%s}", ips[draw(3)],
		       ports[draw(3)], draw(2) ? ",'selector':{'app':'db'}" : "",
		       draw(4) ? "" : ",'publishNotReadyAddresses':true");
	put(b, s, draw(4) ? "" : ",'annotations':{'hark.mesh/detection':'client-first'}", more);
}

static void change_slice(struct api *api, struct view_builder *b)
{
	char name[32], meta[128], more[512];
	uint32_t i = draw(SLICES), service = draw(SERVICES);
	(void)snprintf(name, sizeof(name), "e%u", i);
	struct slot *s = slot(api, KIND_ENDPOINT_SLICE, spaces[i % 2], name);
	if (draw(5) == 0) {
		forget(b, s);
		return;
	}
	(void)snprintf(meta, sizeof(meta), ",'labels':{'kubernetes.io/service-name':'s%u'}",
		       service);
	(void)snprintf(more, sizeof(more),
		       ",'addressType':'IPv4','endpoints':[{'addresses':['198.18.0.%u'],"
		       "'conditions':{'ready':%s}},{'addresses':['198.18.0.%u']}],"
		       "'ports':[{'name':'%s','port':%u}]",
		       1 + draw(PODS + 2), draw(3) ? "true" : "false", 1 + draw(PODS + 2),
		       draw(2) ? "" : "b", 8080 + draw(2));
	put(b, s, meta, more);
}

/* They select Pods, the own one among them, whether clients here may see them or not. */
static void change_entry(struct api *api, struct view_builder *b)
{
	char name[32], more[512];
	uint32_t i = draw(ENTRIES);
	(void)snprintf(name, sizeof(name), "h%u", i);
	struct slot *s = slot(api, KIND_SERVICE_ENTRY, spaces[i % 2], name);
	if (draw(4) == 0) {
		forget(b, s);
		return;
	}
	(void)snprintf(more, sizeof(more),
		       ",'spec':{'hosts':['h%u.example.com'],'resolution':'STATIC','ports':[{"
		       "'number':%u,'name':'a','protocol':'%s','targetPort':%u}],"
		       "'workloadSelector':{'labels':{'app':'%s'}}%s}",
		       draw(2), 80 + draw(2), draw(2) ? "TCP" : "MYSQL", 8080 + draw(2),
		       apps[draw(2)], draw(2) ? "" : ",'exportTo':['far']");
	put(b, s, "", more);
}

/* Pod 0 is the own one. */
static void change_pod(struct api *api, struct view_builder *b)
{
	char name[32], meta[256], more[512];
	uint32_t i = draw(PODS);
	(void)snprintf(name, sizeof(name), "p%u", i);
	struct slot *s = slot(api, KIND_POD, spaces[i % 2], name);
	if (draw(6) == 0) {
		forget(b, s);
		return;
	}
	(void)snprintf(meta, sizeof(meta), ",'labels':{'app':'%s'}%s", apps[draw(2)],
		       draw(2) ? ",'annotations':{'sidecar.istio.io/status':'{}'}" : "");
	(void)snprintf(more, sizeof(more),
		       ",'spec':{'containers':[{'name':'c','command':['x'],'ports':["
		       "{'containerPort':%u}]}]},'status':{'phase':'%s','podIP':'198.18.0.%u',"
		       "'podIPs':[{'ip':'198.18.0.%u'}]}",
		       8080 + draw(3), draw(6) ? "Running" : "Failed", i + 1, i + 1);
	if (draw(6) == 0)
		(void)snprintf(more, sizeof(more),
			       ",'spec':{'containers':[{'name':'c','command':['x']}]},'status':{}");
	put(b, s, meta, more);
}

static void change_policy(struct api *api, struct view_builder *b)
{
	static const enum kind kinds[] = {KIND_PEER_AUTHENTICATION, KIND_DESTINATION_RULE,
					  KIND_AUTHORIZATION_POLICY};
	char name[32], more[512];
	enum kind kind = kinds[draw(3)];
	uint32_t i = draw(POLICIES);
	(void)snprintf(name, sizeof(name), "r%u", i);
	struct slot *s = slot(api, kind, i == 2 ? "istio-system" : spaces[i], name);
	if (draw(3) == 0) {
		forget(b, s);
		return;
	}
	if (kind == KIND_DESTINATION_RULE)
		(void)snprintf(more, sizeof(more),
			       ",'spec':{'host':'s%u.%s.svc.cluster.local'%s,"
			       "'trafficPolicy':{'tls':{'mode':'%s'}}}",
			       draw(SERVICES), spaces[draw(2)],
			       draw(2) ? "" : ",'workloadSelector':{'matchLabels':{'app':'db'}}",
			       draw(2) ? "DISABLE" : "ISTIO_MUTUAL");
	else
		(void)snprintf(more, sizeof(more), ",'spec':{%s%s}",
			       draw(2) ? "'selector':{'matchLabels':{'app':'db'}}," : "",
			       kind == KIND_PEER_AUTHENTICATION ? "'mtls':{'mode':'STRICT'}"
								: "'action':'DENY'");
	put(b, s, "", more);
}

static void change_mesh(struct api *api, struct view_builder *b)
{
	struct slot *s = slot(api, KIND_CONFIG_MAP, "istio-system", "istio");
	char more[256];
	(void)snprintf(more, sizeof(more), ",'data':{'mesh':'protocolDetectionTimeout: %us\\n'}",
		       1 + draw(3));
	put(b, s, "", more);
}

/* Everything that can be asked of V. */

static void put_text(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put_text(struct buf *out, const char *fmt, ...)
{
	char text[600];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut alike */
	va_end(args);
	assert_true(buf_puts(out, text));
}

static void dump_port(const struct view *v, const struct view_port *p, struct buf *out)
{
	char text[ADDR_TEXT];
	put_text(out, "  port %u %d %d %s %u tls %d v4 %zu ready %zu\n", p->port->port,
		 (int)p->protocol, (int)p->detection, p->detection_from, p->detection_timeout_ms,
		 p->tls ? (int)p->tls->mode : -1, p->n_v4, p->n_endpoints);
	for (size_t i = 0; i < p->n_known; i++) {
		const struct view_endpoint *ep = &p->endpoints[i], *found = NULL;
		const struct workload *w = view_workload_by_ip(v, &ep->at.ip);
		const struct view_port *headless = view_port_by_headless(v, &ep->at, &found);
		put_text(out, "    %s %d %s headless %s %d\n", addr_text(&ep->at, text), ep->ready,
			 w ? w->pod->meta.name : "-",
			 headless ? headless->service->object->meta.name : "-",
			 found ? found->ready : -1);
	}
}

static void dump_service(const struct view *v, const struct view_service *s, struct buf *out)
{
	struct ip ips[8];
	struct addr vip = {.ip = s->object->service->cluster_ip[IP_V4], .port = 80};
	const struct view_service *by_vip = view_service_by_vip(v, &vip.ip);
	const struct view_port *port = view_port_by_vip(v, &vip);
	put_text(out, "%s %llu rule %s vip %s %u resolves %zu\n", s->host,
		 (unsigned long long)s->object->meta.resource_version,
		 s->rule ? s->rule->rules[0]->meta.name : "-",
		 by_vip ? by_vip->object->meta.name : "-", port ? port->port->port : 0,
		 view_resolve(v, slice_of(s->host), ips, N_ELEMS(ips)));
	assert_ptr_equal(view_service_by_name(v, s->object->meta.ns, s->object->meta.name), s);
	for (size_t i = 0; i < s->n_ports; i++)
		dump_port(v, &s->ports[i], out);
}

static void dump_workload(const struct workload *w, struct buf *out)
{
	if (!w)
		return;
	struct mtls_answer mtls = view_mtls(w, 80);
	put_text(out, "%s/%s %s sidecar %d mtls %d by %s\n", w->pod->meta.ns, w->pod->meta.name,
		 w->app, w->has_sidecar, (int)mtls.mode, mtls.by ? mtls.by->meta.name : "-");
}

static void dump(const struct view *v, struct buf *out)
{
	size_t n = 0;
	const struct view_service **all = view_services(v, &n);
	for (size_t i = 0; i < n; i++)
		dump_service(v, all[i], out);
	free(all);
	all = view_entries(v, &n);
	for (size_t i = 0; i < n; i++) {
		put_text(out, "%s of %s\n", all[i]->host, all[i]->object->meta.name);
		for (size_t k = 0; k < all[i]->n_ports; k++)
			dump_port(v, &all[i]->ports[k], out);
	}
	free(all);
	put_text(out, "self\n");
	dump_workload(view_self(v), out);
	for (uint32_t i = 0; i < PODS + 2; i++) {
		struct ip ip = ip_v4(0xc6120001 + i);
		dump_workload(view_workload_by_ip(v, &ip), out);
	}
	for (uint16_t port = 79; port < 8090; port++) {
		const struct inbound_port *in = view_inbound_port(v, port);
		if (in->port)
			put_text(out, "inbound %u %s %d %d %u\n", port,
				 in->service_port ? in->service_port->service->host : "-",
				 (int)in->protocol, (int)in->detection, in->detection_timeout_ms);
		port = port == 90 ? 8079 : port;
	}
	put_text(out, "authz %zu timeout %u\n", view_authz(v)->n_policies,
		 view_mesh(v)->protocol_detection_timeout_ms);
	for (size_t k = 0; k < N_KINDS; k++)
		put_text(out, "%zu ", view_count(v, (enum kind)k));
}

static struct view *from_nothing(const struct api *api)
{
	struct view_builder *b = view_builder_new("shop", "p0");
	struct err err = {0};
	for (size_t i = 0; i < api->n; i++)
		if (api->slots[i].json)
			assert_true(view_builder_set_json(b, api->slots[i].kind,
							  slice_of(api->slots[i].json), &err));
	struct view *v = view_build(b, NULL);
	view_builder_free(b);
	return v;
}

static void expect_same(const struct view *v, const struct view *w)
{
	struct buf a, b;
	buf_init(&a, DUMP_MAX);
	buf_init(&b, DUMP_MAX);
	dump(v, &a);
	dump(w, &b);
	if (!slice_eq(buf_slice(&a), buf_slice(&b)))
		fail_msg("went on:\n%s\nfrom nothing:\n%s", buf_cstr(&a), buf_cstr(&b));
	buf_fini(&a);
	buf_fini(&b);
}

static void any_changes(void **state)
{
	(void)state;
	void (*const changes[])(struct api *, struct view_builder *) = {
		change_service, change_service, change_slice, change_slice,
		change_slice,   change_pod,     change_pod,   change_policy,
		change_policy,  change_entry,   change_entry};
	static struct api api;
	struct live *live = live_new();
	struct view_builder *b = view_builder_new("shop", "p0");
	struct view *kept[KEPT] = {0}, *kept_anew[KEPT] = {0};
	for (size_t step = 0; step < STEPS; step++) {
		for (uint32_t n = draw(CHANGES_MAX + 1); n--;)
			changes[draw(N_ELEMS(changes))](&api, b);
		if (draw(20) == 0)
			change_mesh(&api, b);
		struct view *v = view_build(b, live), *anew = from_nothing(&api);
		expect_same(v, anew);
		size_t i = draw(KEPT);
		if (kept[i]) /* what came later has not touched it */
			expect_same(kept[i], kept_anew[i]);
		view_put(kept[i]);
		view_put(kept_anew[i]);
		kept[i] = v;
		kept_anew[i] = anew;
		live_sweep(live, 1000);
	}
	view_builder_free(b);
	for (size_t i = 0; i < KEPT; i++) {
		if (kept[i])
			expect_same(kept[i], kept_anew[i]);
		view_put(kept[i]);
		view_put(kept_anew[i]);
	}
	live_free(live);
	for (size_t i = 0; i < api.n; i++)
		free(api.slots[i].json);
}

static void set_nth(struct view_builder *b, uint32_t i, uint32_t endpoint)
{
	char text[512];
	struct err err = {0};
	(void)snprintf(text, sizeof(text),
		       "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"s%u\"},\"spec\":{"
		       "\"clusterIP\":\"198.19.%u.%u\",\"ports\":[{\"port\":80}]}}",
		       i, 1 + i / 250, i % 250);
	assert_true(view_builder_set_json(b, KIND_SERVICE, slice_of(text), &err));
	(void)snprintf(text, sizeof(text),
		       "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"s%u-a\",\"labels\":{"
		       "\"kubernetes.io/service-name\":\"s%u\"}},\"addressType\":\"IPv4\","
		       "\"endpoints\":[{\"addresses\":[\"198.18.0.%u\"]}],\"ports\":[{\"port\":"
		       "80}]}",
		       i, i, endpoint);
	assert_true(view_builder_set_json(b, KIND_ENDPOINT_SLICE, slice_of(text), &err));
}

/* No clock: a change leaves the others as they were, in the same place. */
static void others_are_shared(void **state)
{
	(void)state;
	struct view_builder *b = view_builder_new("shop", "p0");
	for (uint32_t i = 0; i < MANY; i++)
		set_nth(b, i, 1);
	struct view *before = view_build(b, NULL);
	set_nth(b, 1000, 2);
	struct view *after = view_build(b, NULL);
	size_t n = 0, m = 0, same = 0;
	const struct view_service **old = view_services(before, &n),
				  **new = view_services(after, &m);
	assert_int_equal(n, MANY);
	assert_int_equal(m, MANY);
	for (size_t i = 0; i < n; i++)
		same += old[i] == new[i];
	assert_int_equal(same, MANY - 1);
	const struct view_service *s = view_service_by_name(before, "shop", "s1000");
	const struct view_service *t = view_service_by_name(after, "shop", "s1000");
	assert_int_equal(ip_to_v4(&s->ports[0].endpoints[0].at.ip), 0xc6120001);
	assert_int_equal(ip_to_v4(&t->ports[0].endpoints[0].at.ip), 0xc6120002);
	free(old);
	free(new);
	view_put(after);
	view_builder_free(b);
	assert_ptr_equal(view_service_by_vip(before, &s->object->service->cluster_ip[IP_V4]), s);
	view_put(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_changes),
		cmocka_unit_test(others_are_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
