#include "proxy/own_cert.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "identity/cert.h"
#include "identity/spiffe.h"
#include "model/decode.h"
#include "proxy/own_cert_inside.h"

enum { TICK_MS = 1000, DAY_S = 86400 };

/* Where Istio expects certificates that somebody else provides. */
#define PROVIDED_DIR "/var/run/secrets/workload-spiffe-credentials"

static const char *env_or(const char *name, const char *otherwise)
{
	const char *value = getenv(name);
	return value && *value ? value : otherwise;
}

void own_cert_config_default(struct own_cert_config *cfg)
{
	uint64_t ttl_ns = 0;
	bool provided = access(PROVIDED_DIR "/cert-chain.pem", F_OK) == 0;
	*cfg = (struct own_cert_config){
		.ca_addr = env_or("CA_ADDR", ""),
		.ca_host = env_or("ISTIOD_SAN", "istiod.istio-system.svc"),
		.ca_roots = "/var/run/secrets/istio/root-cert.pem",
		.token = "/var/run/secrets/tokens/istio-token",
		.cert_dir = provided ? PROVIDED_DIR : "",
		.trust_domain = env_or("TRUST_DOMAIN", "cluster.local"),
		.service_account = env_or("SERVICE_ACCOUNT", "default"),
		.validity_s = DAY_S,
	};
	if (duration_parse(slice_of(env_or("SECRET_TTL", "")), &ttl_ns) && ttl_ns >= NS_PER_S)
		cfg->validity_s = (int64_t)(ttl_ns / NS_PER_S);
}

bool own_cert_wanted(const struct own_cert_config *cfg)
{
	return *cfg->cert_dir || *cfg->ca_addr;
}

int64_t own_cert_now_ms(void)
{
	return (int64_t)(clock_wall_ns() / NS_PER_MS);
}

bool own_cert_from_files(const struct own_cert *o)
{
	return *o->cfg.cert_dir != '\0';
}

/* Jitter needs no more than to differ between sidecars. */
static uint64_t random_bits(void)
{
	uint64_t bits = 0;
	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != (ssize_t)sizeof(bits))
		bits = clock_ns();
	return bits;
}

/* ---- a certificate ---------------------------------------------------------------------------- */

static bool check(struct slice chain, struct slice roots, struct arena *arena,
		  struct cert_facts *leaf, struct err *err)
{
	struct spiffe_id id;
	int64_t now_s = own_cert_now_ms() / 1000;
	return cert_leads_to(chain, roots, now_s, OWN_CERT_SKEW_S, err) &&
	       cert_nth(chain, 0, arena, leaf, err) && spiffe_parse(slice_of(leaf->uri), &id, err);
}

static void keep(struct own_cert *o, struct slice chain, struct slice roots,
		 const struct cert_facts *leaf, struct tls_identity *id)
{
	buf_clear(&o->chain);
	buf_clear(&o->roots);
	(void)buf_append(&o->chain, chain); /* bounded where it was read */
	(void)buf_append(&o->roots, roots); /* as above */
	o->not_before_s = leaf->not_before_s;
	o->not_after_s = leaf->not_after_s;
	tls_identity_put(o->identity);
	o->identity = id;
}

bool own_cert_take(struct own_cert *o, struct slice chain, struct evp_pkey_st *key,
		   struct slice roots, struct err *err)
{
	struct arena *arena = arena_new();
	struct cert_facts leaf;
	struct tls_identity *id = NULL;
	bool ok = check(chain, roots, arena, &leaf, err) &&
		  (id = tls_identity_with_key(chain, key, roots, err));
	if (ok) {
		char until[40];
		keep(o, chain, roots, &leaf, id);
		workload_cert_got(&o->clock, leaf.not_after_s * 1000, own_cert_now_ms(),
				  random_bits());
		log_info(
			"cert", "certificate in force identity=%s serial=%s until=%s", leaf.uri,
			leaf.serial,
			clock_rfc3339((uint64_t)leaf.not_after_s * NS_PER_S, until, sizeof(until)));
		o->told_expired = false;
	}
	arena_free(arena);
	return ok;
}

/* ---- attempts --------------------------------------------------------------------------------- */

/* The same trouble is told once. */
static void tell(struct own_cert *o, const char *text)
{
	char until[40];
	if (strncmp(o->problem, text, sizeof(o->problem) - 1) == 0)
		return;
	if (o->identity)
		log_warn("cert",
			 "certificate not renewed, the one in force serves on until=%s why=\"%s\"",
			 clock_rfc3339((uint64_t)o->not_after_s * NS_PER_S, until, sizeof(until)),
			 text);
	else
		log_warn("cert", "no certificate yet why=\"%s\"", text);
}

void own_cert_ended(struct own_cert *o, enum own_cert_result r, const struct err *err)
{
	o->counts[r]++;
	keypair_put(o->key);
	o->key = NULL;
	o->call = NULL;
	if (err) {
		char text[sizeof(o->problem)];
		slice_printable(slice_of(err->text), text, sizeof(text));
		tell(o, text);
		memcpy(o->problem, text, sizeof(text));
		workload_cert_failed(&o->clock, own_cert_now_ms(), random_bits());
		return;
	}
	o->problem[0] = '\0';
	o->events->on_identity(o->ctx, o->identity);
}

