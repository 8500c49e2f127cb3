#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/inject.h"

/* Rows of inject.h's rules; a NULL value: no such label. */
static const struct {
	const char *rule;
	bool want;
	const char *ns_injection, *ns_revision;
	const char *inject, *revision, *annotation;
	const char *ns;
	bool host_network;
} cases[] = {
	{"nobody asks", .want = false},
	{"namespace enabled", .want = true, .ns_injection = "enabled"},
	{"namespace enabled, its revision is ignored", .want = true, .ns_injection = "enabled",
	 .ns_revision = "canary"},
	{"namespace enabled, Pod says false", .want = false, .ns_injection = "enabled",
	 .inject = "false"},
	{"namespace enabled, Pod says neither", .want = true, .ns_injection = "enabled",
	 .inject = "perhaps"},
	{"namespace disabled", .want = false, .ns_injection = "disabled"},
	{"namespace disabled, even when the Pod says true", .want = false,
	 .ns_injection = "disabled", .inject = "true"},
	{"namespace disabled, even when the Pod names a revision", .want = false,
	 .ns_injection = "disabled", .revision = "default"},
	{"any other value disables", .want = false, .ns_injection = "true", .inject = "true"},
	{"namespace names a revision", .want = true, .ns_revision = "default"},
	{"namespace names a revision, Pod says false", .want = false, .ns_revision = "default",
	 .inject = "false"},
	{"Pod says true", .want = true, .inject = "true"},
	{"Pod says false", .want = false, .inject = "false"},
	{"Pod says neither", .want = false, .inject = "yes"},
	{"Pod names a revision", .want = true, .revision = "canary"},
	{"Pod names a revision but says false", .want = false, .revision = "canary",
	 .inject = "false"},
	{"annotation alone selects nothing", .want = false, .annotation = "true"},
	{"annotation forbids", .want = false, .ns_injection = "enabled", .annotation = "false"},
	{"label wins over annotation", .want = true, .ns_injection = "enabled", .inject = "true",
	 .annotation = "false"},
	{"host network", .want = false, .ns_injection = "enabled", .host_network = true},
	{"kube-system", .want = false, .ns_injection = "enabled", .ns = "kube-system"},
};

/* Pairs stand in key order. */
static struct pairs two(struct pair *at, const char *k1, const char *v1, const char *k2,
			const char *v2)
{
	size_t n = 0;
	if (v1)
		at[n++] = (struct pair){k1, v1};
	if (v2)
		at[n++] = (struct pair){k2, v2};
	return (struct pairs){at, n};
}

static void decides_as_istio(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct pair a[2], b[2], c[2];
		struct pairs ns = two(a, LABEL_NS_INJECTION, cases[i].ns_injection, LABEL_REVISION,
				      cases[i].ns_revision);
		struct pairs labels =
			two(b, LABEL_REVISION, cases[i].revision, LABEL_INJECT, cases[i].inject);
		struct pairs annotations = two(c, LABEL_INJECT, cases[i].annotation, "z", NULL);
		struct inject_facts f = {.ns = cases[i].ns ? cases[i].ns : "shop",
					 .ns_labels = ns.n ? &ns : NULL,
					 .labels = &labels,
					 .annotations = &annotations,
					 .host_network = cases[i].host_network};
		const char *why = NULL;
		print_message("%s\n", cases[i].rule);
		assert_int_equal(inject_decide(&f, &why), cases[i].want);
		assert_non_null(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(decides_as_istio)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
