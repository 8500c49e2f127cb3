#include "identity/spiffe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static void parsing(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *uri, *says; /* says NULL: fine */
	} rows[] = {
		{"as Istio writes it", "spiffe://cluster.local/ns/shop/sa/db", NULL},
		{"service accounts may have dots", "spiffe://td/ns/shop/sa/db.v2_x", NULL},
		{"capitals in the path", "spiffe://td/ns/Shop/sa/DB", NULL},
		{"empty", "", "begin"},
		{"another scheme", "https://cluster.local/ns/shop/sa/db", "begin"},
		{"scheme in capitals", "SPIFFE://cluster.local/ns/shop/sa/db", "begin"},
		{"no trust domain", "spiffe:///ns/shop/sa/db", "trust domain"},
		{"trust domain in capitals", "spiffe://Cluster/ns/shop/sa/db", "trust domain"},
		{"a port in the trust domain", "spiffe://td:80/ns/shop/sa/db", "trust domain"},
		{"a user in the trust domain", "spiffe://a@td/ns/shop/sa/db", "trust domain"},
		{"only a trust domain", "spiffe://td", "path"},
		{"no service account", "spiffe://td/ns/shop", "path"},
		{"empty service account", "spiffe://td/ns/shop/sa/", "empty"},
		{"empty namespace", "spiffe://td/ns//sa/db", "empty"},
		{"a piece too many", "spiffe://td/ns/shop/sa/db/x", "bad character"},
		{"a slash at the end", "spiffe://td/ns/shop/sa/db/", "bad character"},
		{"other words", "spiffe://td/namespace/shop/sa/db", "path"},
		{"words swapped", "spiffe://td/sa/db/ns/shop", "path"},
		{"dots for a name", "spiffe://td/ns/../sa/db", "empty or"},
		{"a query", "spiffe://td/ns/shop/sa/db?x", "bad character"},
		{"percent encoding", "spiffe://td/ns/sh%6fp/sa/db", "bad character"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct spiffe_id id;
		struct err err = {0};
		char back[SPIFFE_MAX + 1];
		bool ok = spiffe_parse(slice_of(rows[i].uri), &id, &err);
		if (ok != !rows[i].says || (rows[i].says && !strstr(err.text, rows[i].says)))
			fail_msg("%s: %s", rows[i].rule, err.text);
		if (!ok)
			continue;
		assert_true(spiffe_format(&id, back, &err));
		assert_string_equal(back, rows[i].uri);
	}
	struct spiffe_id id;
	struct err err = {0};
	assert_false(spiffe_parse((struct slice){"spiffe://td/ns/a/sa/b\0c", 23}, &id, &err));
	static char longest[SPIFFE_MAX + 2] = "spiffe://td/ns/a/sa/";
	memset(&longest[20], 'x', SPIFFE_MAX - 20);
	assert_true(spiffe_parse(slice_of(longest), &id, &err));
	longest[SPIFFE_MAX] = 'x';
	assert_false(spiffe_parse(slice_of(longest), &id, &err));
}

static void formatting(void **state)
{
	(void)state;
	struct err err = {0};
	char uri[SPIFFE_MAX + 1];
	assert_true(spiffe_format(&(struct spiffe_id){SLICE("prod@corp"), SLICE("a"), SLICE("b")},
				  uri, &err));
	assert_string_equal(uri, "spiffe://prod.corp/ns/a/sa/b");
	assert_false(
		spiffe_format(&(struct spiffe_id){SLICE("td"), SLICE(""), SLICE("b")}, uri, &err));
	assert_false(spiffe_format(&(struct spiffe_id){SLICE("td"), SLICE("a/sa/x"), SLICE("b")},
				   uri, &err));
	assert_false(
		spiffe_format(&(struct spiffe_id){SLICE(""), SLICE("a"), SLICE("b")}, uri, &err));
}

static void collect(void *ctx, const char *uri)
{
	char *all = ctx;
	strcat(all, uri);
	strcat(all, " ");
}

