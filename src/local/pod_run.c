#include "local/pod_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/inject.h"
#include "local/pod_identity.h"
#include "local/pod_setup.h"
#include "local/pod_status.h"
#include "local/reconcile.h"
#include "sandbox/pod_net.h"
#include "sandbox/volume.h"

enum {
	SIDECAR_BOUND_S =
		10, /* a sidecar that does not become ready must not keep the app for ever */
	SIDECAR_STOP_MIN_S = 2,
	NETWORK_AGAIN_S = 1,
	STATUS_MAX = 256 * 1024,
};

#define TO(s) (1u << RUN_##s)
static const struct {
	const char *name;
	unsigned next; /* states that may follow, as a bit set */
} states[] = {
	[RUN_WAITING] = {"waiting", TO(NETWORK) | TO(GONE)},
	[RUN_NETWORK] = {"network", TO(SIDECAR) | TO(WAITING) | TO(GONE)},
	[RUN_SIDECAR] = {"sidecar", TO(INIT) | TO(STOPPING)},
	[RUN_INIT] = {"init", TO(RUNNING) | TO(FINISHED) | TO(STOPPING)},
	[RUN_RUNNING] = {"running", TO(FINISHED) | TO(STOPPING)},
	[RUN_FINISHED] = {"finished", TO(STOPPING)},
	[RUN_STOPPING] = {"stopping", TO(STOPPING_SIDECAR)},
	[RUN_STOPPING_SIDECAR] = {"stopping-sidecar", TO(GONE)},
	[RUN_GONE] = {"gone", 0},
};

static struct loop *loop_of(struct pod_run *run)
{
	return pods_node(run->pods)->loop;
}

/* The only place that writes run->state. */
static void run_go(struct pod_run *run, enum pod_run_state to)
{
	MUST(states[run->state].next & (1u << to));
	log_debug("local", "pod %s -> %s pod=%s", states[run->state].name, states[to].name,
		  run->key);
	run->state = to;
	pod_run_changed(run);
	if (to == RUN_GONE)
		pods_run_gone(run->pods, run);
}

void pod_run_changed(struct pod_run *run)
{
	if (!timer_is_set(&run->step))
		timer_set(loop_of(run), &run->step, 0);
}

/* Injection, noted on the stored Pod before anything of it exists, so that nobody ever sees the
 * Pod's address without knowing whether a sidecar stands there. */

static bool note_injection(struct pod_run *run, struct err *err)
{
	struct object *noted = inject_note(run->object, run->injected, err);
	const struct object *stored = NULL;
	bool ok =
		noted && store_apply(pods_store(run->pods), noted, STORE_REPLACE, 0, &stored, err);
	object_put(noted);
	if (!ok)
		return false;
	object_put(run->object);
	run->object = object_get(stored);
	return true;
}

static bool decide_injection(struct pod_run *run, struct err *err)
{
	const struct object *o = run->object;
	const struct object *ns = store_get(pods_store(run->pods), KIND_NAMESPACE, "", o->meta.ns);
	struct inject_facts facts = {
		.ns = o->meta.ns,
		.ns_labels = ns ? &ns->meta.labels : NULL,
		.labels = &o->meta.labels,
		.annotations = &o->meta.annotations,
		.host_network = o->pod->spec.host_network,
	};
	const char *why;

	run->injected = inject_decide(&facts, &why);
	log_debug("local", "sidecar %s pod=%s why=\"%s\"", run->injected ? "yes" : "no", run->key,
		  why);
	return note_injection(run, err);
}

static void make_containers(struct pod_run *run)
{
	const struct pod_spec *spec = &run->object->pod->spec;
	size_t n = 0;

	run->containers = arena_array(run->arena, 1 + spec->n_init_containers + spec->n_containers,
				      sizeof(*run->containers));
	if (run->injected)
		container_life_init(&run->containers[n++], run, ROLE_SIDECAR, NULL);
	for (size_t i = 0; i < spec->n_init_containers; i++)
		container_life_init(&run->containers[n++], run, ROLE_INIT,
				    &spec->init_containers[i]);
	for (size_t i = 0; i < spec->n_containers; i++)
		container_life_init(&run->containers[n++], run, ROLE_APP, &spec->containers[i]);
	run->n_containers = n;
}

