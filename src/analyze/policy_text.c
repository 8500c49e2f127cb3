/* A rule as it is in force, in words. */
#include <string.h>

#include "analyze/inside.h"

static const char *const names[N_AUTHZ_INPUTS] = {
	[AUTHZ_IN_UNKNOWN] = "?",
	[AUTHZ_IN_PRINCIPAL] = "source.principal",
	[AUTHZ_IN_NAMESPACE] = "source.namespace",
	[AUTHZ_IN_SERVICE_ACCOUNT] = "source.serviceAccount",
	[AUTHZ_IN_TRUST_DOMAIN] = "source.trustDomain",
	[AUTHZ_IN_SOURCE_IP] = "source.ip",
	[AUTHZ_IN_REMOTE_IP] = "remote.ip",
	[AUTHZ_IN_DESTINATION_IP] = "destination.ip",
	[AUTHZ_IN_DESTINATION_PORT] = "destination.port",
	[AUTHZ_IN_SNI] = "connection.sni",
	[AUTHZ_IN_METADATA] = "metadata",
	[AUTHZ_IN_HOST] = "host",
	[AUTHZ_IN_METHOD] = "method",
	[AUTHZ_IN_PATH] = "path",
	[AUTHZ_IN_HEADER] = "header",
	[AUTHZ_IN_REQUEST_PRINCIPAL] = "request.auth.principal",
	[AUTHZ_IN_AUDIENCE] = "request.auth.audiences",
	[AUTHZ_IN_PRESENTER] = "request.auth.presenter",
	[AUTHZ_IN_CLAIM] = "request.auth.claims",
};

static void value_text(const struct authz_test *t, size_t i, struct buf *out)
{
	char text[ADDR_TEXT];
	switch (t->input) {
	case AUTHZ_IN_SOURCE_IP:
	case AUTHZ_IN_REMOTE_IP:
	case AUTHZ_IN_DESTINATION_IP:
		(void)buf_puts(out, cidr_text(&t->cidrs[i], text));
		return;
	case AUTHZ_IN_DESTINATION_PORT:
		(void)buf_u64(out, t->ports[i]);
		return;
	default:
		break;
	}
	const struct authz_text *v = &t->texts[i];
	bool before = v->kind == AUTHZ_TEXT_SUFFIX || v->kind == AUTHZ_TEXT_PRESENT;
	(void)buf_printf(out, "%s%.*s%s", before ? "*" : "", SLICE_FMT(v->text),
			 v->kind == AUTHZ_TEXT_PREFIX ? "*" : "");
}

static void test_text(const struct authz_test *t, struct buf *out)
{
	enum { SHOWN = 4 };
	(void)buf_printf(out, "%s%s%s%s is %s", names[t->input], t->name[0] ? "[" : "", t->name,
			 t->name[0] ? "]" : "", t->negated ? "none of " : "");
	for (size_t i = 0; i < t->n && i < SHOWN; i++) {
		(void)buf_puts(out, i ? (t->negated ? ", " : " or ") : "");
		value_text(t, i, out);
	}
	if (t->n > SHOWN)
		(void)buf_printf(out, " or %zu more", t->n - SHOWN);
	if (t->n == 0)
		(void)buf_puts(out, "something that cannot be");
}

static void term_text(const struct authz_term *term, struct buf *out)
{
	for (size_t i = 0; i < term->n; i++) {
		(void)buf_puts(out, i ? " and " : "");
		test_text(&term->tests[i], out);
	}
}

static void terms_text(const struct authz_term *terms, size_t n, const char **sep, struct buf *out)
{
	if (n == 0)
		return;
	(void)buf_puts(out, *sep);
	(void)buf_puts(out, n > 1 ? "(" : "");
	for (size_t i = 0; i < n; i++) {
		(void)buf_puts(out, i ? "; or " : "");
		term_text(&terms[i], out);
	}
	(void)buf_puts(out, n > 1 ? ")" : "");
	*sep = ", and ";
}

const char *rule_text(const struct analysis *a, const struct authz_rule *r)
{
	enum { RULE_BYTES = 2048 };
	struct buf out;
	const char *sep = "";
	buf_init(&out, RULE_BYTES);
	terms_text(r->from, r->n_from, &sep, &out);
	terms_text(r->to, r->n_to, &sep, &out);
	if (r->when.n)
		terms_text(&r->when, 1, &sep, &out);
	struct slice text = buf_slice(&out);
	const char *said =
		text.len ? say(a, "%.*s%s", SLICE_FMT(text), out.full ? "..." : "") : "everything";
	buf_fini(&out);
	return said;
}
