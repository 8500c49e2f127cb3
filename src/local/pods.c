#include "local/pods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/ip_pool.h"
#include "local/pod_run.h"
#include "local/pod_setup.h"
#include "local/reconcile.h"
#include "sandbox/logfile.h"

enum {
	RESERVED_IPS = 16, /* the network's own address, the node's, room for more */
	LOG_TAIL_LINES = 10,
	SETTLE_MS = 300, /* a command that fails at once looks well for a moment */
	SETTLE_AGAIN_MS = 3000,
	LOG_TAIL_MAX = 8192,
};

struct pods {
	struct reconciler r;
	struct node *node;
	struct pods_config cfg;
	struct ip_pool *ips;  /* IPv4; a Pod's IPv6 address has the same number in its range */
	struct pod_run *runs; /* by key */
	bool stopping;
	unsigned stop_grace_s;
	void (*all_gone)(void *ctx);
	void *all_gone_ctx;
	struct timer told;
};

struct node *pods_node(struct pods *p)
{
	return p->node;
}

struct store *pods_store(struct pods *p)
{
	return p->r.store;
}

const struct pods_config *pods_cfg(const struct pods *p)
{
	return &p->cfg;
}

bool pods_log_path(const char *run_dir, const char *ns, const char *pod, const char *container,
		   char out[NODE_PATH_LEN], struct err *err)
{
	int n = snprintf(out, NODE_PATH_LEN, "%s/logs/%s.%s.%s.log", run_dir, ns, pod, container);
	return (n > 0 && n < NODE_PATH_LEN) ||
	       err_set(err, ERR_LIMIT,
		       "the names of %s/%s and its container are too long for a "
		       "file's",
		       ns, pod);
}

bool pods_take_ip(struct pods *p, struct pod_run *run, struct err *err)
{
	if (!ip_pool_take(p->ips, IP_POOL_NEXT, &run->ip[IP_V4]))
		return err_set(err, ERR_LIMIT, "no address is left for this Pod");
	run->has_ip[IP_V4] = true;
	if (p->node->ipv6) {
		uint32_t n = ip_to_v4(&run->ip[IP_V4]) - ip_to_v4(&p->node->cfg.pods_v4.ip);
		run->ip[IP_V6] = cidr_nth(&p->node->cfg.pods_v6, n);
		run->has_ip[IP_V6] = true;
	}
	return true;
}

void pods_release_ip(struct pods *p, struct pod_run *run)
{
	if (run->has_ip[IP_V4])
		ip_pool_release(p->ips, &run->ip[IP_V4]);
}

static const struct object *stored(const struct pods *p, const struct pod_run *run)
{
	return store_get(p->r.store, KIND_POD, run->object->meta.ns, run->object->meta.name);
}

/* Whether the store's Pod is the one that RUN was made for. */
static bool is_same(const struct pod_run *run, const struct object *o)
{
	return o && strcmp(o->meta.uid, run->object->meta.uid) == 0 &&
	       o->meta.generation == run->object->meta.generation;
}

static void remove_logs(const struct pods *p, const struct pod_run *run)
{
	for (size_t i = 0; i < run->n_containers; i++) {
		char path[NODE_PATH_LEN], older[NODE_PATH_LEN + 2];
		if (!pods_log_path(p->node->cfg.run_dir, run->object->meta.ns,
				   run->object->meta.name, container_life_name(&run->containers[i]),
				   path, NULL))
			continue;
		snprintf(older, sizeof(older), "%s.1", path);
		/* a container that wrote nothing has none */
		(void)unlink(path);
		(void)unlink(older);
	}
}

static void free_run(struct deferred *gone)
{
	pod_run_free(CONTAINER_OF(gone, struct pod_run, gone));
}

static void tell_all_gone(struct timer *t)
{
	struct pods *p = CONTAINER_OF(t, struct pods, told);
	p->all_gone(p->all_gone_ctx);
}

