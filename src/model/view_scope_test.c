/* What a sidecar sees: exportTo, Sidecars, and what counts for what comes in nevertheless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/view_fixture.h"

#define HOSTS                                                                                      \
	SE("all", "far", "01")                                                                     \
	"  hosts: [all.example.com]\n  ports: [{number: 80, name: a}]\n" SE(                       \
		"own", "far",                                                                      \
		"01") "  hosts: [own.example.com]\n  exportTo: [.]\n  ports: [{number: 80, name: " \
		      "a}]\n" SE("us", "far", "01") "  hosts: [us.example.com]\n  exportTo: "      \
						    "[shop]\n  ports: [{number: 80, name: "        \
						    "a}]\n" SE("no", "shop",                       \
							       "01") "  hosts: "                   \
								     "[no.example.com]\n  "        \
								     "exportTo: ['~']\n  ports: "  \
								     "[{number: 80, name: "        \
								     "a}]\n" SE("here", "shop",    \
										"01") "  hosts: "  \
										      "[here."     \
										      "example."   \
										      "com]\n  "   \
										      "exportTo: " \
										      "[.]\n  "    \
										      "ports: "    \
										      "[{number: " \
										      "80, name: " \
										      "a}]\n"      \
										      "---"        \
										      "\napiVersi" \
										      "on: "       \
										      "v1\nkind: " \
										      "Service\nm" \
										      "etadata: "  \
										      "{name: "    \
										      "svc, "      \
										      "namespace:" \
										      " far, "     \
										      "annotation" \
										      "s: "        \
										      "{networkin" \
										      "g.istio."   \
										      "io/"        \
										      "exportTo: " \
										      "'x, "       \
										      "shop'}}\n"  \
										      "spec: "     \
										      "{clusterIP" \
										      ": "         \
										      "10.9.0.2, " \
										      "ports: "    \
										      "[{port: "   \
										      "80}]}\n"    \
										      "---"        \
										      "\napiVersi" \
										      "on: "       \
										      "v1\nkind: " \
										      "Service\nm" \
										      "etadata: "  \
										      "{name: "    \
										      "hid, "      \
										      "namespace:" \
										      " far, "     \
										      "annotation" \
										      "s: "        \
										      "{networkin" \
										      "g.istio."   \
										      "io/"        \
										      "exportTo: " \
										      ".}}\n"      \
										      "spec: "     \
										      "{clusterIP" \
										      ": "         \
										      "10.9.0.3, " \
										      "ports: "    \
										      "[{port: "   \
										      "80}]}\n"
#define SIDECAR(name, ns, spec)                                                                    \
	"---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " name           \
	", namespace: " ns "}\nspec: " spec "\n"

static const struct {
	const char *rule, *more;
	const char *known; /* of all us here svc */
} scopes[] = {
	{"exportTo alone", "", "all us here svc"},
	{"the mesh's default",
	 "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: "
	 "istio-system}\ndata: {mesh: 'defaultServiceExportTo: [.]'}\n",
	 "us here svc"},
	{"the own namespace", SIDECAR("default", "shop", "{egress: [{hosts: ['./*']}]}"), "here"},
	{"one host of another",
	 SIDECAR("default", "shop",
		 "{egress: [{hosts: ['./*']}, {hosts: ['far/us.example.com']}]}"),
	 "us here"},
	{"a star", SIDECAR("default", "shop", "{egress: [{hosts: ['*/*.example.com']}]}"),
	 "all us here"},
	{"less one",
	 SIDECAR("default", "shop", "{egress: [{hosts: ['*/*', '~far/us.example.com']}]}"),
	 "all here svc"},
	{"less one wherever it is",
	 SIDECAR("default", "shop", "{egress: [{hosts: ['*/*', '~/here.example.com']}]}"),
	 "all us svc"},
	{"nothing", SIDECAR("default", "shop", "{egress: [{hosts: ['~/*']}]}"), ""},
	{"no egress is everything", SIDECAR("default", "shop", "{}"), "all us here svc"},
	{"of the root namespace",
	 SIDECAR("default", "istio-system", "{egress: [{hosts: ['./*']}]}"), "here"},
	{"the namespace before the root",
	 SIDECAR("default", "istio-system", "{egress: [{hosts: ['./*']}]}")
		 SIDECAR("default", "shop", "{egress: [{hosts: ['*/*']}]}"),
	 "all us here svc"},
	{"the workload before the namespace",
	 SIDECAR("default", "shop", "{egress: [{hosts: ['*/*']}]}")
		 SIDECAR("web", "shop",
			 "{workloadSelector: {labels: {app: web}}, egress: [{hosts: ['./*']}]}"),
	 "here"},
	{"another workload's",
	 SIDECAR("web", "shop",
		 "{workloadSelector: {labels: {app: db}}, egress: [{hosts: ['./*']}]}"),
	 "all us here svc"},
	{"another namespace's", SIDECAR("default", "far", "{egress: [{hosts: ['./*']}]}"),
	 "all us here svc"},
};

