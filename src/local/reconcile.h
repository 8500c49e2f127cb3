/*
 * What the controllers have in common: something changed in the store, so look at it again, once
 * for a burst of changes.
 *
 *   struct reconciler r = {.loop = loop, .store = store, .run = run};
 *   r.kinds = 1u << KIND_SERVICE | 1u << KIND_POD;
 *   reconciler_start(&r);                 // runs once at the start, too
 *   reconciler_kick(&r);                  // by hand
 *   reconciler_stop(&r);
 *
 * A controller compares what is with what should be and writes the difference; a store_apply that
 * changes nothing makes no event, so controllers that answer each other come to rest. RUN is called
 * by the loop, never from within a change. Embedded in the controller's struct.
 */
#pragma once
#include "loop/loop.h"
#include "model/store.h"

struct reconciler {
	struct loop *loop;
	struct store *store;
	uint32_t kinds; /* bit per enum kind: changes of these matter */
	/* May be NULL. Asked within each of those changes whether RUN has to look at something, which
	 * it notes down. */
	bool (*concerns)(struct reconciler *r, const struct store_event *ev);
	void (*run)(struct reconciler *r);
	struct store_watch watch;
	struct timer timer;
};

void reconciler_start(struct reconciler *r);
void reconciler_kick(struct reconciler *r);
void reconciler_stop(struct reconciler *r);

/*
 * Stores the object that JSON describes; false after a log line, since what a controller writes is
 * its own work and no person's input.
 */
bool reconciler_write(struct reconciler *r, enum kind kind, struct slice json);
/* A copy of O with another `status`; as reconciler_write. */
bool reconciler_write_status(struct store *store, const struct object *o, struct slice json);
