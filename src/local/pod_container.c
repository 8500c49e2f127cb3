#include "local/pod_container.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/pod_run.h"
#include "local/pod_setup.h"
#include "model/sidecar.h"

enum {
	PAUSE_FIRST_S = 1,
	PAUSE_MAX_S = 60,
	LONG_RUN_S = 30, /* who ran this long begins with short pauses again */
	SIDECAR_PAUSE_MAX_S = 4,
};

const char *container_life_name(const struct container_life *c)
{
	return c->spec ? c->spec->name : SIDECAR_NAME;
}

static struct loop *loop_of(struct container_life *c)
{
	return pods_node(c->run->pods)->loop;
}

static void stop_probing(struct container_life *c)
{
	if (c->prober)
		prober_free(c->prober);
	c->prober = NULL;
	c->ready = false;
}

static void on_probe(void *ctx, bool ready, const char *why)
{
	struct container_life *c = ctx;
	c->ready = ready;
	snprintf(c->message, sizeof(c->message), "%s%s", ready ? "" : "not ready: ", why);
	log_debug("local", "probe container=%s ready=%d why=\"%s\"", c->id, ready, why);
	pod_run_changed(c->run);
}

static void on_started(void *ctx)
{
	struct container_life *c = ctx;
	struct probe_spec probe;
	struct err err = {0};

	c->state = LIFE_RUNNING;
	c->started_ns = clock_ns();
	c->started_wall_ns = clock_wall_ns();
	c->never_started = false;
	c->message[0] = '\0';
	if (!pod_setup_probe(c, &probe)) {
		c->ready = true;
	} else {
		c->prober = prober_start(pods_node(c->run->pods), c->run->net, c->id, &probe,
					 on_probe, c, &err);
		snprintf(c->message, sizeof(c->message), "%s",
			 c->prober ? "not ready: the probe has not succeeded yet" : err.text);
	}
	log_debug("local", "container started id=%s", c->id);
	pod_run_changed(c->run);
}

static bool shall_restart(const struct container_life *c)
{
	const char *policy = c->run->object->pod->spec.restart_policy;
	if (c->stopping)
		return false;
	if (c->role == ROLE_SIDECAR)
		return true;
	if (c->role == ROLE_INIT && c->exit_code == 0)
		return false;
	if (strcmp(policy, "Never") == 0)
		return false;
	return c->exit_code != 0 || strcmp(policy, "Always") == 0;
}

/* Nothing after the first end, then 1, 2, 4, ... seconds. */
static uint64_t next_pause_s(const struct container_life *c)
{
	unsigned max = c->role == ROLE_SIDECAR ? SIDECAR_PAUSE_MAX_S : PAUSE_MAX_S;
	unsigned pause = PAUSE_FIRST_S;
	if (c->failures_in_a_row <= 1)
		return 0;
	for (unsigned i = 2; i < c->failures_in_a_row && pause < max; i++)
		pause *= 2;
	return pause < max ? pause : max;
}

static void pause_over(struct timer *t)
{
	struct container_life *c = CONTAINER_OF(t, struct container_life, pause);
	c->restarts++;
	container_life_start(c);
}

/* It ended, or could not be started: MESSAGE says how. */
static void ended(struct container_life *c)
{
	stop_probing(c);
	c->ended_wall_ns = clock_wall_ns();
	if (c->state == LIFE_RUNNING && clock_ns() - c->started_ns > LONG_RUN_S * NS_PER_S)
		c->failures_in_a_row = 0;
	c->failures_in_a_row++;
	if (!shall_restart(c)) {
		c->state = LIFE_ENDED;
	} else {
		uint64_t pause_s = next_pause_s(c);
		size_t len = strlen(c->message);
		c->state = LIFE_BACK_OFF;
		if (pause_s)
			snprintf(c->message + len, sizeof(c->message) - len,
				 "; it is started again in %llu s", (unsigned long long)pause_s);
		timer_set(loop_of(c), &c->pause, pause_s * NS_PER_S);
	}
	log_debug("local", "container ended id=%s code=%d message=\"%s\"", c->id, c->exit_code,
		  c->message);
	pod_run_changed(c->run);
}

static void on_exited(void *ctx, const struct container_exit *exit)
{
	struct container_life *c = ctx;
	container_free(c->proc);
	c->proc = NULL;
	c->exit_code = exit->code;
	c->never_started = !exit->started;
	if (!exit->started) {
		c->exit_code = 128; /* as containerd reports it */
		snprintf(c->message, sizeof(c->message), "could not be started: %s",
			 exit->err.text);
	} else {
		int signal = exit->code - 128;
		snprintf(c->message, sizeof(c->message), "ended with status %d%s%s%s", exit->code,
			 signal > 0 ? " (" : "", signal > 0 ? strsignal(signal) : "",
			 signal > 0 ? ")" : "");
	}
	ended(c);
}

void container_life_start(struct container_life *c)
{
	static const struct container_ops ops = {.started = on_started, .exited = on_exited};
	struct container_spec spec;
	struct err err = {0};
	struct arena *arena = arena_new();

	c->state = LIFE_STARTING;
	c->message[0] = '\0';
	if (pod_setup_container(c->run, c, arena, &spec, &err))
		c->proc = container_start(pods_node(c->run->pods), &spec, &ops, c, &err);
	arena_free(arena);
	if (c->proc) {
		pod_run_changed(c->run);
		return;
	}
	c->never_started = true;
	c->exit_code = 128;
	snprintf(c->message, sizeof(c->message), "could not be started: %s", err.text);
	ended(c);
}

void container_life_stop(struct container_life *c, unsigned grace_s)
{
	c->stopping = true;
	stop_probing(c);
	if (c->proc) {
		container_stop(c->proc, grace_s);
		return;
	}
	timer_cancel(loop_of(c), &c->pause);
	if (c->state != LIFE_WAITING)
		c->state = LIFE_ENDED;
	pod_run_changed(c->run);
}

bool container_life_runs(const struct container_life *c)
{
	return c->proc != NULL || c->state == LIFE_BACK_OFF;
}

void container_life_init(struct container_life *c, struct pod_run *run, enum container_role role,
			 const struct container *spec)
{
	*c = (struct container_life){.run = run, .role = role, .spec = spec};
	c->pause.fire = pause_over;
	snprintf(c->id, sizeof(c->id), "%s.%s", run->id, container_life_name(c));
}

void container_life_fini(struct container_life *c)
{
	timer_cancel(loop_of(c), &c->pause);
	stop_probing(c);
	if (c->proc)
		container_free(c->proc);
	c->proc = NULL;
}
