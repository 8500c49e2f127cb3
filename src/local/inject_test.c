#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "local/inject.h"
#include "model/annotations.h"

static struct object *pod(const char *meta)
{
	struct err err = {0};
	char text[512];
	snprintf(
		text, sizeof(text),
		"{\"metadata\": {\"name\": \"a\"%s}, \"spec\": {\"containers\": [{\"name\": \"c\", "
		"\"command\": [\"x\"]}]}}",
		meta);
	struct object *o = object_from_json(KIND_POD, slice_of(text), false, &err);
	if (!o)
		fail_msg("%s", err.text);
	return o;
}

/* The label says mesh TLS, unless a person has said something else. */
static void notes(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *meta;
		bool injected;
		const char *tls_mode;
	} rows[] = {
		{"no label", "", true, "istio"},
		{"other labels", ", \"labels\": {\"app\": \"a\"}", true, "istio"},
		{"says so already", ", \"labels\": {\"security.istio.io/tlsMode\": \"istio\"}",
		 true, "istio"},
		{"says no", ", \"labels\": {\"security.istio.io/tlsMode\": \"disabled\"}", true,
		 "disabled"},
		{"no sidecar", "", false, NULL},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct err err = {0};
		struct object *o = pod(rows[i].meta);
		struct object *noted = inject_note(o, rows[i].injected, &err);
		assert_non_null(noted);
		const char *mode = pairs_get(&noted->meta.labels, LABEL_TLS_MODE);
		const char *status = pairs_get(&noted->meta.annotations, ANNOTATION_SIDECAR_STATUS);
		if (!status != !rows[i].injected || !mode != !rows[i].tls_mode ||
		    (mode && strcmp(mode, rows[i].tls_mode) != 0))
			fail_msg("%s: %s", rows[i].rule, mode ? mode : "no label");
		struct object *again = inject_note(noted, rows[i].injected, &err);
		assert_ptr_equal(again, noted); /* nothing to change */
		object_put(again);
		object_put(noted);
		object_put(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(notes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
