#include "rest/rest_test.h"

#include "api/watch.h"
#include "base/log.h"
#include "control/api_server.h"
#include "rest/client.h"

/* A store behind a writable server, and a client that asks one thing at a time. */
struct world {
	struct loop *loop;
	char base[64];
	struct store *store;
	struct api_server *api;
	struct rest_client *client;
	unsigned status, n_end;
	struct buf body;

	/* What a reflector told. */
	struct api_watch *watch;
	char told[4096];
	bool synced, connected;
};

static void on_head(void *ctx, const struct rest_response *res)
{
	((struct world *)ctx)->status = res->status;
}

static void on_body(void *ctx, struct slice bytes)
{
	assert_true(buf_append(&((struct world *)ctx)->body, bytes));
}

static void on_end(void *ctx, const struct err *err)
{
	(void)err;
	((struct world *)ctx)->n_end++;
}

static void serve(struct world *w, int fd, const struct api_options *options)
{
	struct err err = {0};
	w->api = api_server_new(w->loop, "test", w->store, options);
	assert_true(rest_server_listen_fd(api_server_http(w->api), fd, &err));
}

static void world_start(struct world *w, const struct api_options *options)
{
	struct err err = {0};
	*w = (struct world){.loop = test_loop(), .store = store_new()};
	buf_init(&w->body, 64 << 20);
	serve(w, test_listen_unix(w->base), options);
	w->client = rest_client_new(w->loop, w->base, &err);
	assert_non_null(w->client);
}

static void world_stop(struct world *w)
{
	api_watch_free(w->watch);
	rest_client_free(w->client);
	api_server_free(w->api);
	loop_free(w->loop);
	store_free(w->store);
	buf_fini(&w->body);
	test_unlink(w->base);
}

/* The status of METHOD PATH; the answer is in w->body. */
static unsigned ask_typed(struct world *w, const char *method, const char *path, const char *type,
			  const char *body)
{
	static const struct rest_events events = {on_head, on_body, on_end};
	buf_clear(&w->body);
	w->status = 0;
	w->n_end = 0;
	rest_client_send(w->client,
			 &(struct rest_ask){.method = method,
					    .path = path,
					    .content_type = type,
					    .body = slice_of(body)},
			 &events, w);
	RUN_UNTIL(w->loop, w->n_end);
	return w->status;
}

static unsigned ask(struct world *w, const char *method, const char *path, const char *body)
{
	return ask_typed(w, method, path, NULL, body);
}

static bool says(const struct world *w, const char *text)
{
	return slice_contains(buf_slice(&w->body), slice_of(text));
}

static void put(struct world *w, enum kind kind, const char *json)
{
	struct err err = {0};
	struct object *o = object_from_json(kind, slice_of(json), true, &err);
	if (!o || !store_apply(w->store, o, STORE_CREATE_OR_REPLACE, 0, NULL, &err))
		fail_msg("%s", err.text);
	object_put(o);
}

#define CM(ns, name, value)                                                                        \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\",\"labels\":{\"v\":\"" value \
	"\"}},\"data\":{\"k\":\"" value "\"}}"

static void put_cm(struct world *w, const char *ns, const char *name, const char *value)
{
	char json[512];
	snprintf(json, sizeof(json), CM("%s", "%s", "%s"), name, ns, value, value);
	put(w, KIND_CONFIG_MAP, json);
}

static void drop_cm(struct world *w, const char *ns, const char *name)
{
	struct err err = {0};
	assert_true(store_delete(w->store, KIND_CONFIG_MAP, ns, name, &err));
}

static const struct api_options read_only = {0}, writable = {.writable = true};

