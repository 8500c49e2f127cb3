#include "local/testing.h"

#include "local/endpoints.h"
#include "local/service_backends.h"

struct world {
	struct loop *loop;
	struct store *store;
	struct endpoints *endpoints;
};

static int set_up(void **state)
{
	struct err err = {0};
	struct world *w = mem_new(sizeof(*w));
	w->loop = loop_new(&err);
	assert_non_null(w->loop);
	w->store = store_new();
	w->endpoints = endpoints_start(w->loop, w->store);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	endpoints_stop(w->endpoints);
	loop_free(w->loop);
	store_free(w->store);
	free(w);
	return 0;
}

static const char service[] = "{'metadata': {'name': 'db'}, 'spec': {'selector': {'app': 'db'},"
			      " 'ipFamilies': ['IPv4'],"
			      " 'ports': [{'name': 'p', 'port': 80, 'targetPort': 'web'}]}}";

/* "ADDRESS:PORT[ ready][ serving][ terminating]" of every endpoint of a slice, joined by commas. */
static const char *slice_text(struct world *w, const char *name, char out[512])
{
	const struct object *o = store_get(w->store, KIND_ENDPOINT_SLICE, "default", name);
	size_t len = 0;
	if (!o)
		return "none";
	out[0] = '\0';
	for (size_t i = 0; i < o->endpoint_slice->n_endpoints; i++) {
		const struct endpoint *ep = &o->endpoint_slice->endpoints[i];
		char ip[ADDR_TEXT];
		len += (size_t)snprintf(
			out + len, 512 - len, "%s%s:%u%s%s%s", i ? "," : "", ip_text(&ep->ip, ip),
			o->endpoint_slice->n_ports ? o->endpoint_slice->ports[0].port : 0,
			ep->ready ? " ready" : "", ep->serving ? " serving" : "",
			ep->terminating ? " terminating" : "");
	}
	return out;
}

static void readiness_is_followed(void **state)
{
	struct world *w = *state;
	char text[512];
	put(w->store, KIND_SERVICE, service);
	put_pod(w->store, "a", "db", 3306, "10.0.0.1", true, "");
	put_pod(w->store, "b", "db", 3306, "10.0.0.2", false, "");
	put_pod(w->store, "c", "other", 3306, "10.0.0.3", true, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text),
			    "10.0.0.1:3306 ready serving,10.0.0.2:3306");
	put_pod(w->store, "b", "db", 3306, "10.0.0.2", true, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text),
			    "10.0.0.1:3306 ready serving,10.0.0.2:3306 ready serving");
}

static void a_named_port_may_differ_by_pod(void **state)
{
	struct world *w = *state;
	char text[512];
	put(w->store, KIND_SERVICE, service);
	put_pod(w->store, "a", "db", 3306, "10.0.0.1", true, "");
	put_pod(w->store, "b", "db", 3307, "10.0.0.2", true, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "10.0.0.1:3306 ready serving");
	assert_string_equal(slice_text(w, "db-ipv4-2", text), "10.0.0.2:3307 ready serving");
	put_pod(w->store, "b", "db", 3306, "10.0.0.2", true, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4-2", text), "none");
}

static void not_ready_addresses_may_be_published(void **state)
{
	struct world *w = *state;
	char text[512];
	put(w->store, KIND_SERVICE,
	    "{'metadata': {'name': 'db'}, 'spec': {'selector': {'app': 'db'}, 'ipFamilies': "
	    "['IPv4'],"
	    " 'publishNotReadyAddresses': true, 'ports': [{'port': 80, 'targetPort': 81}]}}");
	put_pod(w->store, "a", "db", 3306, "10.0.0.1", false, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "10.0.0.1:81 ready");
}

static void an_ending_pod_serves_but_is_not_ready(void **state)
{
	struct world *w = *state;
	char text[512];
	struct addr at[4];
	put(w->store, KIND_SERVICE, service);
	put(w->store, KIND_POD,
	    "{'metadata': {'name': 'a', 'labels': {'app': 'db'}, 'deletionTimestamp': "
	    "'2026-01-02T03:04:05Z'}, 'spec': {'containers': [{'name': 'c', 'command': ['x'], "
	    "'ports': [{'name': 'web', 'containerPort': 1}]}]},"
	    " 'status': {'phase': 'Running', 'podIP': '10.0.0.1', 'conditions': [{'type': 'Ready', "
	    "'status': 'True'}]}}");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "10.0.0.1:1 serving terminating");
	/* nobody else is there: it is used all the same */
	const struct object *svc = store_get(w->store, KIND_SERVICE, "default", "db");
	assert_int_equal(service_backends(w->store, svc, &svc->service->ports[0], IP_V4, at, 4), 1);
	put_pod(w->store, "b", "db", 2, "10.0.0.2", true, "");
	endpoints_reconcile(w->endpoints);
	assert_int_equal(service_backends(w->store, svc, &svc->service->ports[0], IP_V4, at, 4), 1);
	assert_int_equal(at[0].port, 2);
}