static struct container_life *sidecar_of(struct pod_run *run)
{
	return run->injected && run->n_containers ? &run->containers[0] : NULL;
}

static bool annotation(void *ctx, const char *key, struct slice *value)
{
	const struct pod_run *run = ctx;
	const char *text = pairs_get(&run->object->meta.annotations, key);
	*value = slice_of(text);
	return text != NULL;
}

static void on_network(void *ctx, const struct err *err)
{
	struct pod_run *run = ctx;
	struct container_life *sidecar = sidecar_of(run);

	if (err) {
		snprintf(run->message, sizeof(run->message), "network: %s", err->text);
		log_error("local", "no network for pod pod=%s error=\"%s\"", run->key, err->text);
		pod_net_free(run->net);
		run->net = NULL;
		timer_set(loop_of(run), &run->bound, NETWORK_AGAIN_S * NS_PER_S);
		run_go(run, RUN_WAITING);
		return;
	}
	run->message[0] = '\0';
	run_go(run, RUN_SIDECAR);
	if (!sidecar)
		return;
	timer_set(loop_of(run), &run->bound, SIDECAR_BOUND_S * NS_PER_S);
	container_life_start(sidecar);
}

/* What the network does, the sidecar must do as well: it is decided once. */
static bool capture_config(struct pod_run *run, struct ip servers[POD_NAMESERVERS],
			   struct capture_config *out, struct err *err)
{
	struct mesh_config mesh;
	capture_config_init(out);
	if (!pod_setup_mesh(run, run->arena, &mesh, err) ||
	    !capture_config_from_annotations(annotation, run, run->arena, out, err))
		return false;
	run->dns_capture = mesh.dns_capture;
	out->dns = mesh.dns_capture;
	out->dns_servers = servers;
	out->n_dns_servers = pod_setup_nameservers(run, servers);
	return true;
}

static bool start_network(struct pod_run *run, struct err *err)
{
	const struct object *o = run->object;
	struct capture_config capture;
	struct ip servers[POD_NAMESERVERS];
	struct pod_net_config cfg = {
		.name = run->key,
		.hostname = *o->pod->spec.hostname ? o->pod->spec.hostname : o->meta.name,
	};
	char hostname[64];

	/* a Pod's name may be longer than a host's; the kubelet cuts it off the same way */
	snprintf(hostname, sizeof(hostname), "%.63s", cfg.hostname);
	cfg.hostname = hostname;
	cfg.v4 = run->ip[IP_V4];
	if (run->has_ip[IP_V6])
		cfg.v6 = run->ip[IP_V6];
	if (run->injected) {
		if (!capture_config(run, servers, &capture, err))
			return false;
		cfg.capture = &capture;
	}
	run->net = pod_net_start(pods_node(run->pods), &cfg, on_network, run, err);
	return run->net != NULL;
}

/* Tried again whenever the store changes: a ConfigMap may come, an address may be given back. */
static void begin(struct pod_run *run)
{
	struct err err = {0};
	bool ok = run->has_ip[IP_V4] || pods_take_ip(run->pods, run, &err);
	ok = ok && pod_setup_volumes(run, &err) && start_network(run, &err);
	snprintf(run->message, sizeof(run->message), "%s", ok ? "" : err.text);
	if (ok)
		run_go(run, RUN_NETWORK);
}

static void start_all(struct pod_run *run, enum container_role role)
{
	for (size_t i = 0; i < run->n_containers; i++)
		if (run->containers[i].role == role && run->containers[i].state == LIFE_WAITING)
			container_life_start(&run->containers[i]);
}