static void reads(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct {
		const char *path;
		unsigned status;
		const char *says;
		const char *lacks;
	} rows[] = {
		{"/version", 200, "\"minor\":\"30\"", NULL},
		{"/healthz", 200, "ok", NULL},
		{"/api", 200, "\"versions\":[\"v1\"]", NULL},
		{"/apis", 200, "\"groupVersion\":\"discovery.k8s.io/v1\"", NULL},
		{"/apis/apps", 200, "\"preferredVersion\":{\"groupVersion\":\"apps/v1\"", NULL},
		{"/apis/nothing", 404, "\"reason\":\"NotFound\"", NULL},
		{"/api/v1", 200, "\"name\":\"configmaps\",\"singularName\":\"configmap\"", "deployments"},
		{"/apis/apps/v1", 200, "\"name\":\"deployments/status\"", "configmaps"},
		{"/apis/apps/v2", 404, "Status", NULL},
		{"/api/v1/configmaps", 200, "\"name\":\"c\"", NULL},
		{"/api/v1/configmaps/", 200, "\"kind\":\"ConfigMapList\"", NULL},
		{"/api/v1/namespaces/a/configmaps", 200, "\"name\":\"y\"", "\"name\":\"c\""},
		{"/api/v1/namespaces/none/configmaps", 200, "\"items\":[]", NULL},
		{"/api/v1/namespaces/a/configmaps/x", 200, "\"k\":\"1\"", NULL},
		{"/api/v1/namespaces/a/configmaps/q", 404, "configmaps \\\"q\\\" not found", NULL},
		{"/api/v1/configmaps/x", 404, "Status", NULL},
		{"/api/v1/namespaces", 200, "\"name\":\"a\"", NULL},
		{"/api/v1/namespaces/a", 200, "\"kind\":\"Namespace\"", NULL},
		{"/api/v1/namespaces/a/status", 200, "\"kind\":\"Namespace\"", NULL},
		{"/api/v1/namespaces/b", 404, "Status", NULL},
		{"/api/v1/configmaps?labelSelector=v%3D1", 200, "\"name\":\"x\"", "\"name\":\"y\""},
		{"/api/v1/configmaps?fieldSelector=metadata.name%3Dy", 200, "\"name\":\"y\"", "\"name\":\"x\""},
		{"/api/v1/configmaps?labelSelector=%3D", 400, "\"reason\":\"BadRequest\"", NULL},
		{"/api/v1/configmaps?limit=1", 200, "\"name\":\"c\"", "continue"},
		{"/api/v1/secrets", 404, "could not find the requested resource", NULL},
		{"/api/v1/namespaces/a/configmaps/x/y", 404, "Status", NULL},
		{"/api/v1/configmaps?watch=1&resourceVersion=x", 400, "no version", NULL},
		{"/api/v1/configmaps?watch=1&resourceVersion=1", 410, "\"reason\":\"Expired\"", NULL},
		{"/api/v1/configmaps?watch=1&timeoutSeconds=x", 400, "timeoutSeconds", NULL},
		{"/favicon.ico", 404, "\"kind\":\"Status\"", NULL},
	};
	/* clang-format on */
	struct world w;
	world_start(&w, &read_only);
	put(&w, KIND_NAMESPACE, "{\"metadata\":{\"name\":\"a\"}}");
	put_cm(&w, "a", "x", "1");
	put_cm(&w, "a", "y", "2");
	put_cm(&w, "b", "c", "3");
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		if (ask(&w, "GET", rows[i].path, "") != rows[i].status || !says(&w, rows[i].says) ||
		    (rows[i].lacks && says(&w, rows[i].lacks)))
			fail_msg("%s: %u %.*s", rows[i].path, w.status,
				 SLICE_FMT(buf_slice(&w.body)));
	/* What a list says is where a watch begins. */
	char version[64];
	snprintf(version, sizeof(version), "{\"resourceVersion\":\"%llu\"}",
		 (unsigned long long)store_version(w.store));
	ask(&w, "GET", "/api/v1/pods", "");
	assert_true(says(&w, version));
	assert_int_equal(ask(&w, "POST", "/api/v1/namespaces/a/configmaps", CM("a", "z", "1")),
			 405);
	assert_int_equal(ask(&w, "DELETE", "/api/v1/namespaces/a/configmaps/x", ""), 405);
	assert_true(says(&w, "read-only"));
	world_stop(&w);
}

#define CMS "/api/v1/namespaces/a/configmaps"
#define MERGE "application/merge-patch+json"

