/* What a sidecar takes for its own Pod, whatever the API says of it. */
#include "rest/rest_test.h"

#include "proxy/follow.h"
#include "rest/server.h"

/* An API that has Pods, and of all other kinds none. */
struct world {
	struct loop *loop;
	char base[64];
	struct rest_server *server;
	struct live *live;
	struct follow *follow;
	const char *pods; /* the items of the list */
	struct rest_reply *watch;
	unsigned n_views;
	struct view *view; /* the newest */
};

#define POD(name, uid, version, mode)                                                              \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"shop\",\"uid\":\"" uid               \
	"\",\"resourceVersion\":\"" version "\",\"labels\":{\"security.istio.io/tlsMode\":\"" mode \
	"\"}},\"spec\":{\"containers\":[{\"name\":\"c\"}]}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

static void on_gone(void *ctx, struct rest_reply *reply)
{
	struct world *w = ctx;
	if (w->watch == reply)
		w->watch = NULL;
}

static void answer(struct world *w, const struct rest_request *req, struct rest_reply *reply,
		   const char *items)
{
	char list[4096];
	if (slice_is(rest_query(req, "watch"), "1")) {
		rest_reply_on_gone(reply, on_gone, w);
		rest_reply_begin_stream(reply, 200, "application/json");
		return;
	}
	(void)snprintf(list, sizeof(list),
		       "{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[%s]}", items);
	rest_reply_full(reply, 200, "application/json", slice_of(list));
}

static void on_pods(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct world *w = ctx;
	answer(w, req, reply, w->pods);
	if (slice_is(rest_query(req, "watch"), "1"))
		w->watch = reply;
}

static void on_others(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	answer(ctx, req, reply, "");
}

static void on_view(void *ctx, struct view *view)
{
	struct world *w = ctx;
	w->n_views++;
	view_put(w->view);
	w->view = view_get(view);
}

static void start(struct world *w, const char *pods)
{
	static const char *const others[] = {
		"/api/v1/namespaces",
		"/api/v1/namespaces/istio-system/configmaps",
		"/api/v1/services",
		"/apis/discovery.k8s.io/v1/endpointslices",
		"/apis/security.istio.io/v1/peerauthentications",
		"/apis/networking.istio.io/v1/destinationrules",
		"/apis/security.istio.io/v1/authorizationpolicies",
		"/apis/networking.istio.io/v1/serviceentries",
		"/apis/networking.istio.io/v1/workloadentries",
		"/apis/networking.istio.io/v1/sidecars",
	};
	static const struct follow_events events = {on_view};
	struct err err = {0};
	*w = (struct world){.loop = test_loop(), .pods = pods, .live = live_new()};
	int fd = test_listen_unix(w->base);
	w->server = rest_server_new(w->loop, "test", NULL);
	rest_route(w->server, "GET", "/api/v1/pods", on_pods, w);
	for (size_t i = 0; i < N_ELEMS(others); i++)
		rest_route(w->server, "GET", others[i], on_others, w);
	assert_true(rest_server_listen_fd(w->server, fd, &err));
	w->follow = follow_new(w->loop, w->base, "shop", "db-0", w->live, &events, w, &err);
	assert_non_null(w->follow);
	RUN_UNTIL(w->loop, w->watch && follow_connected(w->follow));
}

static void stop(struct world *w)
{
	follow_free(w->follow);
	rest_server_free(w->server);
	view_put(w->view);
	live_free(w->live);
	loop_free(w->loop);
	test_unlink(w->base);
}

/* Something else changes behind NEWS, so that a view comes that was made after it. */
static void tell(struct world *w, const char *news)
{
	unsigned before = w->n_views;
	rest_stream_write(w->watch, slice_of(news));
	rest_stream_write(w->watch, SLICE(EVENT("ADDED", POD("web-0", "w", "12", "istio"))));
	RUN_UNTIL(w->loop, w->n_views > before);
}

static bool speaks_mesh_tls(const struct world *w)
{
	const struct workload *self = view_self(w->view);
	return self && self->mesh_tls;
}

static void the_own_pod_stays(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *news;
		bool speaks;
	} rows[] = {
		{"a change of it counts", EVENT("MODIFIED", POD("db-0", "a", "11", "disabled")),
		 false},
		{"it goes", EVENT("DELETED", POD("db-0", "a", "11", "istio")), true},
		{"another takes its name", EVENT("MODIFIED", POD("db-0", "b", "11", "disabled")),
		 true},
		{"it goes, and another comes",
		 EVENT("DELETED", POD("db-0", "a", "11", "istio"))
			 EVENT("ADDED", POD("db-0", "b", "11", "disabled")),
		 true},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		start(&w, POD("db-0", "a", "9", "istio"));
		RUN_UNTIL(w.loop, w.n_views > 0);
		assert_true(speaks_mesh_tls(&w));
		tell(&w, rows[i].news);
		if (speaks_mesh_tls(&w) != rows[i].speaks)
			fail_msg("%s", rows[i].rule);
		stop(&w);
	}
}

/* Without it nobody knows what is to be refused: nothing is served. */
static void no_view_before_the_own_pod(void **state)
{
	(void)state;
	struct world w;
	struct err err = {0};
	start(&w, POD("web-1", "x", "9", "istio"));
	for (unsigned turn = 0; turn < 20; turn++)
		assert_true(loop_turn(w.loop, FOLLOW_BURST_MS, &err));
	assert_int_equal(w.n_views, 0);
	tell(&w, EVENT("ADDED", POD("db-0", "a", "11", "istio")));
	assert_true(speaks_mesh_tls(&w));
	stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_own_pod_stays),
		cmocka_unit_test(no_view_before_the_own_pod),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
