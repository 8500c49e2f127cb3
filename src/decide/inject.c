#include "decide/inject.h"

#include <string.h>

#include "base/mem.h"

static const char *label(const struct pairs *p, const char *key)
{
	return p ? pairs_get(p, key) : NULL;
}

static bool is(const char *value, const char *want)
{
	return value && strcmp(value, want) == 0;
}

static bool answer(bool yes, const char **why, const char *text)
{
	*why = text;
	return yes;
}

/* Does a webhook of Istio's chart select the Pod? Labels only: that is all that selectors see. */
static bool selected(const struct inject_facts *f, const char **why)
{
	const char *injection = label(f->ns_labels, LABEL_NS_INJECTION);
	const char *ns_revision = label(f->ns_labels, LABEL_REVISION);
	const char *inject = label(f->labels, LABEL_INJECT);
	const char *revision = label(f->labels, LABEL_REVISION);

	if (injection && strcmp(injection, "enabled") != 0)
		return answer(false, why,
			      "the namespace's label istio-injection is not \"enabled\"");
	if (is(inject, "false"))
		return answer(false, why, "the Pod's label sidecar.istio.io/inject is \"false\"");
	if (injection)
		return answer(true, why, "the namespace's label istio-injection is \"enabled\"");
	if (ns_revision)
		return answer(true, why, "the namespace has a label istio.io/rev");
	if (revision)
		return answer(true, why, "the Pod has a label istio.io/rev");
	if (is(inject, "true"))
		return answer(true, why, "the Pod's label sidecar.istio.io/inject is \"true\"");
	return answer(false, why, "neither the namespace nor the Pod asks for a sidecar");
}

bool inject_decide(const struct inject_facts *f, const char **why)
{
	static const char *const never[] = {"kube-system", "kube-public", "kube-node-lease",
					    "local-path-storage"};
	if (!selected(f, why))
		return false;
	if (f->host_network)
		return answer(false, why, "the Pod uses the node's network");
	for (size_t i = 0; i < N_ELEMS(never); i++)
		if (strcmp(f->ns, never[i]) == 0)
			return answer(false, why, "the namespace is one of Kubernetes' own");
	/* the label has been looked at: only "false" forbids, and other words count as none */
	const char *inject = label(f->labels, LABEL_INJECT);
	if (!inject && is(label(f->annotations, LABEL_INJECT), "false"))
		return answer(false, why,
			      "the Pod's annotation sidecar.istio.io/inject is \"false\"");
	return true;
}
