/*
 * What is wrong or risky in a set of resources: `hark analyze`. Pure: objects in, findings out; nobody
 * is asked and nothing is read.
 *
 *   struct analysis *a = analysis_new(false);
 *   analysis_manifest(a, &manifest);                 // files (read with m.survey), or
 *   analysis_add(a, object);                         // each object of a running mesh
 *   analysis_learned(a, &seen);                      // and what its sidecars have seen
 *   if (!analysis_suppress(a, "HRK0010=Service shop/db", &err)) ...
 *   analysis_run(a);
 *   for (i < analysis_count(a)) use(analysis_finding(a, i));
 *   analysis_free(a);
 *
 * The checks decide nothing anew: they build the view that sidecars work with, for Pods as they would
 * be, and ask model/ and decide/ what would happen. Everything lives as long as the analysis. One thread.
 */
#pragma once
#include "analyze/checks.h"
#include "base/buf.h"
#include "model/manifest.h"

struct analysis;

/* LIVE: the objects are those of a running mesh, so Pods say themselves whether they have a sidecar;
 * otherwise that is decided as injection would. */
struct analysis *analysis_new(bool live);
void analysis_free(struct analysis *a);
/* Takes a reference of its own. */
void analysis_add(struct analysis *a, const struct object *o);
/* Everything that was read, with its problems. M must outlive the analysis. */
void analysis_manifest(struct analysis *a, const struct manifest *m);

/* A resource that does not decode, as WHY says. */
void analysis_unreadable(struct analysis *a, enum kind kind, const char *ns, const char *name,
			 const char *why);

/* What the sidecars saw on a Service's port, in connections. */
struct learned_port {
	const char *ns, *service; /* NS "" or NULL: SERVICE is a host of ServiceEntries */
	uint16_t port;
	bool inbound; /* PORT is the Pod's, else the Service's */
	unsigned server_first, client_http, client_tls, client_opaque;
	const char *greeting; /* as greet_name() says it, or "" */
	const char *
		in_clear; /* the same, of a server that a rule wants TLS with; "" or NULL: TLS came */
};
void analysis_learned(struct analysis *a, const struct learned_port *seen);

/*
 * Before running. "CODE" or "CODE=KIND NS/NAME": findings that are not told. CODE is hark's or Istio's,
 * or "*"; the resource may have stars, and may be written KIND NAME.NS as for istioctl. Annotations
 * of the resources (ANNOTATION_SUPPRESS and Istio's) do the same. False: no such code.
 */
#define ANNOTATION_SUPPRESS "hark.mesh/analyze-suppress"
#define ANNOTATION_SUPPRESS_ISTIO "galley.istio.io/analyze-suppress"
bool analysis_suppress(struct analysis *a, const char *what, struct err *err) MUST_CHECK;

void analysis_run(struct analysis *a);

struct finding {
	enum check check;
	const struct object *object;  /* NULL: it does not decode, or is of a kind not known */
	const char *kind, *ns, *name; /* as far as they are known, or "" */
	const char *file;             /* "" on a running mesh */
	unsigned line;
	const char *path;     /* "spec.ports[0]", or "" */
	const char *text;     /* what is wrong, one clause */
	const char *why;      /* the facts behind it, or "" */
	const char *effect;   /* what happens, or "" */
	const char *affected; /* who is hit, or "" */
	const char *mend;     /* what to do, or "" */
	const char *yaml;     /* the part of the resource to write, or "" */
};

/* Findings that are not suppressed: the worst first, then by code, resource and place. */
size_t analysis_count(const struct analysis *a);
const struct finding *analysis_finding(const struct analysis *a, size_t i);
size_t analysis_n_suppressed(const struct analysis *a);
size_t analysis_n_objects(const struct analysis *a);

/* What is shown. */
struct analysis_filter {
	enum check_level at_least;
	const char *ns; /* NULL: all */
};
/* How many of LEVEL are shown. */
size_t analysis_count_level(const struct analysis *a, const struct analysis_filter *filter,
			    enum check_level level);
/* "Level [CODE] (Kind ns/name file:line) text", and indented lines below. False: OUT is full. */
bool analysis_text(const struct analysis *a, const struct analysis_filter *filter,
		   struct buf *out) MUST_CHECK;
bool analysis_json(const struct analysis *a, const struct analysis_filter *filter,
		   struct buf *out) MUST_CHECK;
/* A table of all checks. */
bool analysis_list(struct buf *out) MUST_CHECK;
/* One of the findings of FILTER's namespace is at least that bad. THRESHOLD NULL: an error, or a
 * warning that connections stall elsewhere. */
bool analysis_fails(const struct analysis *a, const struct analysis_filter *filter,
		    const enum check_level *threshold);

/* What was learnt as the declaration to write down: each Service with a port that declares nothing,
 * whole, with its appProtocol, and each such ServiceEntry with its protocol. *N (may be NULL): how many ports. After analysis_run(). */
bool analysis_suggest(const struct analysis *a, const char *ns, struct buf *out,
		      size_t *n) MUST_CHECK;
