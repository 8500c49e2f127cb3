/* Which virtual IPs hosts of ServiceEntries are given: by the store alone, whatever the order. */
#include "local/testing.h"

#include <unistd.h>

#include "base/clock.h"

#include "local/entry_vips.h"

struct world {
	struct loop *loop;
	struct store *store;
	struct entry_vips *vips;
};

static void start(struct world *w)
{
	struct err err = {0};
	*w = (struct world){.loop = loop_new(&err), .store = store_new()};
	w->vips = entry_vips_start(w->loop, w->store, true);
}

/* A turn in which nothing was due is one that waited in vain. */
static void settle(struct world *w)
{
	struct err err = {0};
	uint64_t before = 0, began = 0;
	enum { IN_VAIN_MS = 20 };
	do {
		before = store_version(w->store);
		began = clock_ns();
		assert_true(loop_turn(w->loop, IN_VAIN_MS, &err));
	} while (store_version(w->store) != before ||
		 clock_ns() - began < IN_VAIN_MS * NS_PER_MS / 2);
}

static void restart(struct world *w)
{
	entry_vips_stop(w->vips);
	w->vips = entry_vips_start(w->loop, w->store, true);
	settle(w);
}

static void stop(struct world *w)
{
	entry_vips_stop(w->vips);
	store_free(w->store);
	loop_free(w->loop);
}

/* MORE: members of the spec, STATUS: of the object; each with a comma before it. */
static void entry(struct world *w, const char *name, const char *hosts, const char *more,
		  const char *status)
{
	char text[1024];
	snprintf(text, sizeof(text),
		 "{'metadata': {'name': '%s'}, 'spec': {'hosts': [%s], 'resolution': 'DNS', "
		 "'ports': [{'number': 1, 'name': 'a'}]%s}%s}",
		 name, hosts, more, status);
	put(w->store, KIND_SERVICE_ENTRY, text);
}

/* Creation times count in seconds. */
static void next_second(void)
{
	uint64_t now = clock_wall_ns() / NS_PER_S;
	while (clock_wall_ns() / NS_PER_S == now)
		(void)usleep(1000); /* looks again */
}

/* "240.240.0.1 2001:2::1" of HOST in NAME's status */
static const char *given(const struct world *w, const char *name, const char *host)
{
	static char texts[8][128];
	static unsigned turn;
	char *text = texts[turn++ % 8], one[ADDR_TEXT];
	const struct object *o = store_get(w->store, KIND_SERVICE_ENTRY, "default", name);
	assert_non_null(o);
	text[0] = '\0';
	for (size_t i = 0; i < o->service_entry->n_vips; i++)
		if (strcmp(o->service_entry->vips[i].host, host) == 0)
			snprintf(&text[strlen(text)], 128 - strlen(text), "%s%s",
				 text[0] ? " " : "", ip_text(&o->service_entry->vips[i].ip, one));
	return text;
}

static const struct {
	const char *rule, *hosts, *more, *host;
	const char *given;
} cases[] = {
	{"a pair for each host", "'a.b'", "", "a.b", "240.240.0.1 2001:2::1"},
	{"a host twice", "'a.b', 'a.b'", "", "a.b", "240.240.0.1 2001:2::1"},
	{"one with addresses", "'a.b'", ", 'addresses': ['10.0.0.1']", "a.b", ""},
	{"a star", "'*.b'", "", "*.b", ""},
	{"beside a star", "'*.b', 'c.b'", "", "c.b", "240.240.0.1 2001:2::1"},
};

static void who_gets_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct world w;
		start(&w);
		print_message("%s\n", cases[i].rule);
		entry(&w, "x", cases[i].hosts, cases[i].more, "");
		settle(&w);
		assert_string_equal(given(&w, "x", cases[i].host), cases[i].given);
		stop(&w);
	}
}

static void opted_out(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	put(w.store, KIND_SERVICE_ENTRY,
	    "{'metadata': {'name': 'n'}, 'spec': {'hosts': ['n.b'], 'resolution': 'NONE', 'ports': "
	    "[{'number': 1, "
	    "'name': 'a'}]}}");
	put(w.store, KIND_SERVICE_ENTRY,
	    "{'metadata': {'name': 'x', 'labels': {'networking.istio.io/enable-autoallocate-ip': "
	    "'False'}}, 'spec': "
	    "{'hosts': ['a.b'], 'resolution': 'DNS', 'ports': [{'number': 1, 'name': 'a'}]}}");
	settle(&w);
	assert_string_equal(given(&w, "x", "a.b"), "");
	assert_string_equal(given(&w, "n", "n.b"), ""); /* what is dialled is what is meant */
	stop(&w);
}

