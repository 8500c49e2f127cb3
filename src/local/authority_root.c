/* The change of the root: authority.h has the picture. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "identity/cert.h"
#include "local/authority_inside.h"

enum { RENEWALS_MS = 50, ROOTS_SHOWN = 8 };

const char *authority_phase_name(enum authority_phase p)
{
	static const char *const names[] = {
		[AUTHORITY_SETTLED] = "settled",
		[AUTHORITY_TRUSTING] = "trusting",
		[AUTHORITY_SIGNING] = "signing",
		[AUTHORITY_FINISHING] = "finishing",
	};
	return names[p];
}

static void go(struct authority *a, enum authority_phase to)
{
	log_info("ca", "change of the root %s -> %s", authority_phase_name(a->phase),
		 authority_phase_name(to));
	a->phase = to;
	name_set_clear(&a->renewed);
}

/* ---- who has renewed -------------------------------------------------------------------------- */

/* Whether its sidecar may still run. */
static bool is_alive(const struct object *pod)
{
	return strcmp(pod->pod->phase, "Succeeded") != 0 && strcmp(pod->pod->phase, "Failed") != 0;
}

/* The next Pod after CURSOR that has not renewed since the roots changed; NULL: all have. One that never
 * asked has nothing to renew: it will begin with the roots of that moment. */
static const struct object *next_waiting(const struct authority *a, const struct object *cursor)
{
	while ((cursor = store_next(a->store, KIND_POD, NULL, cursor)))
		if (name_set_find(&a->holders, cursor->meta.ns, cursor->meta.name) &&
		    is_alive(cursor) &&
		    !name_set_find(&a->renewed, cursor->meta.ns, cursor->meta.name))
			return cursor;
	return NULL;
}

/* Names of Pods that are gone are forgotten, however many come and go. */
static void forget_gone(const struct store *store, struct name_set *set)
{
	struct name_set all = name_set_take(set);
	for (const struct name *n = name_set_first(&all); n; n = name_set_next(n))
		if (store_get(store, KIND_POD, n->ns, n->name))
			name_set_add(set, n->ns, n->name);
	name_set_clear(&all);
}

void authority_root_check(struct authority *a)
{
	forget_gone(a->store, &a->holders);
	forget_gone(a->store, &a->renewed);
}

/* Everybody trusts the new root: it may sign. */
static void sign_with_next(struct authority *a)
{
	struct err err = {0};
	if (!authority_use(a, a->next, &err)) {
		log_error("ca", "the new root does not sign yet error=\"%s\"", err.text);
		timer_set(a->node->loop, &a->renewals, NS_PER_S);
		return;
	}
	ca_put(a->next);
	a->next = NULL;
	go(a, AUTHORITY_SIGNING);
}

static void on_renewals(struct timer *t)
{
	struct authority *a = CONTAINER_OF(t, struct authority, renewals);
	if (next_waiting(a, NULL))
		return;
	if (a->phase == AUTHORITY_TRUSTING)
		sign_with_next(a);
	else if (a->phase == AUTHORITY_FINISHING)
		go(a, AUTHORITY_SETTLED);
}

static void look_soon(struct authority *a)
{
	a->renewals.fire = on_renewals;
	if (!timer_is_set(&a->renewals))
		timer_set(a->node->loop, &a->renewals, RENEWALS_MS * NS_PER_MS);
}

void authority_root_issued(void *ctx, const struct object *pod, const char *uri)
{
	struct authority *a = ctx;
	(void)uri; /* a certificate alone does not say which Pod came: its token's next call does */
	if (!pod)
		return;
	name_set_add(&a->holders, pod->meta.ns, pod->meta.name);
	if (a->phase == AUTHORITY_SETTLED)
		return;
	name_set_add(&a->renewed, pod->meta.ns, pod->meta.name);
	look_soon(a);
}

/* ---- the steps -------------------------------------------------------------------------------- */

static bool begin(struct authority *a, const struct ca *fresh, struct err *err)
{
	struct ca *next = ca_with_roots(fresh, ca_roots(a->ca), err);
	struct ca *both = next ? ca_with_roots(a->ca, ca_cert(fresh), err) : NULL;
	/* Kept first: a mesh that begins anew begins with the new one, and trusts both. */
	bool ok = both && authority_keep(a, next, err) && authority_use(a, both, err);
	if (ok)
		a->next = ca_get(next);
	ca_put(next);
	ca_put(both);
	return ok;
}

