#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/store.h"

static struct object *config_map(const char *ns, const char *name, const char *value,
				 const char *more_meta)
{
	char json[512];
	struct err err = {0};
	(void)snprintf(
		json, sizeof(json),
		"{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\"%s},\"data\":{\"k\":\"%s\"}}",
		ns, name, more_meta, value);
	struct object *o = object_from_json(KIND_CONFIG_MAP, slice_of(json), true, &err);
	if (!o)
		fail_msg("%s", err.text);
	return o;
}

/* What a watcher heard, as one line: "+shop/a ~shop/a -shop/a". */
struct ear {
	struct store_watch watch;
	char heard[512];
	struct store *apply_to; /* makes a change of its own on the first event */
	struct store_watch *forget;
};

static void hear(struct ear *e, const struct store_event *ev)
{
	size_t used = strlen(e->heard);
	(void)snprintf(e->heard + used, sizeof(e->heard) - used, "%s%c%s/%s%s", used ? " " : "",
		       "+~-"[ev->type], ev -> object -> meta.ns, ev->object->meta.name,
		       ev->old ? "*" : "");
	assert_int_equal(ev->object->meta.resource_version, ev->resource_version);
}

static void on_event(struct store_watch *w, const struct store_event *ev)
{
	struct ear *e = CONTAINER_OF(w, struct ear, watch);
	hear(e, ev);
	struct store *s = e->apply_to;
	if (s) {
		struct object *o = config_map("own", "x", "1", "");
		e->apply_to = NULL;
		assert_true(store_apply(s, o, STORE_CREATE, 0, NULL, NULL));
		object_put(o);
		if (e->forget)
			store_unwatch(s, e->forget);
	}
}

static void on_replayed(void *ctx, const struct store_event *ev)
{
	hear(ctx, ev);
}

static bool put(struct store *s, const char *ns, const char *name, const char *value,
		enum store_mode mode, uint64_t expect, struct err *err)
{
	struct object *o = config_map(ns, name, value, "");
	bool ok = store_apply(s, o, mode, expect, NULL, err);
	object_put(o);
	return ok;
}