static void trust(void **state)
{
	(void)state;
	struct err err = {0};
	struct slice aliases[] = {SLICE("old.local"), SLICE("older@corp")};
	struct spiffe_trust *t = spiffe_trust_new(SLICE("cluster.local"), aliases, 2, &err);
	assert_non_null(t);
	static const struct {
		const char *uri;
		bool ours;
	} rows[] = {
		{"spiffe://cluster.local/ns/a/sa/b", true},
		{"spiffe://old.local/ns/a/sa/b", true},
		{"spiffe://older.corp/anything", true}, /* the prefix is all that counts */
		{"spiffe://cluster.local", false},
		{"spiffe://cluster.localhost/ns/a/sa/b", false},
		{"spiffe://cluster/ns/a/sa/b", false},
		{"https://cluster.local/ns/a/sa/b", false},
		{"", false},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		if (spiffe_trusts(t, slice_of(rows[i].uri)) != rows[i].ours)
			fail_msg("%s", rows[i].uri);
	char all[512] = "";
	struct spiffe_id id = {SLICE("cluster.local"), SLICE("a"), SLICE("b")};
	spiffe_expand(t, &id, collect, all);
	assert_string_equal(all, "spiffe://cluster.local/ns/a/sa/b spiffe://old.local/ns/a/sa/b "
				 "spiffe://older.corp/ns/a/sa/b ");
	all[0] = '\0';
	id.trust_domain = SLICE("elsewhere");
	spiffe_expand(t, &id, collect, all);
	assert_string_equal(all, "spiffe://elsewhere/ns/a/sa/b ");
	spiffe_trust_free(t);
	assert_null(spiffe_trust_new(SLICE("Bad Domain"), NULL, 0, &err));
	assert_null(spiffe_trust_new(SLICE("td"), &SLICE("a/b"), 1, &err));
	assert_non_null(strstr(err.text, "alias"));
}

static void accepting(void **state)
{
	(void)state;
	struct err err = {0};
	struct spiffe_trust *t = spiffe_trust_new(SLICE("td"), NULL, 0, &err);
	struct tls_peer one = {.n_uris = 1, .uris = {SLICE("spiffe://td/ns/a/sa/b")}};
	struct tls_peer two = {
		.n_uris = 2,
		.uris = {SLICE("spiffe://td/ns/a/sa/b"), SLICE("spiffe://td/ns/c/sa/d")}};
	struct tls_peer dns = {.n_dns = 1, .dns = {SLICE("db.shop")}};
	struct tls_peer foreign = {.n_uris = 1, .uris = {SLICE("spiffe://x/ns/a/sa/b")}};
	assert_int_equal(spiffe_accept_mesh(t, &one), TLS_WHY_NONE);
	assert_int_equal(spiffe_accept_mesh(t, &two), TLS_WHY_MANY_SANS);
	assert_int_equal(spiffe_accept_mesh(t, &dns), TLS_WHY_NO_SAN);
	assert_int_equal(spiffe_accept_mesh(t, &foreign), TLS_WHY_WRONG_DOMAIN);
	struct tls_peer other = {.n_uris = 1, .uris = {SLICE("https://td/ns/a/sa/b")}};
	assert_int_equal(spiffe_accept_mesh(t, &other), TLS_WHY_NO_SAN);
	one.sans_dropped = true; /* there were more than could be looked at */
	assert_int_equal(spiffe_accept_mesh(t, &one), TLS_WHY_MANY_SANS);
	struct slice wanted[] = {SLICE("spiffe://td/ns/c/sa/d"), SLICE("db.shop")};
	struct spiffe_names names = {wanted, 2}, none = {NULL, 0};
	assert_int_equal(spiffe_accept_names(&names, &one), TLS_WHY_WRONG_SAN);
	assert_int_equal(spiffe_accept_names(&names, &two), TLS_WHY_NONE);
	assert_int_equal(spiffe_accept_names(&names, &dns), TLS_WHY_NONE);
	assert_int_equal(spiffe_accept_names(&none, &foreign), TLS_WHY_NONE);
	spiffe_trust_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(parsing), cmocka_unit_test(formatting),
					   cmocka_unit_test(trust), cmocka_unit_test(accepting)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
