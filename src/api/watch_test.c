#include "rest/rest_test.h"

#include <sys/mman.h>
#include <unistd.h>

#include "api/watch.h"
#include "base/log.h"
#include "rest/server.h"

/* A server that answers as the test says: the list of each kind, and watches that stay open. */
struct kind {
	const char *list;        /* body; NULL: answers STATUS */
	const char *second_page; /* for requests with continue=; or NULL */
	unsigned status;
	unsigned watch_status; /* 0: streams */
	struct rest_reply *watch;
	unsigned n_lists, n_watches, n_gone;
	char version[64]; /* of the last watch request */
};

struct world {
	struct loop *loop;
	char base[64];
	struct rest_server *server;
	struct kind pods, nodes;
	struct kind entries, old_entries; /* a custom resource, as v1 and as v1beta1 */

	/* What the reflector told. */
	struct api_watch *watch;
	unsigned n_synced, n_connected, n_disconnected, n_objects;
	char told[4096]; /* "+ns/name@version " or "-ns/name@version " */
	bool free_at_object;
};

static void on_gone(void *ctx, struct rest_reply *reply)
{
	struct kind *k = ctx;
	if (k->watch == reply)
		k->watch = NULL;
	k->n_gone++;
}

static void on_watch(struct kind *k, const struct rest_request *req, struct rest_reply *reply)
{
	struct slice version = rest_query(req, "resourceVersion");
	k->n_watches++;
	snprintf(k->version, sizeof(k->version), "%.*s", SLICE_FMT(version));
	assert_true(slice_is(rest_query(req, "allowWatchBookmarks"), "true"));
	if (k->watch_status) {
		rest_reply_full(reply, k->watch_status, "application/json",
				SLICE("{\"kind\":\"Status\",\"message\":\"as the test wants\"}"));
		k->watch_status = 0;
		return;
	}
	rest_reply_on_gone(reply, on_gone, k);
	rest_reply_begin_stream(reply, 200, "application/json");
	k->watch = reply;
}

static void on_request(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct kind *k = ctx;
	if (slice_is(rest_query(req, "watch"), "1")) {
		on_watch(k, req, reply);
		return;
	}
	k->n_lists++;
	assert_true(slice_is(rest_query(req, "limit"), "500"));
	assert_true(slice_is(rest_query(req, "labelSelector"), "a=b"));
	if (!k->list)
		rest_reply_full(reply, k->status, "application/json", SLICE("{}"));
	else if (rest_query(req, "continue").at)
		rest_reply_full(reply, 200, "application/json", slice_of(k->second_page));
	else
		rest_reply_full(reply, 200, "application/json", slice_of(k->list));
}

static void on_object(void *ctx, enum api_event event, const struct api_object *obj)
{
	struct world *w = ctx;
	size_t n = strlen(w->told);
	w->n_objects++;
	snprintf(w->told + n, sizeof(w->told) - n, "%c%.*s/%.*s@%.*s ",
		 event == API_APPLIED ? '+' : '-', SLICE_FMT(obj->ns), SLICE_FMT(obj->name),
		 SLICE_FMT(obj->version));
	assert_true(event == API_DELETED || slice_starts(obj->json, SLICE("{")));
	if (w->free_at_object)
		api_watch_free(w->watch);
}

static void on_synced(void *ctx)
{
	((struct world *)ctx)->n_synced++;
}

static void on_connected(void *ctx, bool connected)
{
	struct world *w = ctx;
	if (connected)
		w->n_connected++;
	else
		w->n_disconnected++;
}

static void serve(struct world *w, int fd)
{
	struct err err = {0};
	w->server = rest_server_new(w->loop, "test", NULL);
	rest_route(w->server, "GET", "/api/v1/pods", on_request, &w->pods);
	rest_route(w->server, "GET", "/api/v1/nodes", on_request, &w->nodes);
	rest_route(w->server, "GET", "/apis/x/v1/entries", on_request, &w->entries);
	rest_route(w->server, "GET", "/apis/x/v1beta1/entries", on_request, &w->old_entries);
	assert_true(rest_server_listen_fd(w->server, fd, &err));
}

