/* What DestinationRules ask for, made of files: which are read, what is wrong with them, and when they
 * are read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "identity/ca.h"
#include "proxy/origin_tls.h"

enum { PATH_LEN = 128, PEM_MAX = 64 * 1024 };

static char dir[] = "/tmp/hark-origin-XXXXXX";
static char good_cert[PEM_MAX], good_key[PEM_MAX], other_key[PEM_MAX], good_roots[PEM_MAX];
static const char *const no_names[] = {NULL};

/* Paths of the test's folder, each in a place of its own until the next row. */
static const char *path_of(const char *name)
{
	static char places[16][PATH_LEN];
	static unsigned next;
	char *out = places[next++ % N_ELEMS(places)];
	(void)snprintf(out, PATH_LEN, "%s%s%s", name[0] ? dir : "", name[0] ? "/" : "", name);
	return out;
}

/* Renamed into place, as whoever projects files does. */
static void put(const char *name, const char *text, size_t len)
{
	FILE *f = fopen(path_of(".next"), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(path_of(".next"), path_of(name)), 0);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void certify(const struct ca *ca, struct arena *arena)
{
	struct err err = {0};
	struct ca_answer answer;
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
	struct keypair *other = keypair_new(KEYPAIR_EC_P256, &err);
	assert_true(ca_sign(ca,
			    &(struct ca_order){.key = key,
					       .uri = "spiffe://cluster.local/ns/a/sa/b",
					       .now_s = (int64_t)time(NULL),
					       .ttl_s = CA_DAY_S},
			    arena, &answer, &err));
	(void)snprintf(good_cert, PEM_MAX, "%.*s", SLICE_FMT(answer.cert[0]));
	(void)snprintf(good_roots, PEM_MAX, "%.*s", SLICE_FMT(ca_roots(ca)));
	char *pem = keypair_pem(key);
	(void)snprintf(good_key, PEM_MAX, "%s", pem);
	keypair_pem_free(pem);
	pem = keypair_pem(other);
	(void)snprintf(other_key, PEM_MAX, "%s", pem);
	keypair_pem_free(pem);
	keypair_put(key);
	keypair_put(other);
}

static int start(void **state)
{
	(void)state;
	static char much[5 * 1024 * 1024];
	struct err err = {0};
	struct arena *arena = arena_new();
	assert_non_null(mkdtemp(dir));
	struct ca *ca = ca_new_root(
		&(struct ca_root){.organization = "us", .now_s = (int64_t)time(NULL)}, &err);
	assert_non_null(ca);
	certify(ca, arena);
	ca_put(ca);
	arena_free(arena);
	put_text("cert", good_cert);
	put_text("key", good_key);
	put_text("other-key", other_key);
	put_text("roots", good_roots);
	put_text("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	put_text("text", "no PEM at all\n");
	put_text("empty", "");
	put("big", much, sizeof(much));
	assert_int_equal(mkdir(path_of("folder"), 0700), 0);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	char command[256];
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* A rule with those files of the folder. */
static struct client_tls rule_of(enum client_tls_mode mode, const char *cert, const char *key,
				 const char *roots)
{
	return (struct client_tls){
		.mode = mode,
		.client_certificate = path_of(cert),
		.private_key = path_of(key),
		.ca_certificates = path_of(roots),
		.ca_crl = "",
		.credential_name = "",
		.sni = "",
		.subject_alt_names = no_names,
		.given = true,
	};
}

static void what_is_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum client_tls_mode mode;
		const char *cert, *key, *roots;
		const char *credential, *crl;
		const char *says; /* "": nothing is wrong */
	} rows[] = {
		/* clang-format off */
		{"roots alone",              CLIENT_TLS_SIMPLE, "", "", "roots", "", "", ""},
		{"all three",                CLIENT_TLS_MUTUAL, "cert", "key", "roots", "", "", ""},
		{"SIMPLE reads no key",      CLIENT_TLS_SIMPLE, "none", "none", "roots", "", "", ""},
		{"no such roots",            CLIENT_TLS_SIMPLE, "", "", "none", "", "", "/none: No such file or directory"},
		{"no such certificate",      CLIENT_TLS_MUTUAL, "none", "key", "roots", "", "", "/none: No such file or directory"},
		{"no such key",              CLIENT_TLS_MUTUAL, "cert", "none", "roots", "", "", "/none: No such file or directory"},
		{"roots that are cut",       CLIENT_TLS_SIMPLE, "", "", "garbage", "", "", "/garbage: roots: "},
		{"roots that are no PEM",    CLIENT_TLS_SIMPLE, "", "", "text", "", "", "/text: roots: no certificate in them"},
		{"no roots in the file",     CLIENT_TLS_SIMPLE, "", "", "empty", "", "", "/empty: TLS identity: peers cannot be verified without roots"},
		{"a folder",                 CLIENT_TLS_SIMPLE, "", "", "folder", "", "", "/folder: Is a directory"},
		{"a FIFO holds nobody up",   CLIENT_TLS_SIMPLE, "", "", "fifo", "", "", "/fifo: TLS identity: "},
		{"too much",                 CLIENT_TLS_SIMPLE, "", "", "big", "", "", "/big: more than 4194304 bytes"},
		{"too long a key",           CLIENT_TLS_MUTUAL, "cert", "big", "roots", "", "", "/big: more than 65536 bytes"},
		{"a key that is none",       CLIENT_TLS_MUTUAL, "cert", "text", "roots", "", "", "/roots: private key: "},
		{"another's key",            CLIENT_TLS_MUTUAL, "cert", "other-key", "roots", "", "", "the key is not that of the certificate"},
		{"a certificate that is none", CLIENT_TLS_MUTUAL, "text", "key", "roots", "", "", "certificate chain: no certificate in it"},
		{"MUTUAL without a key",     CLIENT_TLS_MUTUAL, "cert", "", "roots", "", "", "MUTUAL needs clientCertificate and privateKey"},
		{"MUTUAL without a certificate", CLIENT_TLS_MUTUAL, "", "key", "roots", "", "", "MUTUAL needs clientCertificate and privateKey"},
		{"a Secret",                 CLIENT_TLS_MUTUAL, "", "", "", "bank", "", "credentialName bank: a sidecar has no Secrets here; name files"},
		{"a revocation list",        CLIENT_TLS_SIMPLE, "", "", "roots", "", "/crl", "caCrl /crl: revocation lists are not supported"},
		/* clang-format on */
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct origin_cache cache = {0};
		struct err err = {0};
		struct client_tls rule =
			rule_of(rows[i].mode, rows[i].cert, rows[i].key, rows[i].roots);
		rule.credential_name = rows[i].credential;
		rule.ca_crl = rows[i].crl;
		const struct tls_context *ctx = origin_context(&cache, &rule, clock_ns(), &err);
		if (!ctx != (rows[i].says[0] != '\0') || !strstr(err.text, rows[i].says))
			fail_msg("%s: %s", rows[i].name, err.text);
		origin_cache_fini(&cache);
	}
}

static void without_verification_nothing_is_read(void **state)
{
	(void)state;
	struct origin_cache cache = {0};
	struct err err = {0};
	struct client_tls rule = rule_of(CLIENT_TLS_SIMPLE, "", "", "none");
	rule.insecure_skip_verify = true;
	assert_non_null(origin_context(&cache, &rule, clock_ns(), &err));
	origin_cache_fini(&cache);
}

/* The paths of two rules look alike when they are put behind each other. */
static void rules_are_told_apart(void **state)
{
	(void)state;
	static const struct {
		const char *cert, *key;
	} rows[] = {{"cert", "key"}, {"cert\nkey", "key"}, {"cert", "key\nkey"}, {"cert\n", "key"}};
	struct origin_cache cache = {0};
	struct err err = {0};
	const struct tls_context *of[N_ELEMS(rows)];
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		put_text(rows[i].cert, good_cert);
		put_text(rows[i].key, good_key);
		struct client_tls rule =
			rule_of(CLIENT_TLS_MUTUAL, rows[i].cert, rows[i].key, "roots");
		of[i] = origin_context(&cache, &rule, 1, &err);
		assert_non_null(of[i]);
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(of[i], of[k]);
	}
	struct client_tls again = rule_of(CLIENT_TLS_MUTUAL, "cert", "key", "roots");
	assert_ptr_equal(origin_context(&cache, &again, 1, &err), of[0]);
	origin_cache_fini(&cache);
}