static void life(void **state)
{
	(void)state;
	struct store *s = store_new();
	struct ear ear = {.watch.on_event = on_event};
	struct err err = {0};
	const struct object *stored = NULL;
	uint64_t begin = store_version(s);
	assert_true(begin > 0);
	store_watch(s, &ear.watch);

	struct object *o = config_map("shop", "a", "1", ",\"managedFields\":[]");
	assert_true(store_apply(s, o, STORE_CREATE, 0, &stored, &err));
	object_put(o);
	assert_ptr_equal(stored, store_get(s, KIND_CONFIG_MAP, "shop", "a"));
	assert_int_equal(strlen(stored->meta.uid), 36);
	assert_int_equal(stored->meta.generation, 1);
	assert_int_equal(stored->meta.resource_version, begin + 1);
	assert_true(stored->meta.creation_ns > 0);
	assert_false(slice_contains(stored->json, SLICE("managedFields")));

	assert_false(put(s, "shop", "a", "2", STORE_CREATE, 0, &err));
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_false(put(s, "shop", "a", "2", STORE_REPLACE, begin, &err));
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_false(put(s, "shop", "b", "2", STORE_REPLACE, 0, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(store_version(s), begin + 1);

	/* The same again changes nothing; something else keeps who it is. */
	char uid[40];
	(void)snprintf(uid, sizeof(uid), "%s", stored->meta.uid);
	assert_true(put(s, "shop", "a", "1", STORE_CREATE_OR_REPLACE, 0, &err));
	assert_int_equal(store_version(s), begin + 1);
	assert_true(put(s, "shop", "a", "2", STORE_REPLACE, begin + 1, &err));
	stored = store_get(s, KIND_CONFIG_MAP, "shop", "a");
	assert_string_equal(stored->meta.uid, uid);
	assert_int_equal(stored->meta.generation, 2);
	assert_int_equal(stored->meta.resource_version, begin + 2);

	assert_true(store_delete(s, KIND_CONFIG_MAP, "shop", "a", &err));
	assert_false(store_delete(s, KIND_CONFIG_MAP, "shop", "a", &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(err.text, "ConfigMap shop/a is not there");
	assert_int_equal(store_version(s), begin + 3);
	assert_string_equal(ear.heard, "+shop/a ~shop/a* -shop/a");

	struct ear later = {0};
	assert_true(store_replay(s, begin + 1, on_replayed, &later));
	assert_string_equal(later.heard, "~shop/a -shop/a");
	assert_true(store_replay(s, begin + 3, on_replayed, &later));
	assert_string_equal(later.heard, "~shop/a -shop/a");
	assert_false(store_replay(s, begin + 4, on_replayed, &later));
	assert_false(store_replay(s, begin - 1, on_replayed, &later));
	store_unwatch(s, &ear.watch);
	store_free(s);
}

static void status_stays(void **state)
{
	(void)state;
	static const char with_status[] =
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]},"
		"\"status\":{\"phase\":\"Running\"}}";
	static const char without[] = "{\"metadata\":{\"name\":\"p\",\"labels\":{\"a\":\"b\"}},"
				      "\"spec\":{\"containers\":[{\"name\":\"c\"}]}}";
	struct store *s = store_new();
	struct err err = {0};
	struct object *a = object_from_json(KIND_POD, slice_of(with_status), true, &err);
	struct object *b = object_from_json(KIND_POD, slice_of(without), true, &err);
	const struct object *stored = NULL;
	assert_true(store_apply(s, a, STORE_CREATE, 0, &stored, &err));
	assert_true(store_apply(s, b, STORE_REPLACE, 0, &stored, &err));
	assert_string_equal(stored->pod->phase, "Running");
	assert_string_equal(pairs_get(&stored->meta.labels, "a"), "b");
	assert_int_equal(stored->meta.generation, 1); /* the spec is the same */
	object_put(a);
	object_put(b);
	store_free(s);
}

static void walks(void **state)
{
	(void)state;
	struct store *s = store_new();
	static const char *const all[][2] = {
		{"b", "2"}, {"a", "9"}, {"b", "1"}, {"c", "1"}, {"b", "3"}};
	for (size_t i = 0; i < N_ELEMS(all); i++)
		assert_true(put(s, all[i][0], all[i][1], "", STORE_CREATE, 0, NULL));
	assert_int_equal(store_count(s, KIND_CONFIG_MAP), 5);
	char got[64] = "";
	const struct object *o = NULL;
	while ((o = store_next(s, KIND_CONFIG_MAP, NULL, o)))
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s ", o->meta.ns,
			       o->meta.name);
	assert_string_equal(got, "a9 b1 b2 b3 c1 ");
	got[0] = '\0';
	while ((o = store_next(s, KIND_CONFIG_MAP, "b", o)))
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s ", o->meta.ns,
			       o->meta.name);
	assert_string_equal(got, "b1 b2 b3 ");
	assert_null(store_next(s, KIND_CONFIG_MAP, "bb", NULL));
	assert_null(store_next(s, KIND_POD, NULL, NULL));
	store_free(s);
}

static void names_made(void **state)
{
	(void)state;
	struct store *s = store_new();
	struct err err = {0};
	struct object *o = object_from_json(
		KIND_CONFIG_MAP, SLICE("{\"metadata\":{\"generateName\":\"web-\"}}"), true, &err);
	assert_non_null(o);
	for (int i = 0; i < 20; i++) {
		const struct object *stored = NULL;
		assert_true(store_apply(s, o, STORE_CREATE, 0, &stored, &err));
		assert_int_equal(strlen(stored->meta.name), 9);
		assert_true(slice_starts(slice_of(stored->meta.name), SLICE("web-")));
	}
	assert_int_equal(store_count(s, KIND_CONFIG_MAP), 20);
	object_put(o);
	store_free(s);
}

static void watcher_changes(void **state)
{
	(void)state;
	struct store *s = store_new();
	struct ear first = {.watch.on_event = on_event, .apply_to = s};
	struct ear gone = {.watch.on_event = on_event};
	struct ear last = {.watch.on_event = on_event};
	first.forget = &gone.watch;
	store_watch(s, &first.watch);
	store_watch(s, &gone.watch);
	store_watch(s, &last.watch);
	assert_true(put(s, "shop", "a", "1", STORE_CREATE, 0, NULL));
	assert_string_equal(first.heard, "+shop/a +own/x");
	assert_string_equal(gone.heard, "");
	assert_string_equal(last.heard, "+shop/a +own/x");
	store_free(s);
}