void pods_run_gone(struct pods *p, struct pod_run *run)
{
	const struct object *o = stored(p, run);
	struct err err = {0};

	log_info("local", "pod gone pod=%s", run->key);
	HASH_DEL(p->runs, run);
	if (!run->remake && !p->stopping)
		remove_logs(p, run);
	if (o && o->meta.deletion_ns && strcmp(o->meta.uid, run->object->meta.uid) == 0)
		/* it is there: found a moment ago */
		MUST(store_delete(p->r.store, KIND_POD, o->meta.ns, o->meta.name, &err));
	run->gone.run = free_run;
	loop_defer(p->node->loop, &run->gone);
	reconciler_kick(&p->r);
	if (p->stopping && !p->runs)
		timer_set(p->node->loop, &p->told, 0);
}

static struct pod_run *find(const struct pods *p, const struct object *o)
{
	struct pod_run *run;
	char key[384];
	int n = snprintf(key, sizeof(key), "%s/%s", o->meta.ns, o->meta.name);
	HASH_FIND(hh, p->runs, key, (size_t)n, run);
	return run;
}

static void stop_those_not_wanted(struct pods *p)
{
	struct pod_run *run, *next;
	HASH_ITER (hh, p->runs, run, next) {
		const struct object *o = stored(p, run);
		bool same = is_same(run, o);
		if (same && !o->meta.deletion_ns)
			continue;
		if (!same)
			run->remake = o != NULL;
		if (run->stop_by_ns == 0)
			log_info("local", "pod stops pod=%s why=%s", run->key,
				 same ? "deleted"
				 : o  ? "changed"
				      : "gone");
		pod_run_stop(run, run->object->pod->spec.termination_grace_s);
	}
}

static bool is_fresh(const void *pods, const struct object *o)
{
	return !find(pods, o);
}

static void start_new(struct pods *p)
{
	struct object_list fresh = store_list(p->r.store, KIND_POD, NULL, is_fresh, p);
	for (size_t i = 0; i < fresh.n; i++) {
		struct object *o = fresh.at[i];
		struct err err = {0};
		if (o->meta.deletion_ns) { /* it never ran */
			MUST(store_delete(p->r.store, KIND_POD, o->meta.ns, o->meta.name, &err));
		} else {
			struct pod_run *run = pod_run_new(p, o);
			HASH_ADD_KEYPTR(hh, p->runs, run->key, strlen(run->key), run);
		}
	}
	object_list_free(&fresh);
}

static void run_all(struct reconciler *r)
{
	struct pods *p = CONTAINER_OF(r, struct pods, r);
	if (p->stopping)
		return;
	stop_those_not_wanted(p);
	start_new(p);
}

/* A ConfigMap came or changed: its files follow, and Pods that waited for it go on. */
static void on_config_map(struct pods *p, const struct object *map)
{
	struct pod_run *run, *next;
	HASH_ITER (hh, p->runs, run, next) {
		const struct pod_spec *spec = &run->object->pod->spec;
		bool uses = false;
		if (strcmp(run->object->meta.ns, map->meta.ns) != 0)
			continue;
		for (size_t i = 0; i < spec->n_volumes; i++)
			uses = uses || (spec->volumes[i].kind == VOLUME_CONFIG_MAP &&
					strcmp(spec->volumes[i].config_map, map->meta.name) == 0);
		struct err err = {0};
		if (run->state == RUN_WAITING)
			pod_run_changed(run);
		else if (uses && !pod_setup_volumes(run, &err))
			log_warn("local", "files not updated pod=%s error=\"%s\"", run->key,
				 err.text);
	}
}

static void on_event(struct store_watch *w, const struct store_event *ev)
{
	struct pods *p = CONTAINER_OF(w, struct pods, r.watch);
	if (ev->object->kind == KIND_POD)
		reconciler_kick(&p->r);
	if (ev->object->kind == KIND_CONFIG_MAP && ev->type != STORE_DELETED)
		on_config_map(p, ev->object);
}

struct pods *pods_start(struct node *node, struct store *store, const struct pods_config *cfg)
{
	struct pods *p = mem_new(sizeof(*p));
	char dir[NODE_PATH_LEN + 8];