static void scope(void **state)
{
	static const char *const hosts[] = {"all", "own", "us", "no", "here"};
	(void)state;
	for (size_t i = 0; i < N_ELEMS(scopes); i++) {
		char text[8192], known[256] = "";
		(void)snprintf(text, sizeof(text),
			       "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: "
			       "shop, labels: {app: web}}\nspec: {containers: [{name: c}]}\n" HOSTS
			       "%s",
			       scopes[i].more);
		struct view *v = test_view("shop", "web-1", text);
		print_message("%s\n", scopes[i].rule);
		for (size_t k = 0; k < N_ELEMS(hosts); k++) {
			char host[64];
			(void)snprintf(host, sizeof(host), "%s.example.com", hosts[k]);
			if (view_entry_by_host(v, slice_of(host)))
				(void)snprintf(&known[strlen(known)], sizeof(known) - strlen(known),
					       "%s%s", known[0] ? " " : "", hosts[k]);
		}
		bool svc = vip_host(v, "10.9.0.2:80") != NULL;
		assert_int_equal(svc, view_service_by_name(v, "far", "svc") != NULL);
		if (svc)
			(void)snprintf(&known[strlen(known)], sizeof(known) - strlen(known),
				       " svc");
		assert_string_equal(known, scopes[i].known);
		assert_null(vip_host(v, "10.9.0.3:80"));
		view_put(v);
	}
}

/* A host in two namespaces: the own one's, then the oldest's. */
static void namespaces(void **state)
{
	(void)state;
	static const char text[] =
		SE("a", "old",
		   "01") "  hosts: [a.b]\n  addresses: [10.0.0.1]\n  ports: [{number: 80, name: "
			 "a}]\n" SE("a", "shop", "02") "  hosts: [a.b]\n  addresses: [10.0.0.2]\n  "
						       "ports: [{number: 80, name: a}]\n";
	struct view *v = test_view("shop", "web-1", text);
	assert_string_equal(vip_host(v, "10.0.0.2:80"), "a.b");
	assert_null(vip_host(v, "10.0.0.1:80"));
	view_put(v);
	v = test_view("else", "x", text);
	assert_string_equal(vip_host(v, "10.0.0.1:80"), "a.b");
	assert_null(vip_host(v, "10.0.0.2:80"));
	view_put(v);
}

/* Behind the own Pod's port stands an entry that selects it. */
static void inbound(void **state)
{
	(void)state;
	struct view *v = test_view(
		"shop", "web-1",
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: "
		"{app: web}}\n"
		"spec: {containers: [{name: c}]}\nstatus: {phase: Running, podIP: 10.0.0.1}\n" SE(
			"a", "shop",
			"01") "  hosts: [web.example.com]\n  resolution: STATIC\n  location: "
			      "MESH_INTERNAL\n"
			      "  ports: [{number: 80, name: a, targetPort: 8080, protocol: TCP}]\n"
			      "  workloadSelector: {labels: {app: web}}\n" SE(
				      "b", "shop", "02") "  hosts: [db.example.com]\n  resolution: "
							 "STATIC\n  location: MESH_INTERNAL\n"
							 "  ports: [{number: 81, name: a}]\n  "
							 "workloadSelector: {labels: {app: db}}\n");
	const struct inbound_port *in = view_inbound_port(v, 8080);
	assert_string_equal(in->service_port->service->host, "web.example.com");
	assert_int_equal(in->protocol, PROTO_TCP);
	assert_null(view_inbound_port(v, 81)->service_port);
	view_put(v);
}

#define OWN                                                                                        \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: "        \
	"{app: web}}\n"                                                                            \
	"spec: {containers: [{name: c}]}\nstatus: {phase: Running, podIP: 10.0.0.1}\n"