bool authority_rotate(struct authority *a, struct err *err)
{
	if (a->phase != AUTHORITY_SETTLED)
		return err_set(err, ERR_CONFLICT, "a change of the root is under way (%s)",
			       authority_phase_name(a->phase));
	if (!ca_is_root(a->ca))
		return err_set(err, ERR_NOT_NOW,
			       "the authority is an intermediate of a root that is not ours to "
			       "change: put new files into %s and start the mesh again",
			       a->dir ? a->dir : "its folder");
	struct ca *fresh = authority_new_root(a, err);
	bool ok = fresh && begin(a, fresh, err);
	ca_put(fresh);
	if (!ok)
		return false;
	go(a, AUTHORITY_TRUSTING);
	look_soon(a); /* there may be nobody to wait for */
	return true;
}

static bool drop_old(struct authority *a, struct err *err)
{
	char *key = ca_key(a->ca);
	struct ca_files files = {.cert = ca_cert(a->ca), .key = slice_of(key)};
	struct ca *alone = ca_load(&files, authority_now_s(), err);
	keypair_pem_free(key);
	bool ok = alone && authority_keep(a, alone, err) && authority_use(a, alone, err);
	ca_put(alone);
	return ok;
}

bool authority_finish(struct authority *a, struct err *err)
{
	if (a->phase == AUTHORITY_SETTLED || a->phase == AUTHORITY_FINISHING)
		return err_set(err, ERR_CONFLICT, "no change of the root is to be finished (%s)",
			       authority_phase_name(a->phase));
	const struct object *waiting = next_waiting(a, NULL);
	if (a->phase == AUTHORITY_TRUSTING || waiting)
		return err_set(err, ERR_NOT_NOW,
			       "not every sidecar has a certificate of the new "
			       "root yet%s%s%s%s",
			       waiting ? ": " : "", waiting ? waiting->meta.ns : "",
			       waiting ? "/" : "", waiting ? waiting->meta.name : "");
	if (!drop_old(a, err))
		return false;
	go(a, AUTHORITY_FINISHING);
	look_soon(a);
	return true;
}

/* Whoever is waited for may end instead. */
static void on_pod(struct store_watch *w, const struct store_event *ev)
{
	struct authority *a = CONTAINER_OF(w, struct authority, pods);
	if (a->phase != AUTHORITY_SETTLED && ev->object->kind == KIND_POD &&
	    (ev->type == STORE_DELETED || !is_alive(ev->object)))
		look_soon(a);
}

/* A folder of ours with two roots: the mesh ended in the middle of a change. */
void authority_root_start(struct authority *a)
{
	a->pods.on_event = on_pod;
	store_watch(a->store, &a->pods);
	struct arena *arena = arena_new();
	struct cert_facts second;
	struct err err = {0};
	if (ca_is_root(a->ca) && cert_nth(ca_roots(a->ca), 1, arena, &second, &err))
		go(a, AUTHORITY_SIGNING);
	arena_free(arena);
}

void authority_root_stop(struct authority *a)
{
	if (a->pods.on_event)
		store_unwatch(a->store, &a->pods);
	timer_cancel(a->node->loop, &a->renewals);
	name_set_clear(&a->holders);
	name_set_clear(&a->renewed);
	ca_put(a->next);
	a->next = NULL;
}

/* ---- what is shown ---------------------------------------------------------------------------- */

static void json_root(struct json_out *out, const struct cert_facts *f)
{
	char text[40];
	json_open_object(out, NULL);
	json_cstr(out, "subject", f->subject);
	json_cstr(out, "key", f->key);
	json_cstr(out, "sha256", f->sha256);
	json_cstr(out, "not_after",
		  clock_rfc3339((uint64_t)f->not_after_s * NS_PER_S, text, sizeof(text)));
	json_close(out);
}

void authority_json(const struct authority *a, struct json_out *out)
{
	struct arena *arena = arena_new();
	struct cert_facts f;
	struct err err = {0};
	uint64_t refused = 0;
	json_open_object(out, NULL);
	json_cstr(out, "phase", authority_phase_name(a->phase));
	json_cstr(out, "folder", a->dir);
	json_open_array(out, "roots");
	for (unsigned i = 0; i < ROOTS_SHOWN && cert_nth(ca_roots(a->ca), i, arena, &f, &err); i++)
		json_root(out, &f);
	json_close(out);
	for (unsigned r = CA_RESULT_ISSUED + 1; r < N_CA_RESULTS; r++)
		refused += ca_service_count(a->service, (enum ca_result)r);
	json_u64(out, "issued", ca_service_count(a->service, CA_RESULT_ISSUED));
	json_u64(out, "refused", refused);
	json_open_array(out, "waiting");
	const struct object *pod = NULL;
	while (a->phase != AUTHORITY_SETTLED && (pod = next_waiting(a, pod)))
		json_cstr(out, NULL, arena_printf(arena, "%s/%s", pod->meta.ns, pod->meta.name));
	json_close(out);
	json_close(out);
	arena_free(arena);
}
