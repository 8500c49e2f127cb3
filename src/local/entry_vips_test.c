/* Which virtual IPs hosts of ServiceEntries are given: by the store alone, whatever the order. */
#include "local/testing.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

#include "local/entry_vips.h"

struct world {
	struct loop *loop;
	struct store *store;
	struct entry_vips *vips;
};

static void start_in(struct world *w, const char *v4, const char *v6)
{
	struct err err = {0};
	*w = (struct world){.loop = loop_new(&err), .store = store_new()};
	w->vips = entry_vips_start(w->loop, w->store, v4, v6);
}

static void start(struct world *w)
{
	start_in(w, ENTRY_VIPS_V4, ENTRY_VIPS_V6);
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
	w->vips = entry_vips_start(w->loop, w->store, ENTRY_VIPS_V4, ENTRY_VIPS_V6);
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

static void drop(struct world *w, const char *name)
{
	struct err err = {0};
	assert_true(store_delete(w->store, KIND_SERVICE_ENTRY, "default", name, &err));
}

/* "240.240.22.37 2001:2::1625" of HOST in NAME's status */
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

/* What names lead to, in every version of hark. The first two lead to one address; second is where the
 * latter one goes instead. */
#define AEQ "240.240.48.45 2001:2::302d"
#define ASS "240.240.48.45 2001:2::302d"
#define ASS_SECOND "240.240.135.128 2001:2::8780"
#define A "240.240.22.37 2001:2::1625"
#define C "240.240.162.181 2001:2::a2b5"
#define M "240.240.68.119 2001:2::4477"
#define N "240.240.49.170 2001:2::31aa"

static const struct {
	const char *rule, *hosts, *more, *host;
	const char *given;
} cases[] = {
	{"a pair for each host", "'a.b'", "", "a.b", A},
	{"a host twice", "'a.b', 'a.b'", "", "a.b", A},
	{"capital letters", "'A.b'", "", "a.b", A},
	{"one with addresses", "'a.b'", ", 'addresses': ['10.0.0.1']", "a.b", ""},
	{"a star", "'*.b'", "", "*.b", ""},
	{"beside a star", "'*.b', 'c.b'", "", "c.b", C},
	{"the first of two that lead to one", "'ass.b', 'aeq.b'", "", "aeq.b", AEQ},
	{"the second of them", "'ass.b', 'aeq.b'", "", "ass.b", ASS_SECOND},
	{"the second alone", "'ass.b'", "", "ass.b", ASS},
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

enum { MANY = 300 };

/* MANY hosts, one in each entry, and AEQ and ASS; the entries are called and made in that order, or all the
 * other way round. */
static void put_many(struct world *w, bool back)
{
	char name[16], host[32];
	for (unsigned i = 0; i < MANY; i++) {
		unsigned h = back ? MANY - 1 - i : i;
		snprintf(name, sizeof(name), "e%u", i);
		snprintf(host, sizeof(host), "'h%u.example.com'", h);
		entry(w, name, host, "", "");
	}
	entry(w, back ? "z" : "a", "'aeq.b'", "", "");
	entry(w, back ? "a" : "z", "'ass.b'", "", "");
}

/* Another mesh gives the same hosts the same addresses: whatever their entries are called, and whatever
 * else is there. */
static void any_order(void **state)
{
	struct world w, other;
	char name[16], back[16], host[32];
	(void)state;
	start(&w);
	put_many(&w, false);
	settle(&w);
	start(&other);
	entry(&other, "0", "'unrelated.org'", "", "");
	put_many(&other, true);
	settle(&other);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		snprintf(back, sizeof(back), "e%u", MANY - 1 - i);
		snprintf(host, sizeof(host), "h%u.example.com", i);
		assert_string_equal(given(&w, name, host), given(&other, back, host));
		assert_string_not_equal(given(&w, name, host), "");
	}
	assert_string_equal(given(&w, "a", "aeq.b"), AEQ);
	assert_string_equal(given(&other, "z", "aeq.b"), AEQ);
	assert_string_equal(given(&w, "z", "ass.b"), ASS_SECOND);
	assert_string_equal(given(&other, "a", "ass.b"), ASS_SECOND);
	stop(&w);
	stop(&other);
}

/* One pair per host, however many entries; nothing that comes, goes or begins anew moves it. */
static void stable(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "m", "'m.b'", "", "");
	entry(&w, "n", "'ass.b'", "", "");
	settle(&w);
	assert_string_equal(given(&w, "m", "m.b"), M);
	assert_string_equal(given(&w, "n", "ass.b"), ASS);
	entry(&w, "a", "'aeq.b', 'ass.b'", "", ""); /* first by name, and by its host */
	settle(&w);
	assert_string_equal(given(&w, "a", "ass.b"), ASS);
	assert_string_equal(given(&w, "a", "aeq.b"), "240.240.228.54 2001:2::e436");
	restart(&w);
	assert_string_equal(given(&w, "m", "m.b"), M);
	assert_string_equal(given(&w, "n", "ass.b"), ASS);
	assert_string_equal(given(&w, "a", "aeq.b"), "240.240.228.54 2001:2::e436");
	entry(&w, "m", "'m.b'", ", 'location': 'MESH_INTERNAL'",
	      ""); /* written again, without a status */
	settle(&w);
	assert_string_equal(given(&w, "m", "m.b"), M);
	stop(&w);
}