/* ---- when ------------------------------------------------------------------------------------- */

/* True: somebody has written to one of the files since the last time. */
static bool files_changed(struct own_cert *o)
{
	bool changed = false;
	for (unsigned i = 0; i < o->n_marks; i++) {
		struct stat now = {0};
		struct stat *seen = &o->marks[i].seen;
		(void)stat(o->marks[i].path, &now); /* zero: it is not there */
		changed = changed || now.st_ino != seen->st_ino || now.st_dev != seen->st_dev ||
			  now.st_size != seen->st_size ||
			  now.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
			  now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec;
		*seen = now;
	}
	return changed;
}

static void tell_end(struct own_cert *o, int64_t now_ms)
{
	if (o->told_expired || workload_cert_state(&o->clock, now_ms) != CERT_EXPIRED)
		return;
	o->told_expired = true;
	log_error("cert", "the certificate has expired: peers refuse it");
}

/* What is due now. Files are read when they change or somebody asks for it; they are not asked for
 * anything. */
static void step(struct own_cert *o)
{
	int64_t now = own_cert_now_ms(), at;
	tell_end(o, now);
	if (o->clock.asking)
		return;
	if (own_cert_from_files(o)) {
		if (!o->clock.forced)
			return;
		workload_cert_asked(&o->clock);
		own_cert_read_files(o);
		return;
	}
	if (workload_cert_next(&o->clock, now, &at) == CERT_ASK) {
		workload_cert_asked(&o->clock);
		own_cert_ask(o);
	}
}

/* Once a second: files cannot call, and the wall clock, by which certificates end, may be set. */
static void on_tick(struct timer *t)
{
	struct own_cert *o = CONTAINER_OF(t, struct own_cert, tick);
	timer_set(o->loop, t, TICK_MS * NS_PER_MS);
	if (files_changed(o))
		workload_cert_force(&o->clock);
	step(o);
}

void own_cert_rotate(struct own_cert *o)
{
	workload_cert_force(&o->clock);
	timer_set(o->loop, &o->tick, 0);
}

bool own_cert_valid(const struct own_cert *o)
{
	enum workload_cert_state s = workload_cert_state(&o->clock, own_cert_now_ms());
	return s == CERT_VALID || s == CERT_EXPIRING;
}

const char *own_cert_problem(const struct own_cert *o)
{
	return o->problem;
}

/* ---- its life --------------------------------------------------------------------------------- */

static void copy_config(struct own_cert *o, const struct own_cert_config *cfg)
{
	const char **const texts[] = {&o->cfg.ca_addr, &o->cfg.ca_host,        &o->cfg.ca_roots,
				      &o->cfg.token,   &o->cfg.cert_dir,       &o->cfg.trust_domain,
				      &o->cfg.ns,      &o->cfg.service_account};
	o->cfg = *cfg;
	for (size_t i = 0; i < N_ELEMS(texts); i++)
		*texts[i] = arena_dup(o->arena, slice_of(*texts[i]));
}

static void mark_files(struct own_cert *o)
{
	static const char *const names[] = {"cert-chain.pem", "key.pem", "root-cert.pem"};
	if (!own_cert_from_files(o)) {
		o->marks[o->n_marks++].path = o->cfg.ca_roots;
		return;
	}
	for (size_t i = 0; i < N_ELEMS(names); i++)
		o->marks[o->n_marks++].path =
			arena_printf(o->arena, "%s/%s", o->cfg.cert_dir, names[i]);
}

static bool make_uri(struct own_cert *o, struct err *err)
{
	char uri[SPIFFE_MAX + 1];
	struct spiffe_id id = {slice_of(o->cfg.trust_domain), slice_of(o->cfg.ns),
			       slice_of(o->cfg.service_account)};
	if (!spiffe_format(&id, uri, err))
		return err_wrap(err, "own identity");
	o->uri = arena_dup(o->arena, slice_of(uri));
	return true;
}

struct own_cert *own_cert_new(struct loop *loop, const struct own_cert_config *cfg,
			      const struct own_cert_events *events, void *ctx, struct err *err)
{
	struct own_cert *o = mem_new(sizeof(*o));
	o->loop = loop;
	o->arena = arena_new();
	o->events = events;
	o->ctx = ctx;
	buf_init(&o->chain, OWN_CERT_PEM_MAX);
	buf_init(&o->roots, OWN_CERT_PEM_MAX);
	copy_config(o, cfg);
	workload_cert_init(&o->clock, &workload_cert_defaults);
	if (!own_cert_from_files(o) && !make_uri(o, err)) {
		own_cert_free(o);
		return NULL;
	}
	mark_files(o);
	(void)files_changed(o); /* as they are now, they are read first */
	workload_cert_force(&o->clock);
	o->tick.fire = on_tick;
	timer_set(loop, &o->tick, 0);
	return o;
}

void own_cert_free(struct own_cert *o)
{
	if (!o)
		return;
	timer_cancel(o->loop, &o->tick);
	resolve_cancel(o->resolve);
	grpc_call_cancel(o->call);
	keypair_put(o->key);
	tls_identity_put(o->identity);
	buf_fini(&o->chain);
	buf_fini(&o->roots);
	arena_free(o->arena);
	free(o);
}