#define OBJ(ns, name, version)                                                                     \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns                                 \
	"\",\"resourceVersion\":\"" version "\"}}"
#define LIST(version, items)                                                                       \
	"{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"" version                       \
	"\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define PODS LIST("10", OBJ("a", "x", "3") "," OBJ("a", "y", "7"))
#define NODES LIST("10", "{\"metadata\":{\"name\":\"n\",\"resourceVersion\":\"1\"}}")

static const struct api_watch_events events = {on_object, on_synced, on_connected};

static void world_with(struct world *w, unsigned n_resources)
{
	static const char *const older[] = {"/apis/x/v1alpha3/entries", "/apis/x/v1beta1/entries",
					    NULL};
	static const struct api_resource want[] = {
		{"Pod", "/api/v1/pods", "labelSelector=a%3Db", NULL},
		{"Node", "/api/v1/nodes", "labelSelector=a%3Db", NULL},
		{"Entry", "/apis/x/v1/entries", "labelSelector=a%3Db", older}};
	struct err err = {0};
	*w = (struct world){.loop = test_loop(),
			    .pods.list = PODS,
			    .nodes.list = NODES,
			    .entries.status = 404,
			    .old_entries.status = 404};
	serve(w, test_listen_unix(w->base));
	w->watch = api_watch_new(w->loop, w->base, want, n_resources, &events, w, &err);
	assert_non_null(w->watch);
}

static void world_start(struct world *w)
{
	world_with(w, 2);
}

static void world_stop(struct world *w)
{
	api_watch_free(w->watch);
	rest_server_free(w->server);
	loop_free(w->loop);
	test_unlink(w->base);
}

/* Waits until exactly WHAT was told since the last time. */
static void expect_told(struct world *w, const char *what)
{
	uint64_t give_up = clock_ns() + 10 * NS_PER_S;
	struct err err = {0};
	while (strcmp(w->told, what) != 0 && clock_ns() < give_up)
		assert_true(loop_turn(w->loop, 10, &err));
	assert_string_equal(w->told, what);
	w->told[0] = '\0';
}

static void sync_up(struct world *w)
{
	RUN_UNTIL(w->loop, w->pods.watch && w->nodes.watch && w->n_connected == 1);
	assert_int_equal(w->n_synced, 1);
	assert_true(api_watch_synced(w->watch) && api_watch_connected(w->watch));
	/* Kinds come in any order. */
	assert_non_null(strstr(w->told, "+a/x@3 +a/y@7 "));
	assert_non_null(strstr(w->told, "+/n@1 "));
	assert_int_equal(w->n_objects, 3);
	w->told[0] = '\0';
}

static void lists_then_watches(void **state)
{
	(void)state;
	struct world w;
	world_start(&w);
	sync_up(&w);
	assert_string_equal(w.pods.version, "10");
	const struct api_resource_state *s = api_watch_state(w.watch, 0);
	assert_string_equal(s->kind, "Pod");
	assert_int_equal(s->n_objects, 2);
	assert_int_equal(s->state, API_WATCHING);

	static const char news[] = EVENT("ADDED", OBJ("b", "z", "11"))
		EVENT("MODIFIED", OBJ("a", "x", "12")) EVENT("DELETED", OBJ("a", "y", "13"))
			EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"20\"}}");
	for (size_t i = 0; i < sizeof(news) - 1; i++) /* split anywhere */
		rest_stream_write(w.pods.watch, (struct slice){news + i, 1});
	expect_told(&w, "+b/z@11 +a/x@12 -a/y@13 ");
	RUN_UNTIL(w.loop, strcmp(s->version, "20") == 0);
	assert_int_equal(s->n_objects, 2);
	assert_int_equal(s->events, 3);

	/* The end of a watch is normal: it goes on from there, and nobody hears of it. */
	struct rest_reply *old = w.pods.watch;
	w.pods.watch = NULL;
	rest_stream_end(old);
	RUN_UNTIL(w.loop, w.pods.watch);
	assert_string_equal(w.pods.version, "20");
	assert_int_equal(w.pods.n_lists, 1);
	assert_int_equal(w.n_connected, 1);
	assert_int_equal(w.n_disconnected, 0);
	/* An object that is known at that version is no news. */
	rest_stream_write(w.pods.watch, SLICE(EVENT("ADDED", OBJ("a", "x", "12"))
						      EVENT("ADDED", OBJ("a", "q", "21"))));
	expect_told(&w, "+a/q@21 ");
	world_stop(&w);
}