/* One pair per host, however many entries; nothing that comes, goes or begins anew moves it. */
static void stable(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "m", "'m.b'", "", "");
	entry(&w, "n", "'n.b'", "", "");
	settle(&w);
	assert_string_equal(given(&w, "m", "m.b"), "240.240.0.1 2001:2::1");
	assert_string_equal(given(&w, "n", "n.b"), "240.240.0.2 2001:2::2");
	entry(&w, "a", "'a.b', 'n.b'", "", ""); /* first by name */
	settle(&w);
	assert_string_equal(given(&w, "a", "n.b"), "240.240.0.2 2001:2::2");
	assert_string_equal(given(&w, "a", "a.b"), "240.240.0.3 2001:2::3");
	restart(&w);
	assert_string_equal(given(&w, "m", "m.b"), "240.240.0.1 2001:2::1");
	assert_string_equal(given(&w, "n", "n.b"), "240.240.0.2 2001:2::2");
	assert_string_equal(given(&w, "a", "a.b"), "240.240.0.3 2001:2::3");
	entry(&w, "m", "'m.b'", ", 'location': 'MESH_INTERNAL'",
	      ""); /* written again, without a status */
	settle(&w);
	assert_string_equal(given(&w, "m", "m.b"), "240.240.0.1 2001:2::1");
	stop(&w);
}

static void never_reused(void **state)
{
	struct world w;
	struct err err = {0};
	(void)state;
	start(&w);
	entry(&w, "m", "'m.b'", "", "");
	settle(&w);
	assert_true(store_delete(w.store, KIND_SERVICE_ENTRY, "default", "m", &err));
	entry(&w, "n", "'n.b'", "", "");
	settle(&w);
	assert_string_equal(given(&w, "n", "n.b"), "240.240.0.2 2001:2::2");
	entry(&w, "again", "'m.b'", "", ""); /* whoever still has the address reaches the host */
	settle(&w);
	assert_string_equal(given(&w, "again", "m.b"), "240.240.0.1 2001:2::1");
	stop(&w);
}

#define STATUS(host) ", 'status': {'addresses': [{'value': '240.240.0.7', 'host': '" host "'}]}"

static void conflicts(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "old", "'o.b'", "", STATUS("o.b"));
	next_second();
	entry(&w, "a-young", "'y.b'", "", STATUS("y.b"));
	settle(&w);
	assert_string_equal(given(&w, "old", "o.b"), "240.240.0.7 2001:2::1");
	assert_string_equal(given(&w, "a-young", "y.b"), "240.240.0.1 2001:2::2");
	entry(&w, "person", "'p.b'", ", 'addresses': ['240.240.0.7']", "");
	settle(&w);
	assert_string_equal(given(&w, "old", "o.b"), "240.240.0.2 2001:2::1");
	stop(&w);
}

/* What is no longer wanted goes, and what is not ours in the status stays. */
static void rewritten(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "x", "'a.b'", "",
	      ", 'status': {'conditions': [{'type': 'Ready'}], 'addresses': [{'value': "
	      "'240.240.0.5', 'host': 'gone.b'}, "
	      "{'value': '10.0.0.1', 'host': 'a.b'}]}");
	settle(&w);
	assert_string_equal(given(&w, "x", "gone.b"), "");
	assert_string_equal(given(&w, "x", "a.b"),
			    "240.240.0.1 2001:2::1"); /* 10.0.0.1 is not of the range */
	const struct object *o = store_get(w.store, KIND_SERVICE_ENTRY, "default", "x");
	assert_true(slice_contains(o->json, SLICE("\"conditions\"")));
	entry(&w, "x", "'a.b'", ", 'addresses': ['10.0.0.1']", "");
	settle(&w);
	assert_string_equal(given(&w, "x", "a.b"), "");
	stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_gets_one), cmocka_unit_test(opted_out),
		cmocka_unit_test(stable),       cmocka_unit_test(never_reused),
		cmocka_unit_test(conflicts),    cmocka_unit_test(rewritten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