#define SELECTS(name, second, host, more)                                                          \
	SE(name, "shop", second)                                                                   \
	"  hosts: [" host "]\n  resolution: STATIC\n"                                              \
	"  ports: [{number: 80, name: a, targetPort: 8080, protocol: MYSQL}]\n"                    \
	"  workloadSelector: {labels: {app: web}}\n" more

static const struct {
	const char *rule, *text;
	const char *known;  /* port 80 of web.example.com: whose entry, to clients here */
	const char *behind; /* whose entry stands behind port 8080 of the own Pod */
} unseen_rows[] = {
	{"exported to others alone", SELECTS("a", "01", "web.example.com", "  exportTo: [far]\n"),
	 NULL, "a"},
	{"not imported",
	 SELECTS("a", "01", "web.example.com", "")
		 SIDECAR("default", "shop", "{egress: [{hosts: ['~/*']}]}"),
	 NULL, "a"},
	{"of several the oldest",
	 SELECTS("b", "02", "web.example.com", "  exportTo: [far]\n")
		 SELECTS("a", "01", "web.example.com", "  exportTo: [far]\n"),
	 NULL, "a"},
	{"beside one that is seen",
	 SELECTS("a", "01", "web.example.com", "  exportTo: [far]\n")
		 SE("b", "shop", "02") "  hosts: [web.example.com]\n  resolution: STATIC\n"
				       "  ports: [{number: 80, name: a}]\n",
	 "b", "a"},
	{"one that selects others",
	 SE("a", "shop", "01") "  hosts: [web.example.com]\n  exportTo: [far]\n"
			       "  ports: [{number: 80, name: a, targetPort: 8080}]\n"
			       "  workloadSelector: {labels: {app: db}}\n",
	 NULL, NULL},
	{"another namespace's",
	 SE("a", "far", "01") "  hosts: [web.example.com]\n  exportTo: [.]\n"
			      "  ports: [{number: 80, name: a, targetPort: 8080}]\n"
			      "  workloadSelector: {labels: {app: web}}\n",
	 NULL, NULL},
};

/* What is out of scope is nobody's to clients here, and yet counts for what comes in. */
static void unseen(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(unseen_rows); i++) {
		char text[4096];
		(void)snprintf(text, sizeof(text), OWN "%s", unseen_rows[i].text);
		struct view *v = test_view("shop", "web-1", text);
		const struct view_service *s = view_entry_by_host(v, SLICE("web.example.com"));
		const struct inbound_port *in = view_inbound_port(v, 8080);
		const char *known = unseen_rows[i].known, *behind = unseen_rows[i].behind;
		print_message("%s\n", unseen_rows[i].rule);
		assert_string_equal(s ? s->object->meta.name : "-", known ? known : "-");
		assert_string_equal(in->service_port ? in->service_port->service->object->meta.name
						     : "-",
				    behind ? behind : "-");
		assert_int_equal(in->protocol, behind ? PROTO_MYSQL : PROTO_AUTO);
		view_put(v);
	}
}

static void outbound_policy(void **state)
{
	(void)state;
	const struct object *by = NULL;
	struct view *v = test_view("shop", "web-1",
				   SIDECAR("default", "shop", "{outboundTrafficPolicy: {}}"));
	assert_int_equal(view_outbound_policy(v, &by),
			 OUTBOUND_REGISTRY_ONLY); /* protobuf's zero */
	assert_string_equal(by->meta.name, "default");
	view_put(v);
	v = test_view("shop", "web-1", SIDECAR("default", "shop", "{egress: [{hosts: ['*/*']}]}"));
	assert_int_equal(view_outbound_policy(v, &by), OUTBOUND_ALLOW_ANY);
	assert_null(by);
	view_put(v);
}

/* As in Istio, which looks at what is in it only. */
static void an_empty_annotation_says_nothing(void **state)
{
	(void)state;
	struct view *v = test_view("shop", "web-1",
				   "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, "
				   "namespace: far, annotations: "
				   "{networking.istio.io/exportTo: ''}}\n"
				   "spec: {clusterIP: 10.9.0.2, ports: [{port: 80}]}\n");
	assert_string_equal(vip_host(v, "10.9.0.2:80"), "db.far.svc.cluster.local");
	view_put(v);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scope),      cmocka_unit_test(an_empty_annotation_says_nothing),
		cmocka_unit_test(namespaces), cmocka_unit_test(inbound),
		cmocka_unit_test(unseen),     cmocka_unit_test(outbound_policy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