static void not_reused_at_once(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "m", "'aeq.b'", "", "");
	settle(&w);
	drop(&w, "m");
	entry(&w, "n", "'ass.b'", "", "");
	settle(&w);
	assert_string_equal(given(&w, "n", "ass.b"), ASS_SECOND);
	entry(&w, "again", "'aeq.b'", "", ""); /* whoever still has the address reaches the host */
	settle(&w);
	assert_string_equal(given(&w, "again", "aeq.b"), AEQ);
	stop(&w);
}

/* Lines of standard error while the store settles that have WORD. */
static unsigned told(struct world *w, const char *word)
{
	char text[4096];
	unsigned n = 0;
	int keep = dup(STDERR_FILENO), file = memfd_create("log", 0);
	assert_true(keep >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
	settle(w);
	assert_true(dup2(keep, STDERR_FILENO) >= 0);
	ssize_t len = pread(file, text, sizeof(text) - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	for (const char *at = text; (at = strstr(at, word)); at++)
		n++;
	close(keep);
	close(file);
	return n;
}

/* Six IPv4 addresses, seven of IPv6: when there is no other, what the host had that has been gone longest. */
static void used_up(void **state)
{
	static const char *const hosts[] = {"a.b", "b.b", "c.b", "d.b", "e.b", "f.b"};
	struct world w;
	char before[N_ELEMS(hosts)][128], quoted[16];
	(void)state;
	start_in(&w, "240.240.0.0/29", "2001:2::/125");
	for (size_t i = 0; i < N_ELEMS(hosts); i++) {
		snprintf(quoted, sizeof(quoted), "'%s'", hosts[i]);
		entry(&w, hosts[i], quoted, "", "");
	}
	settle(&w);
	for (size_t i = 0; i < N_ELEMS(hosts); i++) {
		snprintf(before[i], sizeof(before[i]), "%s", given(&w, hosts[i], hosts[i]));
		assert_non_null(strstr(before[i], "240.240.0."));
		assert_non_null(strstr(before[i], "2001:2::"));
	}
	drop(&w, "b.b");
	settle(&w);
	drop(&w, "a.b");
	entry(&w, "g", "'g.b'", "", "");
	assert_int_equal(told(&w, "no virtual ip is left"), 0);
	const char *g = given(&w, "g", "g.b"); /* IPv6 had one more */
	assert_true(strncmp(g, before[1], strcspn(before[1], " ") + 1) == 0);
	entry(&w, "h", "'h.b'", "", "");
	settle(&w);
	char h[128];
	snprintf(h, sizeof(h), "%.*s %s", (int)strcspn(before[0], " "), before[0],
		 strchr(before[1], ' ') + 1);
	assert_string_equal(given(&w, "h", "h.b"), h);

	entry(&w, "i", "'i.b'", "", "");
	assert_int_equal(told(&w, "no virtual ip is left family=IPv4 hosts_without=1 one=i.b"), 1);
	assert_string_equal(given(&w, "i", "i.b"), strchr(before[0], ' ') + 1);
	entry(&w, "j", "'j.b'", "", "");
	assert_int_equal(told(&w, "no virtual ip is left family=IPv6 hosts_without=1 one=j.b"), 1);
	assert_string_equal(given(&w, "j", "j.b"), "");
	for (size_t i = 2; i < N_ELEMS(hosts); i++) /* nobody who is there lost anything */
		assert_string_equal(given(&w, hosts[i], hosts[i]), before[i]);
	entry(&w, "j", "'j.b'", ", 'location': 'MESH_INTERNAL'", "");
	assert_int_equal(told(&w, "virtual ip"), 0); /* it is known */

	drop(&w, "c.b");
	drop(&w, "d.b");
	assert_int_equal(told(&w, "every host has a virtual ip again"), 2);
	assert_non_null(strstr(given(&w, "j", "j.b"), "240.240.0."));
	assert_non_null(strstr(given(&w, "i", "i.b"), "240.240.0."));
	stop(&w);
}

#define STATUS(ip, host) ", 'status': {'addresses': [{'value': '" ip "', 'host': '" host "'}]}"

static void conflicts(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "old", "'o.b'", "", STATUS("240.240.0.7", "o.b"));
	next_second();
	entry(&w, "a-young", "'y.b'", "", STATUS("240.240.0.7", "y.b"));
	settle(&w);
	assert_string_equal(given(&w, "old", "o.b"), "240.240.0.7 2001:2::b18b");
	assert_string_equal(given(&w, "a-young", "y.b"), "240.240.23.79 2001:2::174f");
	entry(&w, "person", "'p.b'", ", 'addresses': ['240.240.0.7']", "");
	settle(&w);
	assert_string_equal(given(&w, "old", "o.b"), "240.240.177.139 2001:2::b18b");
	stop(&w);
}

/* What a person wrote is nobody else's for as long as it is written. */
static void written_addresses(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "person", "'p.b'", ", 'addresses': ['240.240.22.37']", "");
	entry(&w, "x", "'a.b'", "", "");
	settle(&w);
	assert_string_equal(given(&w, "x", "a.b"), "240.240.246.28 2001:2::1625");
	drop(&w, "person");
	drop(&w, "x");
	entry(&w, "y", "'y.b'", "", STATUS("240.240.22.37", "y.b"));
	settle(&w);
	assert_string_equal(given(&w, "y", "y.b"), "240.240.22.37 2001:2::174f");
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
			    "240.240.22.37 2001:2::1625"); /* 10.0.0.1 is not of the range */
	const struct object *o = store_get(w.store, KIND_SERVICE_ENTRY, "default", "x");
	assert_true(slice_contains(o->json, SLICE("\"conditions\"")));
	entry(&w, "x", "'a.b'", ", 'addresses': ['10.0.0.1']", "");
	settle(&w);
	assert_string_equal(given(&w, "x", "a.b"), "");
	stop(&w);
}