static void log_is_bounded(void **state)
{
	(void)state;
	struct store *s = store_new();
	uint64_t begin = store_version(s);
	char value[16];
	for (int i = 0; i < STORE_LOG + 10; i++) {
		(void)snprintf(value, sizeof(value), "%d", i);
		assert_true(put(s, "shop", "a", value, STORE_CREATE_OR_REPLACE, 0, NULL));
	}
	struct ear ear = {0};
	assert_false(store_replay(s, begin + 9, on_replayed, &ear));
	assert_true(store_replay(s, store_version(s) - 2, on_replayed, &ear));
	assert_string_equal(ear.heard, "~shop/a ~shop/a");
	store_free(s);
}

static void put_slice(struct store *s, const char *ns, const char *name, const char *service)
{
	char json[512];
	struct err err = {0};
	(void)snprintf(json, sizeof(json),
		       "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"labels\":"
		       "{\"kubernetes.io/service-name\":\"%s\"}},\"addressType\":\"IPv4\","
		       "\"endpoints\":[],\"ports\":[]}",
		       ns, name, service);
	struct object *o = object_from_json(KIND_ENDPOINT_SLICE, slice_of(json), true, &err);
	if (!o)
		fail_msg("%s", err.text);
	assert_true(store_apply(s, o, STORE_CREATE_OR_REPLACE, 0, NULL, &err));
	object_put(o);
}

static void expect_slices(const struct store *s, const char *ns, const char *service,
			  const char *expected)
{
	char names[200] = "";
	size_t n = 0;
	struct object *const *all = store_slices(s, ns, service, &n);
	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(names);
		(void)snprintf(names + used, sizeof(names) - used, "%s%s", used ? " " : "",
			       all[i]->meta.name);
	}
	assert_string_equal(names, expected);
}

static void slices_of_a_service(void **state)
{
	(void)state;
	struct store *s = store_new();
	put_slice(s, "shop", "b", "db");
	put_slice(s, "shop", "a", "db");
	put_slice(s, "shop", "c", "web");
	put_slice(s, "bank", "a", "db");
	expect_slices(s, "shop", "db", "a b");
	expect_slices(s, "bank", "db", "a");
	put_slice(s, "shop", "a", "web"); /* moves */
	expect_slices(s, "shop", "db", "b");
	expect_slices(s, "shop", "web", "a c");
	put_slice(s, "shop", "b", ""); /* nobody's any more */
	expect_slices(s, "shop", "db", "");
	assert_true(store_delete(s, KIND_ENDPOINT_SLICE, "shop", "c", NULL));
	expect_slices(s, "shop", "web", "a");
	expect_slices(s, "shop", "none", "");
	store_free(s);
}

static void all_of_a_namespace(void **state)
{
	(void)state;
	struct store *s = store_new();
	static const char *const names[] = {"shop", "shop-2", "sho", "shopper", "bank"};
	size_t n = 0;
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		assert_true(put(s, names[i], "x", "1", STORE_CREATE, 0, NULL));
		assert_true(put(s, names[i], "y", "1", STORE_CREATE, 0, NULL));
	}
	struct object *const *all = store_all(s, KIND_CONFIG_MAP, "shop", &n);
	assert_int_equal(n, 2);
	assert_string_equal(all[0]->meta.ns, "shop");
	assert_string_equal(all[1]->meta.name, "y");
	assert_ptr_equal(store_next(s, KIND_CONFIG_MAP, "shop", NULL), all[0]);
	(void)store_all(s, KIND_CONFIG_MAP, NULL, &n); /* only how many */
	assert_int_equal(n, 10);
	assert_null(store_all(s, KIND_CONFIG_MAP, "zoo", &n));
	assert_int_equal(n, 0);
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(slices_of_a_service),
		cmocka_unit_test(all_of_a_namespace),
		cmocka_unit_test(status_stays),
		cmocka_unit_test(walks),
		cmocka_unit_test(names_made),
		cmocka_unit_test(watcher_changes),
		cmocka_unit_test(log_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