static void writes(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct {
		const char *rule, *method, *path, *type, *body;
		unsigned status;
		const char *says;
	} rows[] = {
		{"create", "POST", CMS, NULL, CM("a", "x", "1"), 201, "\"uid\":\""},
		{"create again", "POST", CMS, NULL, CM("a", "x", "1"), 409, "AlreadyExists"},
		{"namespace from the path", "POST", CMS, NULL, "{\"metadata\":{\"name\":\"n\"}}", 201, "\"namespace\":\"a\""},
		{"another namespace", "POST", CMS, NULL, CM("b", "q", "1"), 400, "namespace"},
		{"no namespace in the path", "POST", "/api/v1/configmaps", NULL, CM("a", "q", "1"), 405, "namespaces/NS"},
		{"no JSON", "POST", CMS, NULL, "hello", 422, "Invalid"},
		{"unknown field", "POST", CMS, NULL, "{\"metadata\":{\"name\":\"u\"},\"dat\":{}}", 422, "dat"},
		{"unknown field, not strict", "POST", CMS "?fieldValidation=Warn", NULL, "{\"metadata\":{\"name\":\"u\"},\"dat\":{}}", 201, "\"name\":\"u\""},
		{"another kind", "POST", CMS, NULL, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"u\"}}", 422, "kind"},
		{"dry run stores nothing", "POST", CMS "?dryRun=All", NULL, CM("a", "dry", "1"), 400, "dryRun"},
		{"nor did it", "GET", CMS "/dry", NULL, "", 404, ""},
		{"replace", "PUT", CMS "/x", NULL, CM("a", "x", "2"), 200, "\"k\":\"2\""},
		{"replace at another version", "PUT", CMS "/x", NULL, "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"1\"}}", 409, "\"reason\":\"Conflict\""},
		{"replace under another name", "PUT", CMS "/x", NULL, CM("a", "y", "2"), 400, "name"},
		{"replace what is not there", "PUT", CMS "/q", NULL, CM("a", "q", "2"), 404, "NotFound"},
		{"merge patch", "PATCH", CMS "/x", MERGE, "{\"data\":{\"k\":null,\"j\":\"3\"}}", 200, "\"data\":{\"j\":\"3\"}"},
		{"patch at another version", "PATCH", CMS "/x", MERGE, "{\"metadata\":{\"resourceVersion\":\"1\"}}", 409, "Conflict"},
		{"patch that renames", "PATCH", CMS "/x", MERGE, "{\"metadata\":{\"name\":\"y\"}}", 400, "name"},
		{"patch that breaks", "PATCH", CMS "/x", MERGE, "{\"data\":3}", 422, "data"},
		{"patch with an unknown field", "PATCH", CMS "/x", MERGE, "{\"dat\":{}}", 422, "dat"},
		{"patch of what is not there", "PATCH", CMS "/q", MERGE, "{}", 404, "NotFound"},
		{"patch that is no object", "PATCH", CMS "/x", MERGE, "[]", 400, "BadRequest"},
		{"patch that is no JSON", "PATCH", CMS "/x", MERGE, "{", 400, "BadRequest"},
		{"other patches", "PATCH", CMS "/x", "application/json-patch+json", "[]", 415, "UnsupportedMediaType"},
		{"delete", "DELETE", CMS "/x", NULL, "", 200, "\"status\":\"Success\""},
		{"delete again", "DELETE", CMS "/x", NULL, "", 404, "NotFound"},
		{"delete a collection", "DELETE", CMS, NULL, "", 405, "MethodNotAllowed"},
		{"post to an object", "POST", CMS "/n", NULL, CM("a", "n", "1"), 405, "MethodNotAllowed"},
		{"put a collection", "PUT", CMS, NULL, CM("a", "n", "1"), 405, "MethodNotAllowed"},
		{"write discovery", "POST", "/api/v1", NULL, "{}", 405, "MethodNotAllowed"},
		{"cluster scoped", "POST", "/api/v1/namespaces", NULL, "{\"metadata\":{\"name\":\"z\"}}", 201, "\"kind\":\"Namespace\""},
		{"delete a namespace", "DELETE", "/api/v1/namespaces/z", NULL, "", 200, "Success"},
		{"a pod", "POST", "/api/v1/namespaces/a/pods", NULL, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"command\":[\"x\"]}]}}", 201, "\"name\":\"p\""},
		{"its status", "PATCH", "/api/v1/namespaces/a/pods/p/status", MERGE, "{\"status\":{\"phase\":\"Running\"},\"spec\":null}", 200, "\"phase\":\"Running\""},
		{"only its status", "GET", "/api/v1/namespaces/a/pods/p", NULL, "", 200, "\"containers\""},
		{"its status, whole", "PUT", "/api/v1/namespaces/a/pods/p/status", NULL, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"d\",\"command\":[\"x\"]}]},\"status\":{\"phase\":\"Failed\"}}", 200, "\"phase\":\"Failed\""},
		{"and only that", "GET", "/api/v1/namespaces/a/pods/p", NULL, "", 200, "\"name\":\"c\""},
		{"no status in it", "PUT", "/api/v1/namespaces/a/pods/p/status", NULL, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"d\",\"command\":[\"x\"]}]}}", 422, "status"},
	};
	/* clang-format on */
	struct world w;
	world_start(&w, &writable);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		unsigned status =
			ask_typed(&w, rows[i].method, rows[i].path, rows[i].type, rows[i].body);
		if (status != rows[i].status || !says(&w, rows[i].says))
			fail_msg("%s: %u %.*s", rows[i].rule, w.status,
				 SLICE_FMT(buf_slice(&w.body)));
	}
	world_stop(&w);
}