static void pages(void **state)
{
	(void)state;
	struct world w;
	world_start(&w);
	w.pods.list =
		"{\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"t/1=\"},\"items\":[" OBJ(
			"a", "x", "3") "]}";
	w.pods.second_page = LIST("10", OBJ("a", "y", "7"));
	sync_up(&w);
	assert_int_equal(w.pods.n_lists, 2);
	world_stop(&w);
}

/* The ways in which a server says that a version is too old. */
/* Members come in any order; what is cut short is no list, and what it had is told once all the same. */
static void lists_of_other_forms(void **state)
{
	(void)state;
	struct world w;
	world_start(&w);
	w.pods.list = "{\"items\": [ " OBJ("a", "x", "3") " , " OBJ(
		"a", "y", "7") " ] , \"metadata\" : {\"resourceVersion\":\"10\"} }";
	sync_up(&w);
	assert_string_equal(w.pods.version, "10");
	world_stop(&w);

	static const char *const none[] = {
		"{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" OBJ("a", "x", "3"),
		"{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" OBJ("a", "x", "3") "]",
		"{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":{}}",
		"{\"metadata\":{\"resourceVersion\":\"10\"}}",
		"{\"items\":[" OBJ("a", "x", "3") "]}",
	};
	for (size_t i = 0; i < N_ELEMS(none); i++) {
		world_start(&w);
		w.pods.list = none[i];
		RUN_UNTIL(w.loop, api_watch_state(w.watch, 0)->failures > 0);
		assert_string_equal(api_watch_state(w.watch, 0)->error, "what came is no list");
		assert_int_equal(w.n_synced, 0);
		w.pods.list = PODS;
		RUN_UNTIL(w.loop, w.n_synced == 1);
		assert_int_equal(w.n_objects, 3);
		world_stop(&w);
	}
	world_start(&w);
	w.pods.list = "{\"metadata\":{\"resourceVersion\":\"10\"},\"items\": null }";
	RUN_UNTIL(w.loop, w.n_synced == 1);
	assert_int_equal(w.n_objects, 1);
	world_stop(&w);
}

static void expired_versions(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		struct world w;
		world_start(&w);
		sync_up(&w);
		/* Meanwhile x went, y changed, z came. */
		w.pods.list = LIST("40", OBJ("a", "y", "30") "," OBJ("a", "z", "35"));
		struct rest_reply *old = w.pods.watch;
		w.pods.watch = NULL;
		if (way == 0) {
			rest_stream_write(
				old, SLICE(EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410}")));
			/* the client hangs up: gone() ends it */
		} else {
			w.pods.watch_status = 410;
			rest_stream_end(old);
		}
		expect_told(&w, "+a/y@30 +a/z@35 -a/x@3 ");
		RUN_UNTIL(w.loop, w.pods.watch);
		assert_string_equal(w.pods.version, "40");
		assert_int_equal(api_watch_state(w.watch, 0)->relists, 1);
		assert_int_equal(w.n_synced, 1);
		world_stop(&w);
	}
}

