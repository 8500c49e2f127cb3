#include "local/reconcile.h"

#include "base/log.h"
#include "base/mem.h"

static void fire(struct timer *t)
{
	struct reconciler *r = CONTAINER_OF(t, struct reconciler, timer);
	r->run(r);
}

static void on_event(struct store_watch *w, const struct store_event *ev)
{
	struct reconciler *r = CONTAINER_OF(w, struct reconciler, watch);
	if ((r->kinds >> ev->object->kind & 1) && (!r->concerns || r->concerns(r, ev)))
		reconciler_kick(r);
}

void reconciler_start(struct reconciler *r)
{
	r->timer.fire = fire;
	r->watch.on_event = on_event;
	store_watch(r->store, &r->watch);
	reconciler_kick(r);
}

void reconciler_kick(struct reconciler *r)
{
	if (!timer_is_set(&r->timer))
		timer_set(r->loop, &r->timer, 0);
}

void reconciler_stop(struct reconciler *r)
{
	store_unwatch(r->store, &r->watch);
	timer_cancel(r->loop, &r->timer);
}

bool reconciler_write(struct reconciler *r, enum kind kind, struct slice json)
{
	struct err err = {0};
	struct object *o = object_from_json(kind, json, false, &err);
	bool ok = o && store_apply(r->store, o, STORE_CREATE_OR_REPLACE, 0, NULL, &err);
	if (!ok)
		log_error("local", "controller could not write kind=%s error=\"%s\"",
			  kind_info(kind)->name, err.text);
	object_put(o);
	return ok;
}

bool reconciler_write_status(struct store *store, const struct object *o, struct slice json)
{
	struct err err = {0};
	struct object *changed = object_with(o, "status", json, &err);
	bool ok = changed && store_apply(store, changed, STORE_REPLACE, 0, NULL, &err);
	if (!ok) {
		char text[256];
		log_error("local", "status not written object=\"%s\" error=\"%s\"",
			  object_text(o, text, sizeof(text)), err.text);
	}
	object_put(changed);
	return ok;
}