/* Hooks. */

static bool admit(void *ctx, const struct object *o, const struct object *old, struct err *err)
{
	(void)ctx;
	(void)old;
	return strcmp(o->meta.name, "bad") != 0 ||
	       err_set(err, ERR_BAD_INPUT, "the test does not like it");
}

static bool remove_later(void *ctx, const struct object *o, struct err *err)
{
	(void)err;
	snprintf(ctx, 64, "%s", o->meta.name);
	return true;
}

static void hooks(void **state)
{
	(void)state;
	char removed[64] = "";
	struct world w;
	world_start(&w, &(struct api_options){.writable = true,
					      .admit = admit,
					      .remove = remove_later,
					      .ctx = removed});
	assert_int_equal(ask(&w, "POST", CMS, CM("a", "bad", "1")), 422);
	assert_true(says(&w, "does not like it"));
	assert_int_equal(ask(&w, "POST", CMS, CM("a", "x", "1")), 201);
	assert_int_equal(ask(&w, "DELETE", CMS "/x", ""), 200);
	assert_string_equal(removed, "x");
	assert_int_equal(store_count(w.store, KIND_CONFIG_MAP), 1);
	world_stop(&w);
}

/* The real reflector. */

static void on_object(void *ctx, enum api_event event, const struct api_object *obj)
{
	struct world *w = ctx;
	size_t n = strlen(w->told);
	snprintf(w->told + n, sizeof(w->told) - n, "%c%.*s/%.*s ", event == API_APPLIED ? '+' : '-',
		 SLICE_FMT(obj->ns), SLICE_FMT(obj->name));
	/* Every object comes whole: it decodes. */
	if (obj->json.len) {
		struct err err = {0};
		struct object *o = object_from_json(KIND_CONFIG_MAP, obj->json, true, &err);
		assert_non_null(o);
		object_put(o);
	}
}

static void on_synced(void *ctx)
{
	((struct world *)ctx)->synced = true;
}

static void on_connected(void *ctx, bool connected)
{
	((struct world *)ctx)->connected = connected;
}

static const struct api_watch_events events = {on_object, on_synced, on_connected};

static void follow(struct world *w, const char *query)
{
	struct err err = {0};
	struct api_resource want = {"ConfigMap", "/api/v1/configmaps", query, NULL};
	w->watch = api_watch_new(w->loop, w->base, &want, 1, &events, w, &err);
	assert_non_null(w->watch);
	RUN_UNTIL(w->loop, w->synced && w->connected);
}

