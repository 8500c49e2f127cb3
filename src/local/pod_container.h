/*
 * One container of a Pod: starting, probing, restarting.
 *
 *   container_life_init(&c, run, ROLE_APP, spec);
 *   container_life_start(&c);            // run->changed() tells what became of it
 *   container_life_stop(&c, 30);         // no restart any more
 *   container_life_fini(&c);             // kills what runs
 *
 * A command that ends is started again after a pause that doubles (0, 1 s, 2 s, ... 60 s, and from
 * the beginning once it ran for a while), as far as the Pod's restartPolicy says so. The sidecar is
 * always started again. A container without a readiness probe is ready when it runs. Embedded in
 * struct pod_run; runs on the node's loop.
 */
#pragma once
#include "loop/loop.h"
#include "model/kinds.h"
#include "sandbox/container.h"
#include "sandbox/probe.h"

struct pod_run;

enum container_role { ROLE_SIDECAR, ROLE_INIT, ROLE_APP };

enum container_life_state {
	LIFE_WAITING, /* not started yet */
	LIFE_STARTING,
	LIFE_RUNNING,
	LIFE_BACK_OFF, /* ended, and will be started again */
	LIFE_ENDED,    /* and stays so */
};

struct container_life {
	struct pod_run *run;
	const struct container *spec; /* NULL: the sidecar */
	enum container_role role;
	enum container_life_state state;
	char id[512]; /* "NAMESPACE.POD.CONTAINER" */
	struct container_proc *proc;
	struct prober *prober;
	struct timer pause;
	uint64_t started_ns; /* clock_ns() */
	uint64_t started_wall_ns, ended_wall_ns;
	unsigned restarts, failures_in_a_row;
	bool ready, stopping, never_started; /* never_started: the command could not be run */
	int exit_code;
	char message[1280]; /* why it is not ready, for people */
};

void container_life_init(struct container_life *c, struct pod_run *run, enum container_role role,
			 const struct container *spec);
const char *container_life_name(const struct container_life *c);
void container_life_start(struct container_life *c);
/* Again: sooner only. */
void container_life_stop(struct container_life *c, unsigned grace_s);
void container_life_fini(struct container_life *c);
bool container_life_runs(const struct container_life *c); /* a process is there, or will be */
