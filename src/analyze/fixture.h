/*
 * For unit tests only: resources as YAML, what is found in them, as a text of codes.
 *
 *   struct trial t;
 *   trial_init(&t, yaml);                       // "f" is the file's name
 *   assert_string_equal(trial_codes(&t), "HRK0010 HRK0044");
 *   trial_fini(&t);
 *
 * Include <cmocka.h> and what it needs first.
 */
#pragma once
#include <stdio.h>
#include <string.h>

#include "analyze/analyze.h"

/* The namespace `shop` has sidecars, `bare` has none. */
#define NAMESPACES                                                                                 \
	"apiVersion: v1\nkind: Namespace\n"                                                        \
	"metadata: {name: shop, labels: {istio-injection: enabled}}\n---\n"                        \
	"apiVersion: v1\nkind: Namespace\nmetadata: {name: bare}\n---\n"
/* A Deployment whose Pods have the labels app: NAME and MORE; CONTAINER: further fields of it. */
#define RUNS_IN(ns, name, more, container)                                                         \
	"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " name ", namespace: " ns "}\n"   \
	"spec:\n  selector: {matchLabels: {app: " name "}}\n"                                      \
	"  template:\n    metadata: {labels: {app: " name more "}}\n"                              \
	"    spec: {serviceAccountName: " name ", containers: [{name: c" container "}]}\n---\n"
#define RUNS(name, more, container) RUNS_IN("shop", name, more, container)
#define SERVICE_IN(ns, name, spec)                                                                 \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns "}\n"           \
	"spec: {selector: {app: " name "}, " spec "}\n---\n"
#define SERVICE(name, ports) SERVICE_IN("shop", name, "ports: [" ports "]")
/* A Deployment with SERVICE before it. */
#define APP(name, ports) RUNS(name, "", "") SERVICE(name, ports)
#define APP_IN(ns, name, ports) RUNS_IN(ns, name, "", "") SERVICE_IN(ns, name, "ports: [" ports "]")
#define ISTIO(group, kind, ns, name, spec)                                                         \
	"apiVersion: " group ".istio.io/v1\nkind: " kind "\n"                                      \
	"metadata: {name: " name ", namespace: " ns "}\nspec: {" spec "}\n---\n"
#define PEER(ns, name, spec) ISTIO("security", "PeerAuthentication", ns, name, spec)
#define RULE(ns, name, spec) ISTIO("networking", "DestinationRule", ns, name, spec)
#define POLICY(ns, name, spec) ISTIO("security", "AuthorizationPolicy", ns, name, spec)
#define MESH(mesh, hark)                                                                           \
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"      \
	"data:\n  mesh: '" mesh "'\n  hark: '" hark "'\n---\n"

struct trial {
	struct manifest m;
	struct analysis *a;
	char codes[400];
};

static inline void trial_read(struct trial *t, const char *yaml)
{
	manifest_init(&t->m);
	t->m.survey = true;
	manifest_read(&t->m, "f", slice_of(yaml));
	t->a = analysis_new(false);
	analysis_manifest(t->a, &t->m);
}

static inline void trial_init(struct trial *t, const char *yaml)
{
	trial_read(t, yaml);
	analysis_run(t->a);
}

static inline void trial_fini(struct trial *t)
{
	analysis_free(t->a);
	manifest_fini(&t->m);
}

/* Each code once, in the order of the findings. */
static inline const char *trial_codes(struct trial *t)
{
	t->codes[0] = '\0';
	for (size_t i = 0; i < analysis_count(t->a); i++) {
		const char *code = check_info(analysis_finding(t->a, i)->check)->code;
		size_t len = strlen(t->codes);
		if (!strstr(t->codes, code))
			(void)snprintf(&t->codes[len], sizeof(t->codes) - len, "%s%s",
				       len ? " " : "", code);
	}
	return t->codes;
}

/* The first finding of CHECK; NULL: there is none. */
static inline const struct finding *trial_find(const struct trial *t, enum check check)
{
	for (size_t i = 0; i < analysis_count(t->a); i++)
		if (analysis_finding(t->a, i)->check == check)
			return analysis_finding(t->a, i);
	return NULL;
}

/* One thing is wrong in BAD, and NEAR is the nearest that is right. */
struct trial_row {
	const char *name;
	enum check check;
	const char *bad, *codes;       /* all that is found in BAD */
	const char *near, *near_codes; /* and in NEAR */
	const char *path;              /* of the finding */
	const char *text;              /* stands in its text, why, effect, affected or yaml */
};

static inline bool trial_says(const struct finding *f, const char *text)
{
	return strstr(f->text, text) || strstr(f->why, text) || strstr(f->effect, text) ||
	       strstr(f->affected, text) || strstr(f->yaml, text);
}

static inline void trial_row_run(const struct trial_row *row)
{
	struct trial t;
	trial_init(&t, row->bad);
	if (strcmp(trial_codes(&t), row->codes) != 0)
		fail_msg("%s: found %s, expected %s", row->name, t.codes, row->codes);
	const struct finding *f = trial_find(&t, row->check);
	if (!f)
		fail_msg("%s: no %s", row->name, check_info(row->check)->code);
	if (strcmp(f->path, row->path) != 0)
		fail_msg("%s: at %s, expected %s", row->name, f->path, row->path);
	if (!trial_says(f, row->text))
		fail_msg("%s: \"%s\" is not said in: %s; %s; %s; %s; %s", row->name, row->text,
			 f->text, f->why, f->effect, f->affected, f->yaml);
	if (strcmp(f->file, "f") != 0 || f->line == 0)
		fail_msg("%s: at %s:%u", row->name, f->file, f->line);
	trial_fini(&t);
	trial_init(&t, row->near);
	if (strcmp(trial_codes(&t), row->near_codes) != 0)
		fail_msg("%s, near: found %s, expected %s", row->name, t.codes, row->near_codes);
	if (trial_find(&t, row->check))
		fail_msg("%s, near: found as well", row->name);
	trial_fini(&t);
}