static void expect_told(struct world *w, const char *what)
{
	uint64_t give_up = clock_ns() + 10 * NS_PER_S;
	struct err err = {0};
	while (strcmp(w->told, what) != 0 && clock_ns() < give_up)
		assert_true(loop_turn(w->loop, 10, &err));
	assert_string_equal(w->told, what);
	w->told[0] = '\0';
}

static void reflector_follows(void **state)
{
	(void)state;
	struct world w;
	world_start(&w, &read_only);
	put_cm(&w, "a", "x", "1");
	follow(&w, NULL);
	expect_told(&w, "+a/x ");
	put_cm(&w, "a", "y", "1");
	put_cm(&w, "b", "z", "1");
	put_cm(&w, "a", "x", "2");
	put_cm(&w, "a", "x", "2"); /* the same: no change */
	drop_cm(&w, "b", "z");
	put(&w, KIND_NAMESPACE, "{\"metadata\":{\"name\":\"other-kind\"}}");
	expect_told(&w, "+a/y +b/z +a/x -b/z ");
	assert_int_equal(api_server_watches(w.api), 1);
	world_stop(&w);
}

static void reflector_with_a_selector(void **state)
{
	(void)state;
	struct world w;
	world_start(&w, &read_only);
	put_cm(&w, "a", "x", "on");
	put_cm(&w, "a", "y", "off");
	follow(&w, "labelSelector=v%3Don");
	expect_told(&w, "+a/x ");
	put_cm(&w, "a", "y", "on");  /* begins to match */
	put_cm(&w, "a", "x", "off"); /* ends to */
	put_cm(&w, "a", "x", "of");
	expect_told(&w, "+a/y -a/x ");
	world_stop(&w);
}

static void server_comes_back(void **state)
{
	(void)state;
	for (int same_store = 0; same_store < 2; same_store++) {
		struct world w;
		struct err err = {0};
		world_start(&w, &read_only);
		put_cm(&w, "a", "x", "1");
		put_cm(&w, "a", "y", "1");
		follow(&w, NULL);
		expect_told(&w, "+a/x +a/y ");
		api_server_free(w.api);
		RUN_UNTIL(w.loop, !w.connected);
		if (same_store) {
			drop_cm(&w, "a", "x");
		} else { /* its versions mean nothing to the old one's clients */
			store_free(w.store);
			w.store = store_new();
			put_cm(&w, "a", "y", "1");
		}
		put_cm(&w, "a", "z", "1");
		serve(&w, net_listen_unix(w.base + 5, 0600, &err), &read_only);
		expect_told(&w, same_store ? "-a/x +a/z " : "+a/y +a/z -a/x ");
		assert_int_equal(api_watch_state(w.watch, 0)->relists, !same_store);
		RUN_UNTIL(w.loop, w.connected);
		world_stop(&w);
	}
}

/* More changes than the log holds while nobody listened: 410, a list, and the difference. */
static void reflector_that_was_away_too_long(void **state)
{
	(void)state;
	struct world w;
	struct err err = {0};
	world_start(&w, &read_only);
	put_cm(&w, "a", "x", "1");
	put_cm(&w, "a", "y", "1");
	follow(&w, NULL);
	expect_told(&w, "+a/x +a/y ");
	api_server_free(w.api);
	RUN_UNTIL(w.loop, !w.connected);
	drop_cm(&w, "a", "x");
	for (unsigned i = 0; i < STORE_LOG + 1; i++) {
		char value[16];
		snprintf(value, sizeof(value), "v%u", i);
		put_cm(&w, "a", "z", value);
	}
	serve(&w, net_listen_unix(w.base + 5, 0600, &err), &read_only);
	expect_told(&w, "+a/z -a/x ");
	assert_int_equal(api_watch_state(w.watch, 0)->relists, 1);
	world_stop(&w);
}

/* Watches spoken raw. */

