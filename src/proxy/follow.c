#include "proxy/follow.h"

#include <stdlib.h>
#include <string.h>

#include "api/watch.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	LIVE_MAX = 16384, /* learnt cells that are kept, however many Services come and go */
	SWEEP_S = 10,     /* walking all of them costs more than most changes */
};

static const enum kind kinds[] = {KIND_NAMESPACE,
				  KIND_CONFIG_MAP,
				  KIND_SERVICE,
				  KIND_ENDPOINT_SLICE,
				  KIND_POD,
				  KIND_PEER_AUTHENTICATION,
				  KIND_DESTINATION_RULE,
				  KIND_AUTHORIZATION_POLICY,
				  KIND_SERVICE_ENTRY,
				  KIND_WORKLOAD_ENTRY,
				  KIND_SIDECAR};

struct follow {
	struct loop *loop;
	struct api_watch *watch;
	struct view_builder *builder;
	struct live *live;
	struct timer build;
	uint64_t swept_ns;
	bool synced;
	char *ns, *pod;             /* the own Pod's name; POD "": there is none */
	char *uid;                  /* and which one of that name it is; NULL: not known yet */
	bool own_missing, own_gone; /* told: the API does not have it yet, or any more */
	char *problem;              /* the last one that was logged, or "" */
	char *left_out;             /* the same of the Sidecar in force */
	const struct follow_events *events;
	void *ctx;
};

static void tell_problem(struct follow *f)
{
	const char *now = view_builder_problem(f->builder);
	if (strcmp(now, f->problem) == 0)
		return;
	if (*now)
		log_warn("proxy", "mesh configuration not taken, the last good one stays: %s", now);
	else
		log_info("proxy", "mesh configuration taken");
	free(f->problem);
	f->problem = mem_strdup(now);
}

static void tell_left_out(struct follow *f, const struct view *view)
{
	const struct object *sidecar = view_sidecar(view);
	const char *now = sidecar ? sidecar->sidecar->left_out : NULL;
	now = now ? now : "";
	if (strcmp(now, f->left_out) == 0)
		return;
	if (*now)
		log_warn("proxy", "Sidecar %s/%s counts without what is wrong in it: %s",
			 sidecar->meta.ns, sidecar->meta.name, now);
	free(f->left_out);
	f->left_out = mem_strdup(now);
}

static void build(struct timer *t)
{
	struct follow *f = CONTAINER_OF(t, struct follow, build);
	struct view *view = view_build(f->builder, f->live);
	tell_problem(f);
	tell_left_out(f, view);
	if (*f->pod && !view_self(view)) {
		if (!f->own_missing)
			log_warn("proxy", "the own Pod %s/%s is not known yet", f->ns, f->pod);
		f->own_missing = true;
		view_put(view);
		return;
	}
	f->events->on_view(f->ctx, view);
	view_put(view);
	if (loop_now(f->loop) - f->swept_ns < SWEEP_S * NS_PER_S)
		return;
	f->swept_ns = loop_now(f->loop);
	live_sweep(f->live, LIVE_MAX);
}

static void changed(struct follow *f)
{
	if (f->synced && !timer_is_set(&f->build))
		timer_set(f->loop, &f->build, FOLLOW_BURST_MS * NS_PER_MS);
}

static bool is_own(const struct follow *f, const struct api_object *obj)
{
	return kinds[obj->resource] == KIND_POD && slice_is(obj->name, f->pod) &&
	       slice_is(obj->ns, f->ns);
}

/* The own Pod's uid, as the API has it first; false: this is another Pod of that name. */
static bool is_same_own(struct follow *f, struct slice json)
{
	struct object_options whole = {0};
	struct err err = {0};
	struct object *o = object_decode(KIND_POD, json, &whole, &err);
	if (!o)
		return true; /* view_builder_set_json() says what is wrong with it */
	bool same = !f->uid || strcmp(o->meta.uid, f->uid) == 0;
	if (!f->uid)
		f->uid = mem_strdup(o->meta.uid);
	object_put(o);
	return same;
}

/* The own Pod says whether and how others are to authenticate. A sidecar may outlive it in the API, by a
 * forced deletion for example, and goes on serving: as it did, and not as one that belongs to nobody. */
static bool is_past_own_end(struct follow *f, enum api_event event, const struct api_object *obj)
{
	if (!is_own(f, obj) || (event != API_DELETED && is_same_own(f, obj->json)))
		return false;
	if (!f->own_gone)
		log_info("proxy", "the own Pod is gone, its last state stays in force");
	f->own_gone = true;
	return true;
}