static void server_that_is_away(void **state)
{
	(void)state;
	struct world w;
	struct err err = {0};
	world_start(&w);
	sync_up(&w);
	rest_server_free(w.server);
	w.server = NULL;
	RUN_UNTIL(w.loop, w.n_disconnected == 1 && api_watch_state(w.watch, 0)->failures >= 3);
	assert_true(api_watch_state(w.watch, 0)->error[0]);
	assert_int_equal(api_watch_state(w.watch, 0)->n_objects, 2); /* what was known stays */
	assert_string_equal(w.told, "");
	/* It comes back, with another object. */
	w.pods.n_lists = 0;
	serve(&w, net_listen_unix(w.base + 5, 0600, &err));
	RUN_UNTIL(w.loop, w.n_connected == 2);
	assert_string_equal(w.pods.version, "10"); /* taken up where it was lost, no list */
	assert_int_equal(w.pods.n_lists, 0);
	rest_stream_write(w.pods.watch, SLICE(EVENT("ADDED", OBJ("a", "q", "11"))));
	expect_told(&w, "+a/q@11 ");
	assert_string_equal(api_watch_state(w.watch, 0)->error, "");
	world_stop(&w);
}

static void errors_of_all_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *list;
		unsigned status;
		const char *event;
		bool lists_again;
		const char *error;
	} rows[] = {
		{"no such collection", NULL, 404, NULL, true, "status 404"},
		{"server is broken", NULL, 500, NULL, true, "status 500"},
		{"not a list", "hello", 0, NULL, true, "no list"},
		{"list without a version", "{\"metadata\":{},\"items\":[]}", 0, NULL, true,
		 "no list"},
		{"list cut inside", "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{}", 0,
		 NULL, true, "no list"},
		{"event that is no JSON", PODS, 0, "hello", true, "no watch event"},
		{"event without a type", PODS, 0, "{\"object\":{}}", true, "no watch event"},
		{"object without a name", PODS, 0, EVENT("ADDED", "{\"metadata\":{}}"), true,
		 "no watch event"},
		{"server too busy", PODS, 0,
		 EVENT("ERROR", "{\"code\":429,\"message\":\"too busy\"}"), false, "too busy"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		world_start(&w);
		w.pods.list = rows[i].list;
		w.pods.status = rows[i].status;
		if (rows[i].event) {
			sync_up(&w);
			rest_stream_write(w.pods.watch, slice_of(rows[i].event));
		}
		RUN_UNTIL(w.loop, api_watch_state(w.watch, 0)->failures == 1);
		if (!strstr(api_watch_state(w.watch, 0)->error, rows[i].error))
			fail_msg("%s: %s", rows[i].rule, api_watch_state(w.watch, 0)->error);
		unsigned before = w.pods.n_lists;
		w.pods.list = PODS;
		RUN_UNTIL(w.loop, w.n_connected == (rows[i].event ? 2 : 1));
		assert_int_equal(w.pods.n_lists > before, rows[i].lists_again);
		assert_int_equal(w.n_synced, 1);
		world_stop(&w);
	}
}

#define ENTRIES LIST("10", OBJ("a", "e", "5"))