static void finish(struct pod_run *run)
{
	struct container_life *sidecar = sidecar_of(run);
	run_go(run, RUN_FINISHED);
	if (sidecar) /* native sidecars end with the work that they were there for */
		container_life_stop(sidecar, SIDECAR_STOP_MIN_S);
}

/* One init container after the other; each must end well. */
static void step_init(struct pod_run *run)
{
	for (size_t i = 0; i < run->n_containers; i++) {
		struct container_life *c = &run->containers[i];
		if (c->role != ROLE_INIT || (c->state == LIFE_ENDED && c->exit_code == 0))
			continue;
		if (c->state == LIFE_WAITING)
			container_life_start(c);
		else if (c->state == LIFE_ENDED)
			finish(run);
		return;
	}
	run_go(run, RUN_RUNNING);
	start_all(run, ROLE_APP);
}

static bool any_runs(const struct pod_run *run, bool sidecars)
{
	for (size_t i = 0; i < run->n_containers; i++)
		if ((run->containers[i].role == ROLE_SIDECAR) == sidecars &&
		    container_life_runs(&run->containers[i]))
			return true;
	return false;
}

static void step_running(struct pod_run *run)
{
	for (size_t i = 0; i < run->n_containers; i++)
		if (run->containers[i].role == ROLE_APP && run->containers[i].state != LIFE_ENDED)
			return;
	finish(run);
}

static void stop_sidecar(struct pod_run *run)
{
	struct container_life *sidecar = sidecar_of(run);
	uint64_t now = clock_ns();
	uint64_t left = run->stop_by_ns > now ? (run->stop_by_ns - now) / NS_PER_S : 0;

	run_go(run, RUN_STOPPING_SIDECAR);
	if (sidecar)
		container_life_stop(sidecar, left > SIDECAR_STOP_MIN_S ? (unsigned)left
								       : SIDECAR_STOP_MIN_S);
}

static void write_status(struct pod_run *run)
{
	const struct object *stored = store_get(pods_store(run->pods), KIND_POD,
						run->object->meta.ns, run->object->meta.name);
	struct buf status;

	/* the store's Pod may be gone, or be another one by that name already */
	if (!stored || strcmp(stored->meta.uid, run->object->meta.uid) != 0)
		return;
	buf_init(&status, STATUS_MAX);
	if (pod_status_write(run, &status))
		/* a failure is logged there */
		(void)reconciler_write_status(pods_store(run->pods), stored, buf_slice(&status));
	buf_fini(&status);
}

static void step(struct pod_run *run)
{
	struct container_life *sidecar = sidecar_of(run);

	switch (run->state) {
	case RUN_WAITING:
		if (!timer_is_set(&run->bound))
			begin(run);
		break;
	case RUN_NETWORK:
		break;
	case RUN_SIDECAR:
		if (sidecar && !sidecar->ready && timer_is_set(&run->bound))
			break;
		if (sidecar && !sidecar->ready)
			log_warn("local", "sidecar not ready, its pod starts all the same pod=%s",
				 run->key);
		timer_cancel(loop_of(run), &run->bound);
		run_go(run, RUN_INIT);
		break;
	case RUN_INIT:
		step_init(run);
		break;
	case RUN_RUNNING:
		step_running(run);
		break;
	case RUN_FINISHED:
		break;
	case RUN_STOPPING:
		if (!any_runs(run, false))
			stop_sidecar(run);
		break;
	case RUN_STOPPING_SIDECAR:
		if (!any_runs(run, true))
			run_go(run, RUN_GONE);
		break;
	case RUN_GONE:
		break;
	}
}

static void on_step(struct timer *t)
{
	struct pod_run *run = CONTAINER_OF(t, struct pod_run, step);
	step(run);
	if (run->state != RUN_GONE)
		write_status(run);
}

static void on_bound(struct timer *t)
{
	pod_run_changed(CONTAINER_OF(t, struct pod_run, bound));
}