static void files_that_change(void **state)
{
	(void)state;
	struct origin_cache cache = {0};
	struct err err = {0};
	uint64_t now = clock_ns();
	put_text("live", good_roots);
	struct client_tls rule = rule_of(CLIENT_TLS_SIMPLE, "", "", "live");
	struct tls_context *first = tls_context_get(origin_context(&cache, &rule, now, &err));
	assert_ptr_equal(origin_context(&cache, &rule, now += 2 * NS_PER_S, &err), first);
	put_text("live", good_roots); /* another file */
	assert_ptr_equal(origin_context(&cache, &rule, now + NS_PER_S / 2, &err), first);
	struct tls_context *second =
		tls_context_get(origin_context(&cache, &rule, now += 2 * NS_PER_S, &err));
	assert_non_null(second);
	assert_ptr_not_equal(second, first);
	/* spoilt, then gone: the last good one stays in force */
	put_text("live", "nothing");
	assert_ptr_equal(origin_context(&cache, &rule, now += 2 * NS_PER_S, &err), second);
	assert_int_equal(unlink(path_of("live")), 0);
	assert_ptr_equal(origin_context(&cache, &rule, now += 2 * NS_PER_S, &err), second);
	put_text("live", good_roots);
	const struct tls_context *third = origin_context(&cache, &rule, now + 2 * NS_PER_S, &err);
	assert_non_null(third);
	assert_ptr_not_equal(third, second);
	assert_int_equal(err.kind, ERR_NONE); /* nobody was told of what was no trouble */
	tls_context_put(first);
	tls_context_put(second);
	origin_cache_fini(&cache);
}