/* A kind that the server does not have counts as empty, and is found when it comes. */
static void absent_kinds(void **state)
{
	(void)state;
	struct world w;
	char log[4096];
	int keep = dup(STDERR_FILENO), file = memfd_create("log", 0);
	assert_true(keep >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
	log_set_level(LOG_INFO);
	world_with(&w, 3);
	sync_up(&w);
	const struct api_resource_state *s = api_watch_state(w.watch, 2);
	assert_int_equal(s->state, API_ABSENT);
	assert_true(s->synced);
	assert_int_equal(w.entries.n_lists, 1);
	assert_int_equal(w.old_entries.n_lists, 1);
	RUN_UNTIL(w.loop, w.entries.n_lists == 2); /* a while later, not at once */
	assert_int_equal(w.old_entries.n_lists, 1);
	w.entries.list = ENTRIES;
	expect_told(&w, "+a/e@5 ");
	RUN_UNTIL(w.loop, s->state == API_WATCHING);
	log_set_level(LOG_ERROR);
	assert_true(dup2(keep, STDERR_FILENO) >= 0);
	assert_int_equal(s->failures, 0);
	assert_int_equal(w.n_connected, 1);
	assert_int_equal(w.n_disconnected, 0);
	ssize_t len = pread(file, log, sizeof(log) - 1, 0);
	assert_true(len > 0);
	log[len] = '\0';
	const char *said = strstr(log, "does not have the kind");
	assert_true(said && !strstr(said + 1, "does not have the kind"));
	assert_non_null(strstr(log, "has the kind now"));
	close(keep);
	close(file);
	world_stop(&w);
}

static void older_versions(void **state)
{
	(void)state;
	struct world w;
	world_with(&w, 3);
	w.old_entries.list = ENTRIES;
	RUN_UNTIL(w.loop, w.old_entries.watch && w.n_connected == 1);
	assert_non_null(strstr(w.told, "+a/e@5 "));
	assert_int_equal(w.entries.n_lists, 1); /* the newest first */
	assert_null(w.entries.watch);
	/* The older one goes, the newer one is there. */
	w.told[0] = '\0';
	w.entries.list = LIST("20", OBJ("a", "e", "5") "," OBJ("a", "f", "15"));
	w.old_entries.list = NULL;
	struct rest_reply *old = w.old_entries.watch;
	w.old_entries.watch = NULL;
	w.old_entries.watch_status = 404;
	rest_stream_end(old);
	expect_told(&w, "+a/f@15 ");
	RUN_UNTIL(w.loop, w.entries.watch);
	world_stop(&w);
}

/* What is in force does not vanish by a 404. */
static void known_objects_stay(void **state)
{
	(void)state;
	struct world w;
	world_with(&w, 3);
	w.entries.list = ENTRIES;
	RUN_UNTIL(w.loop, w.n_connected == 1);
	w.told[0] = '\0';
	w.entries.list = NULL;
	struct rest_reply *old = w.entries.watch;
	w.entries.watch = NULL;
	w.entries.watch_status = 404;
	rest_stream_end(old);
	const struct api_resource_state *s = api_watch_state(w.watch, 2);
	RUN_UNTIL(w.loop, s->failures == 4);
	assert_string_equal(w.told, "");
	assert_int_equal(s->n_objects, 1);
	assert_int_equal(w.n_disconnected, 1);
	assert_non_null(strstr(s->error, "404"));
	/* Its objects go first, as with a custom resource that is taken away: then it is absent. */
	w.entries.list = LIST("30", "");
	expect_told(&w, "-a/e@5 ");
	RUN_UNTIL(w.loop, w.entries.watch);
	w.entries.list = NULL;
	w.entries.watch_status = 404;
	rest_stream_end(w.entries.watch);
	RUN_UNTIL(w.loop, s->state == API_ABSENT);
	assert_true(api_watch_connected(w.watch));
	world_stop(&w);
}

static void freed_inside_a_callback(void **state)
{
	(void)state;
	struct world w;
	world_start(&w);
	w.free_at_object = true;
	RUN_UNTIL(w.loop, w.n_objects == 1);
	RUN_UNTIL(w.loop, rest_server_stats(w.server).open == 0);
	assert_int_equal(w.n_objects, 1);
	assert_int_equal(w.n_synced, 0);
	w.watch = NULL;
	world_stop(&w);

	world_start(&w);
	sync_up(&w);
	w.free_at_object = true;
	rest_stream_write(w.pods.watch, SLICE(EVENT("DELETED", OBJ("a", "x", "11"))
						      EVENT("ADDED", OBJ("a", "q", "12"))));
	expect_told(&w, "-a/x@11 ");
	RUN_UNTIL(w.loop, rest_server_stats(w.server).open == 0);
	w.watch = NULL;
	world_stop(&w);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_then_watches),   cmocka_unit_test(pages),
		cmocka_unit_test(lists_of_other_forms), cmocka_unit_test(expired_versions),
		cmocka_unit_test(server_that_is_away),  cmocka_unit_test(absent_kinds),
		cmocka_unit_test(older_versions),       cmocka_unit_test(known_objects_stay),
		cmocka_unit_test(errors_of_all_kinds),  cmocka_unit_test(freed_inside_a_callback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