	p->node = node;
	p->cfg = *cfg;
	p->ips = ip_pool_new(&node->cfg.pods_v4, RESERVED_IPS);
	p->told.fire = tell_all_gone;
	snprintf(dir, sizeof(dir), "%s/logs", node->cfg.run_dir);
	(void)mkdir(dir, 0755); /* without it the logs say so, container by container */
	p->r = (struct reconciler){
		.loop = node->loop, .store = store, .kinds = 1u << KIND_POD, .run = run_all};
	reconciler_start(&p->r);
	p->r.watch.on_event = on_event;
	return p;
}

void pods_stop_all(struct pods *p, unsigned grace_s, void (*done)(void *ctx), void *ctx)
{
	struct pod_run *run, *next;

	p->stopping = true;
	p->all_gone = done;
	p->all_gone_ctx = ctx;
	HASH_ITER (hh, p->runs, run, next) {
		unsigned own = run->object->pod->spec.termination_grace_s;
		pod_run_stop(run, own < grace_s ? own : grace_s);
	}
	if (!p->runs)
		timer_set(p->node->loop, &p->told, 0);
}

void pods_free(struct pods *p)
{
	struct pod_run *run, *next;

	if (!p)
		return;
	reconciler_stop(&p->r);
	timer_cancel(p->node->loop, &p->told);
	HASH_ITER (hh, p->runs, run, next) {
		HASH_DEL(p->runs, run);
		pod_run_free(run);
	}
	ip_pool_free(p->ips);
	free(p);
}

static void report_run(const struct pods *p, const struct pod_run *run, struct json_out *out)
{
	const struct container_life *c = pod_run_culprit(run);
	char path[NODE_PATH_LEN];
	struct buf log;

	json_open_object(out, NULL);
	json_cstr(out, "namespace", run->object->meta.ns);
	json_cstr(out, "name", run->object->meta.name);
	json_cstr(out, "message", pod_run_message(run));
	json_u64(out, "restarts", c ? c->restarts : 0);
	if (c) {
		json_cstr(out, "container", container_life_name(c));
		buf_init(&log, LOG_TAIL_MAX);
		if (pods_log_path(p->node->cfg.run_dir, run->object->meta.ns,
				  run->object->meta.name, container_life_name(c), path, NULL))
			logfile_tail(path, LOG_TAIL_LINES, &log);
		json_slice(out, "log", buf_slice(&log));
		buf_fini(&log);
	}
	json_close(out);
}

/* Not ready, and will not become so by waiting. */
static bool is_hopeless(const struct pod_run *run)
{
	if (run->state == RUN_FINISHED && strcmp(pod_run_phase(run), "Failed") == 0)
		return true;
	const struct container_life *c = pod_run_culprit(run);
	return c && c->never_started;
}

/* A container without a probe is ready as soon as it runs; whoever waits for the mesh wants to know
 * whether it stays so. */
static bool is_settled(const struct pod_run *run)
{
	uint64_t now = clock_ns();
	for (size_t i = 0; i < run->n_containers; i++) {
		const struct container_life *c = &run->containers[i];
		uint64_t least = (c->restarts ? SETTLE_AGAIN_MS : SETTLE_MS) * NS_PER_MS;
		if (c->role == ROLE_APP && c->state == LIFE_RUNNING && !c->prober &&
		    now - c->started_ns < least)
			return false;
	}
	return true;
}

static enum pods_state state_of(const struct pod_run *run, const struct object *o)
{
	if (!run || !is_same(run, o) || o->meta.deletion_ns)
		return PODS_PENDING;
	if (strcmp(pod_run_phase(run), "Succeeded") == 0)
		return PODS_READY;
	if (pod_run_ready(run))
		return is_settled(run) ? PODS_READY : PODS_SETTLING;
	return is_hopeless(run) ? PODS_FAILED : PODS_PENDING;
}

enum pods_state pods_report(const struct pods *p, struct json_out *out)
{
	enum pods_state worst = PODS_READY;
	const struct object *o = NULL;
	struct pod_run *run;

	while ((o = store_next(p->r.store, KIND_POD, NULL, o))) {
		run = find(p, o);
		enum pods_state state = state_of(run, o);
		if (state > worst)
			worst = state;
		if (run && out && state > PODS_SETTLING)
			report_run(p, run, out);
	}
	return worst;
}
