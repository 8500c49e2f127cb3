/*
 * Which Pods get a sidecar: Istio's injection rules, webhook selectors first and then the
 * injector's own checks, in their order.
 *
 *   struct inject_facts f = {.ns = "shop", .ns_labels = &ns->meta.labels, .labels = ...};
 *   const char *why;
 *   if (inject_decide(&f, &why)) ...         // why: one clause for people, static text
 *
 * Pure. The default revision is ours; a namespace or Pod that names a revision gets a sidecar as it
 * would from a control plane that has that revision, since there is only one here.
 */
#pragma once
#include <stdbool.h>

#include "model/kinds.h"

#define LABEL_INJECT "sidecar.istio.io/inject" /* also an annotation, which can only forbid */
#define LABEL_NS_INJECTION "istio-injection"
#define LABEL_REVISION "istio.io/rev"

struct inject_facts {
	const char *ns;
	const struct pairs *ns_labels; /* NULL: the Namespace is not declared */
	const struct pairs *labels, *annotations;
	bool host_network;
};

bool inject_decide(const struct inject_facts *f, const char **why);