/* A range's own address is nobody's, whatever a status says. */
static void network_address(void **state)
{
	struct world w;
	(void)state;
	start(&w);
	entry(&w, "x", "'a.b'", "", STATUS("240.240.0.0", "a.b"));
	entry(&w, "y", "'c.b'", "", STATUS("240.240.255.255", "c.b"));
	settle(&w);
	assert_string_equal(given(&w, "x", "a.b"), A);
	assert_string_equal(given(&w, "y", "c.b"), C);
	stop(&w);
}

/* Of a file's status: what the mesh may have given. */
static void admitted(void **state)
{
	static const struct {
		const char *rule, *status;
		bool is_new;
		const char *stays; /* NULL: no status */
	} rows[] = {
		{"none", "", true, NULL},
		{"one of each family",
		 ", 'status': {'addresses': [{'host': 'a.b', 'value': '240.240.0.5'}, "
		 "{'host': 'a.b', 'value': '2001:2::5'}]}",
		 true,
		 "\"status\":{\"addresses\":[{\"host\":\"a.b\",\"value\":\"240.240.0.5\"},"
		 "{\"host\":\"a.b\",\"value\":\"2001:2::5\"}]}"},
		{"one of another mesh", STATUS("10.0.0.5", "a.b"), true, NULL},
		{"nobody's", ", 'status': {'addresses': [{'value': '240.240.0.5'}]}", true, NULL},
		{"beside a bad one",
		 ", 'status': {'addresses': [{'host': 'a.b', 'value': '10.0.0.5'}, 5, "
		 "{'host': 'a.b', 'value': '240.240.0.5'}]}",
		 true, "\"status\":{\"addresses\":[{\"host\":\"a.b\",\"value\":\"240.240.0.5\"}]}"},
		{"the mesh has the entry", STATUS("240.240.0.5", "a.b"), false, NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct err err = {0};
		char text[512];
		print_message("%s\n", rows[i].rule);
		snprintf(text, sizeof(text),
			 "{'metadata': {'name': 'x'}, 'spec': {'hosts': ['a.b'], 'resolution': "
			 "'DNS', 'ports': [{'number': 1, 'name': 'a'}]}%s}",
			 rows[i].status);
		struct object *o = make(KIND_SERVICE_ENTRY, text);
		struct object *fit = entry_vips_admit(o, rows[i].is_new, &err);
		assert_non_null(fit);
		assert_true(slice_contains(fit->json, rows[i].stays ? slice_of(rows[i].stays)
								    : SLICE("\"spec\"")));
		assert_int_equal(slice_contains(fit->json, SLICE("status")), rows[i].stays != NULL);
		object_put(fit);
		object_put(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_gets_one),       cmocka_unit_test(opted_out),
		cmocka_unit_test(any_order),          cmocka_unit_test(stable),
		cmocka_unit_test(not_reused_at_once), cmocka_unit_test(used_up),
		cmocka_unit_test(conflicts),          cmocka_unit_test(written_addresses),
		cmocka_unit_test(rewritten),          cmocka_unit_test(network_address),
		cmocka_unit_test(admitted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
