/*
 * Where the sidecar's configuration comes from: follows the resources of a Kubernetes-style API and
 * builds a view of them.
 *
 *   static const struct follow_events events = {on_view};
 *   struct follow *f = follow_new(loop, "unix:/run/hark/api.sock", "shop", "web-1", live, &events,
 *                                 proxy, &err);
 *
 * The first view comes when everything has been listed once and the own Pod is among it; after that a
 * burst of changes makes one view, a millisecond after its first one. When the API goes away nothing
 * happens: the last view stays in force while the watch reconnects. When the own Pod goes away, or
 * another one has taken its name, its last state stays in force too. Main thread.
 */
#pragma once
#include "loop/loop.h"
#include "model/view.h"

enum { FOLLOW_BURST_MS = 1 };

struct follow_events {
	void (*on_view)(void *ctx, struct view *view); /* borrowed: take a reference to keep it */
};

struct follow;
/* NULL: API is no base (rest/client.h). EVENTS and LIVE must outlive it. */
struct follow *follow_new(struct loop *loop, const char *api, const char *ns, const char *pod,
			  struct live *live, const struct follow_events *events, void *ctx,
			  struct err *err) MUST_CHECK;
void follow_free(struct follow *f); /* NULL is fine */
/* What a name of the view resolves to, or that nobody knows it any more: makes a new view. */
void follow_set_addresses(struct follow *f, const char *name, const struct ip *ips, size_t n);
void follow_forget_addresses(struct follow *f, const char *name);
bool follow_connected(const struct follow *f);