static void files_that_come_late(void **state)
{
	(void)state;
	struct origin_cache cache = {0};
	struct err err = {0};
	uint64_t now = clock_ns();
	struct client_tls rule = rule_of(CLIENT_TLS_SIMPLE, "", "", "late");
	assert_null(origin_context(&cache, &rule, now, &err));
	put_text("late", good_roots);
	/* not looked for at each connection; the reason is told to each */
	err = (struct err){0};
	assert_null(origin_context(&cache, &rule, now + NS_PER_S / 2, &err));
	assert_non_null(strstr(err.text, "/late: No such file"));
	assert_non_null(origin_context(&cache, &rule, now + 2 * NS_PER_S, &err));
	origin_cache_fini(&cache);
}

/* The oldest gives way: it is made anew, the newest is still known. */
static void the_table_is_bounded(void **state)
{
	(void)state;
	struct origin_cache cache = {0};
	struct err err = {0};
	char first[] = "none-0", last[32];
	for (unsigned i = 0; i <= ORIGINS_MAX; i++) {
		(void)snprintf(last, sizeof(last), "none-%u", i);
		struct client_tls rule = rule_of(CLIENT_TLS_SIMPLE, "", "", last);
		assert_null(origin_context(&cache, &rule, 1, &err));
	}
	put_text(first, good_roots);
	put_text(last, good_roots);
	struct client_tls rule = rule_of(CLIENT_TLS_SIMPLE, "", "", last);
	assert_null(origin_context(&cache, &rule, 1, &err));
	rule = rule_of(CLIENT_TLS_SIMPLE, "", "", first);
	assert_non_null(origin_context(&cache, &rule, 1, &err));
	origin_cache_fini(&cache);
}

static void names_without_end(void **state)
{
	(void)state;
	static char name[20000];
	struct origin_cache cache = {0};
	struct err err = {0};
	memset(name, 'x', sizeof(name) - 1);
	struct client_tls rule = rule_of(CLIENT_TLS_SIMPLE, "", "", "");
	rule.ca_certificates = name;
	assert_null(origin_context(&cache, &rule, 1, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	origin_cache_fini(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong),
		cmocka_unit_test(without_verification_nothing_is_read),
		cmocka_unit_test(rules_are_told_apart),
		cmocka_unit_test(files_that_change),
		cmocka_unit_test(files_that_come_late),
		cmocka_unit_test(the_table_is_bounded),
		cmocka_unit_test(names_without_end),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