static int raw_watch(struct world *w, const char *parameters)
{
	char request[512];
	int fd = test_dial(w->base);
	unsigned before = api_server_watches(w->api);
	snprintf(request, sizeof(request),
		 "GET /api/v1/configmaps?watch=1%s HTTP/1.1\r\nHost: a\r\n\r\n", parameters);
	test_say(fd, slice_of(request));
	RUN_UNTIL(w->loop, api_server_watches(w->api) == before + 1);
	return fd;
}

static void expect_heard(struct world *w, int fd, const char *text)
{
	RUN_UNTIL(w->loop, (test_hear(fd, &w->body), says(w, text)));
}

static void watch_without_a_version(void **state)
{
	(void)state;
	struct world w;
	world_start(&w, &(struct api_options){.bookmark_ms = 20});
	put_cm(&w, "a", "x", "1");
	int fd = raw_watch(&w, "&allowWatchBookmarks=true&sendInitialEvents=true");
	expect_heard(&w, fd, "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\"");
	expect_heard(&w, fd, "\"k8s.io/initial-events-end\":\"true\"");
	buf_clear(&w.body);
	expect_heard(&w, fd, "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\"");
	assert_false(says(&w, "initial-events-end"));
	int other = raw_watch(&w, "&resourceVersion=0&timeoutSeconds=1");
	buf_clear(&w.body);
	expect_heard(&w, other, "\"type\":\"ADDED\"");
	assert_false(says(&w, "BOOKMARK"));
	expect_heard(&w, other, "\r\n0\r\n\r\n"); /* its second is over */
	assert_int_equal(api_server_watches(w.api), 1);
	close(other);
	close(fd);
	RUN_UNTIL(w.loop, api_server_watches(w.api) == 0);
	world_stop(&w);
}

static void watcher_that_does_not_read(void **state)
{
	(void)state;
	struct world w;
	char value[2000];
	world_start(&w, &(struct api_options){.limits = {.backlog_bytes = 64 << 10}});
	follow(&w, NULL);
	int fd = raw_watch(&w, "");
	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	unsigned n = 0;
	while (api_server_watches(w.api) == 2) {
		struct err err = {0};
		char json[2200];
		snprintf(json, sizeof(json),
			 "{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\"},\"data\":{\"k\":\"%u%"
			 "s\"}}",
			 n, value);
		put(&w, KIND_CONFIG_MAP, json);
		for (int turn = 0; turn < 3; turn++)
			assert_true(loop_turn(w.loop, 0, &err));
		assert_true(++n < 10000);
		w.told[0] = '\0';
	}
	assert_int_equal(rest_server_stats(api_server_http(w.api)).cut_off, 1);
	/* The one that reads was not disturbed. */
	assert_true(w.connected);
	assert_int_equal(api_watch_state(w.watch, 0)->failures, 0);
	put_cm(&w, "a", "last", "1");
	RUN_UNTIL(w.loop, strstr(w.told, "+a/last "));
	close(fd);
	world_stop(&w);
}

/* A change is in the watcher's socket at the end of the turn in which it was made. */
static void changes_leave_in_the_same_turn(void **state)
{
	(void)state;
	struct world w;
	struct err err = {0};
	world_start(&w, &read_only);
	int fd = raw_watch(&w, "");
	for (int turn = 0; turn < 3; turn++)
		assert_true(loop_turn(w.loop, 0, &err));
	put_cm(&w, "a", "x", "1");
	assert_true(loop_turn(w.loop, 0, &err));
	test_hear(fd, &w.body);
	assert_true(says(&w, "\"type\":\"ADDED\""));
	close(fd);
	world_stop(&w);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(writes),
		cmocka_unit_test(hooks),
		cmocka_unit_test(reflector_follows),
		cmocka_unit_test(reflector_with_a_selector),
		cmocka_unit_test(server_comes_back),
		cmocka_unit_test(reflector_that_was_away_too_long),
		cmocka_unit_test(watch_without_a_version),
		cmocka_unit_test(watcher_that_does_not_read),
		cmocka_unit_test(changes_leave_in_the_same_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