static void on_object(void *ctx, enum api_event event, const struct api_object *obj)
{
	struct follow *f = ctx;
	enum kind kind = kinds[obj->resource];
	struct err err = {0};
	if (is_past_own_end(f, event, obj))
		return;
	if (event == API_DELETED) {
		char ns[256], name[256];
		if (obj->ns.len >= sizeof(ns) || obj->name.len >= sizeof(name))
			return; /* no resource has such a name: RFC 1123 2.1 */
		memcpy(ns, obj->ns.at, obj->ns.len);
		ns[obj->ns.len] = '\0';
		memcpy(name, obj->name.at, obj->name.len);
		name[obj->name.len] = '\0';
		view_builder_remove(f->builder, kind, ns, name);
		changed(f);
		return;
	}
	if (!view_builder_set_json(f->builder, kind, obj->json,
				   &err)) { /* what it replaces stays in force */
		log_warn("proxy", "%s %.*s/%.*s is not understood: %s", obj->kind,
			 SLICE_FMT(obj->ns), SLICE_FMT(obj->name), err.text);
		return;
	}
	changed(f);
}

static void on_synced(void *ctx)
{
	struct follow *f = ctx;
	f->synced = true;
	timer_set(f->loop, &f->build, 0);
}

static void on_connected(void *ctx, bool connected)
{
	(void)ctx; /* follow_connected() asks */
	if (connected)
		log_info("proxy", "configuration is being watched");
	else
		log_warn("proxy",
			 "configuration is not being watched, the last one stays in force");
}

static const char *collection(struct arena *a, const struct kind_info *info, const char *version)
{
	const char *root = strchr(version, '/') ? "apis" : "api";
	if (info->kind == KIND_CONFIG_MAP)
		return "/api/v1/namespaces/" MESH_CONFIG_NS "/configmaps";
	return arena_printf(a, "/%s/%s/%s", root, version, info->plural);
}

/* Istio's kinds are custom resources: a cluster may have them in older versions only, or not at all. */
static void describe(struct arena *a, enum kind kind, struct api_resource *out)
{
	const struct kind_info *info = kind_info(kind);
	const char **older = arena_array(a, N_ELEMS(info->also), sizeof(*older));
	for (size_t i = 0; info->also[i]; i++)
		older[i] = collection(a, info, info->also[i]);
	out->kind = info->name;
	out->path = collection(a, info, info->api_version);
	out->older = strstr(info->api_version, ".istio.io/") ? older : NULL;
}

static struct api_watch *watch(struct follow *f, const char *api, struct err *err)
{
	static const struct api_watch_events events = {on_object, on_synced, on_connected};
	struct api_resource resources[N_ELEMS(kinds)] = {0}; /* in the order of KINDS */
	struct arena *a = arena_new();
	for (size_t i = 0; i < N_ELEMS(kinds); i++)
		describe(a, kinds[i], &resources[i]);
	struct api_watch *w =
		api_watch_new(f->loop, api, resources, N_ELEMS(kinds), &events, f, err);
	arena_free(a);
	return w;
}

struct follow *follow_new(struct loop *loop, const char *api, const char *ns, const char *pod,
			  struct live *live, const struct follow_events *events, void *ctx,
			  struct err *err)
{
	struct follow *f = mem_new(sizeof(*f));
	f->loop = loop;
	f->live = live;
	f->events = events;
	f->ctx = ctx;
	f->build.fire = build;
	f->swept_ns = loop_now(loop);
	f->problem = mem_strdup("");
	f->left_out = mem_strdup("");
	f->ns = mem_strdup(ns);
	f->pod = mem_strdup(pod);
	f->builder = view_builder_new(ns, pod);
	f->watch = watch(f, api, err);
	if (!f->watch) {
		follow_free(f);
		return NULL;
	}
	return f;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	api_watch_free(f->watch);
	timer_cancel(f->loop, &f->build);
	view_builder_free(f->builder);
	free(f->problem);
	free(f->left_out);
	free(f->ns);
	free(f->pod);
	free(f->uid);
	free(f);
}

void follow_set_addresses(struct follow *f, const char *name, const struct ip *ips, size_t n)
{
	view_builder_set_addresses(f->builder, name, ips, n);
	changed(f);
}

void follow_forget_addresses(struct follow *f, const char *name)
{
	view_builder_forget_addresses(f->builder, name);
	changed(f);
}

bool follow_connected(const struct follow *f)
{
	return api_watch_connected(f->watch);
}