struct pod_run *pod_run_new(struct pods *pods, struct object *object)
{
	struct pod_run *run = mem_new(sizeof(*run));
	struct err err = {0};

	run->pods = pods;
	run->object = object_get(object);
	run->arena = arena_new();
	run->step.fire = on_step;
	run->bound.fire = on_bound;
	run->started_wall_ns = clock_wall_ns();
	snprintf(run->key, sizeof(run->key), "%s/%s", object->meta.ns, object->meta.name);
	snprintf(run->id, sizeof(run->id), "%s.%s", object->meta.ns, object->meta.name);
	if (!decide_injection(run, &err))
		log_error("local", "injection not noted pod=%s error=\"%s\"", run->key, err.text);
	make_containers(run);
	pod_run_changed(run);
	return run;
}

void pod_run_stop(struct pod_run *run, unsigned grace_s)
{
	uint64_t by = clock_ns() + grace_s * NS_PER_S;
	bool again = run->stop_by_ns != 0;

	if (again && by >= run->stop_by_ns)
		return;
	run->stop_by_ns = by;
	timer_cancel(loop_of(run), &run->bound);
	if (!again && (run->state == RUN_WAITING || run->state == RUN_NETWORK)) {
		run_go(run, RUN_GONE);
		return;
	}
	if (!again)
		run_go(run, RUN_STOPPING);
	for (size_t i = 0; i < run->n_containers; i++) {
		struct container_life *c = &run->containers[i];
		if (c->role != ROLE_SIDECAR || run->state == RUN_STOPPING_SIDECAR)
			container_life_stop(c, grace_s);
	}
}

void pod_run_free(struct pod_run *run)
{
	for (size_t i = 0; i < run->n_containers; i++)
		container_life_fini(&run->containers[i]);
	timer_cancel(loop_of(run), &run->step);
	timer_cancel(loop_of(run), &run->bound);
	pod_identity_stop(run);
	pod_net_free(run->net);
	pods_release_ip(run->pods, run);
	volume_remove_pod(pods_node(run->pods), run->id);
	object_put(run->object);
	arena_free(run->arena);
	free(run);
}

/* All application containers ended: did they end well? */
static bool ended_well(const struct pod_run *run)
{
	for (size_t i = 0; i < run->n_containers; i++) {
		const struct container_life *c = &run->containers[i];
		if (c->role != ROLE_SIDECAR && (c->state != LIFE_ENDED || c->exit_code != 0))
			return false;
	}
	return true;
}

const char *pod_run_phase(const struct pod_run *run)
{
	if (run->state == RUN_FINISHED)
		return ended_well(run) ? "Succeeded" : "Failed";
	if (run->state < RUN_RUNNING)
		return "Pending";
	return "Running";
}

const struct container_life *pod_run_culprit(const struct pod_run *run)
{
	for (size_t i = 0; i < run->n_containers; i++) {
		const struct container_life *c = &run->containers[i];
		if (c->role == ROLE_INIT ? !(c->state == LIFE_ENDED && c->exit_code == 0)
					 : !c->ready)
			return c;
	}
	return NULL;
}

bool pod_run_ready(const struct pod_run *run)
{
	return run->state == RUN_RUNNING && !pod_run_culprit(run);
}

const char *pod_run_message(const struct pod_run *run)
{
	const struct container_life *c = pod_run_culprit(run);

	if (pod_run_ready(run))
		return "";
	if (run->message[0])
		return run->message;
	if (run->state >= RUN_STOPPING)
		return "ending";
	if (!c)
		return "";
	if (c->state == LIFE_RUNNING && c->prober && *prober_last_failure(c->prober))
		return prober_last_failure(c->prober);
	if (c->message[0])
		return c->message;
	if (c->state == LIFE_RUNNING)
		return c->role == ROLE_INIT ? "still runs" : "not ready yet";
	return c->state == LIFE_STARTING ? "is starting" : "waits for its turn";
}
