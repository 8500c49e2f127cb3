/* What GET /certs and the metrics say of the own certificate. */
#include "identity/cert.h"
#include "proxy/own_cert_inside.h"

static const char *const results[] = {
#define X(name, label) [OWN_CERT_##name] = label,
	OWN_CERT_RESULTS(X)
#undef X
};

static void put_time(struct json_out *out, const char *key, int64_t at_s)
{
	char text[40];
	if (at_s > 0 && at_s < INT64_MAX / (int64_t)NS_PER_S)
		json_cstr(out, key, clock_rfc3339((uint64_t)at_s * NS_PER_S, text, sizeof(text)));
	else
		json_nil(out, key);
}

static void put_cert(struct json_out *out, const struct cert_facts *f)
{
	json_open_object(out, NULL);
	json_cstr(out, "subject", f->subject);
	json_cstr(out, "issuer", f->issuer);
	json_cstr(out, "serial", f->serial);
	json_cstr(out, "names", f->names);
	json_cstr(out, "key", f->key);
	put_time(out, "not_before", f->not_before_s);
	put_time(out, "not_after", f->not_after_s);
	json_bool(out, "ca", f->is_ca);
	json_cstr(out, "sha256", f->sha256);
	json_cstr(out, "pem", f->pem);
	json_close(out);
}

static void put_certs(struct json_out *out, const char *key, struct slice pem, struct arena *arena)
{
	struct cert_facts f;
	struct err err = {0};
	json_open_array(out, key);
	for (unsigned i = 0; cert_nth(pem, i, arena, &f, &err); i++)
		put_cert(out, &f);
	json_close(out);
}

static const char *identity_of(const struct own_cert *o, struct arena *arena)
{
	struct cert_facts f;
	struct err err = {0};
	return cert_nth(buf_slice(&o->chain), 0, arena, &f, &err) ? f.uri : NULL;
}

void own_cert_json(const struct own_cert *o, struct json_out *out)
{
	struct arena *arena = arena_new();
	int64_t now = own_cert_now_ms();
	uint64_t failed = 0;
	for (unsigned r = OWN_CERT_ISSUED + 1; r < N_OWN_CERT_RESULTS; r++)
		failed += o->counts[r];
	json_open_object(out, NULL);
	json_cstr(out, "source", own_cert_from_files(o) ? o->cfg.cert_dir : o->cfg.ca_addr);
	json_cstr(out, "state", workload_cert_state_name(workload_cert_state(&o->clock, now)));
	json_cstr(out, "identity", identity_of(o, arena));
	put_time(out, "not_before", o->not_before_s);
	put_time(out, "not_after", o->not_after_s);
	json_i64(out, "seconds_left", o->identity ? o->not_after_s - now / 1000 : 0);
	put_time(out, "renew_at",
		 o->identity && !own_cert_from_files(o) ? o->clock.renew_ms / 1000 : 0);
	json_u64(out, "issued", o->counts[OWN_CERT_ISSUED]);
	json_u64(out, "failed", failed);
	json_cstr(out, "problem", o->problem);
	put_certs(out, "chain", buf_slice(&o->chain), arena);
	put_certs(out, "roots", buf_slice(&o->roots), arena);
	json_close(out);
	arena_free(arena);
}

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	(void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

bool own_cert_metrics(const struct own_cert *o, struct buf *out)
{
	int64_t now = own_cert_now_ms();
	enum workload_cert_state is = workload_cert_state(&o->clock, now);
	if (o->identity) {
		head(out, "hark_certificate_expiry_seconds", "gauge",
		     "Time until the certificate in force ends; negative: since it ended.");
		(void)buf_printf(out, "hark_certificate_expiry_seconds %lld\n",
				 (long long)(o->not_after_s - now / 1000));
	}
	head(out, "hark_certificate_state", "gauge", "1 for the state that the certificate is in.");
	for (unsigned s = CERT_NONE; s <= CERT_EXPIRED; s++)
		(void)buf_printf(out, "hark_certificate_state{state=\"%s\"} %d\n",
				 workload_cert_state_name((enum workload_cert_state)s), s == is);
	head(out, "hark_certificate_renewals_total", "counter",
	     "Attempts to get a certificate, by what became of them.");
	for (unsigned r = 0; r < N_OWN_CERT_RESULTS; r++)
		(void)buf_printf(out, "hark_certificate_renewals_total{result=\"%s\"} %llu\n",
				 results[r], (unsigned long long)o->counts[r]);
	return !out->full;
}