static void finished_pods_are_no_endpoints(void **state)
{
	struct world *w = *state;
	char text[512];
	put(w->store, KIND_SERVICE, service);
	put(w->store, KIND_POD,
	    "{'metadata': {'name': 'a', 'labels': {'app': 'db'}}, 'spec': {'containers': [{'name': "
	    "'c', 'command': ['x'], 'ports': [{'name': 'web', 'containerPort': 1}]}]},"
	    " 'status': {'phase': 'Succeeded', 'podIP': '10.0.0.1'}}");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "");
}

static void slices_go_with_their_service(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	char text[512];
	put(w->store, KIND_SERVICE, service);
	put(w->store, KIND_ENDPOINT_SLICE,
	    "{'metadata': {'name': 'mine', 'labels': {'kubernetes.io/service-name': 'by-hand'}},"
	    " 'addressType': 'IPv4', 'endpoints': [{'addresses': ['10.9.9.9']}],"
	    " 'ports': [{'port': 5}]}");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "");
	assert_true(store_delete(w->store, KIND_SERVICE, "default", "db", &err));
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "none");
	assert_string_equal(slice_text(w, "mine", text), "10.9.9.9:5 ready serving");
}

static void a_pod_that_changes_labels_leaves(void **state)
{
	struct world *w = *state;
	char text[512];
	put(w->store, KIND_SERVICE, service);
	put_pod(w->store, "a", "db", 3306, "10.0.0.1", true, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "10.0.0.1:3306 ready serving");
	put_pod(w->store, "a", "web", 3306, "10.0.0.1", true, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "");
}

static void what_others_do_to_a_slice_is_undone(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	char text[512];
	put(w->store, KIND_SERVICE, service);
	put_pod(w->store, "a", "db", 3306, "10.0.0.1", true, "");
	endpoints_reconcile(w->endpoints);
	assert_true(store_delete(w->store, KIND_ENDPOINT_SLICE, "default", "db-ipv4", &err));
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "10.0.0.1:3306 ready serving");
	put(w->store, KIND_ENDPOINT_SLICE,
	    "{'metadata': {'name': 'db-ipv4', 'labels': {'kubernetes.io/service-name': 'other',"
	    " 'endpointslice.kubernetes.io/managed-by': 'hark-endpoints'}},"
	    " 'addressType': 'IPv4', 'endpoints': [], 'ports': []}");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "db-ipv4", text), "10.0.0.1:3306 ready serving");
}

/* No clock: what a change costs is what it touches. */
static void others_are_left_alone(void **state)
{
	enum { MANY = 2000 };
	struct world *w = *state;
	char text[512];
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text),
			 "{'metadata': {'name': 's%u'}, 'spec': {'selector': {'app': 'a%u'},"
			 " 'ipFamilies': ['IPv4'], 'ports': [{'port': 80}]}}",
			 i, i);
		put(w->store, KIND_SERVICE, text);
	}
	endpoints_reconcile(w->endpoints);
	assert_int_equal(store_count(w->store, KIND_ENDPOINT_SLICE), MANY);
	uint64_t version = store_version(w->store);
	put_pod(w->store, "a", "a1000", 80, "10.0.0.1", true, "");
	endpoints_reconcile(w->endpoints);
	assert_string_equal(slice_text(w, "s1000-ipv4", text), "10.0.0.1:80 ready serving");
	assert_int_equal(store_version(w->store), version + 2);
}

static void comes_to_rest(void **state)
{
	struct world *w = *state;
	put(w->store, KIND_SERVICE, service);
	put_pod(w->store, "a", "db", 3306, "10.0.0.1", true, "");
	endpoints_reconcile(w->endpoints);
	uint64_t version = store_version(w->store);
	endpoints_reconcile(w->endpoints);
	assert_int_equal(store_version(w->store), version);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(readiness_is_followed),
		TEST(a_named_port_may_differ_by_pod),
		TEST(not_ready_addresses_may_be_published),
		TEST(an_ending_pod_serves_but_is_not_ready),
		TEST(finished_pods_are_no_endpoints),
		TEST(slices_go_with_their_service),
		TEST(a_pod_that_changes_labels_leaves),
		TEST(what_others_do_to_a_slice_is_undone),
		TEST(others_are_left_alone),
		TEST(comes_to_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
