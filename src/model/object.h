/*
 * One stored resource, immutable and counted: decoded struct, canonical JSON, and where it was
 * written.
 *
 *   struct object *pod = object_from_json(KIND_POD, json, &err);      // what the API carries
 *   const struct pod *spec = pod->pod;
 *   object_put(pod);
 *
 * People's YAML comes in through manifest.h, which also gives file and line to every error. Any
 * thread may hold a reference; the count is atomic, nothing else ever changes.
 */
#pragma once
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "model/kinds.h"

struct object {
	enum kind kind;
	struct meta meta;
	union { /* by kind; a Namespace has none */
		const void *body;
		const struct config_map *config_map;
		const struct service *service;
		const struct endpoint_slice *endpoint_slice;
		const struct pod *pod;
		const struct deployment *deployment;
		const struct peer_authentication *peer_authentication;
		const struct destination_rule *destination_rule;
		const struct authorization_policy *authorization_policy;
		const struct service_entry *service_entry;
		const struct workload_entry *workload_entry;
		const struct sidecar *sidecar;
	};
	struct slice
		json; /* canonical JSON text, metadata included, no newline; empty in a lean one */
	const char *origin_file; /* "" when it came through the API */
	unsigned origin_line;
	struct arena *arena;
	atomic_uint refs;
};

struct object_options {
	/* Unknown fields, and fields that hark up cannot honour, are errors (what people write);
	 * otherwise ignored (a newer server). */
	bool strict;
	/* For a sidecar's view: no JSON, and only the fields that decisions need (no containers,
	 * volumes, foreign annotations). See view_builder_set_json(). */
	bool lean;
	const char *ns; /* of an object that names none; NULL: "default" */
};

/* NULL on failure; the error tells the first problem, with its path. One reference. */
struct object *object_decode(enum kind kind, struct slice json,
			     const struct object_options *options, struct err *err) MUST_CHECK;
struct object *object_from_json(enum kind kind, struct slice json, bool strict,
				struct err *err) MUST_CHECK;
/* Reads one lean object after the other, in memory that it keeps for the next. */
struct object_reader;
struct object_reader *object_reader_new(void);
void object_reader_free(struct object_reader *r); /* NULL is fine */
struct object *object_read_lean(struct object_reader *r, enum kind kind, struct slice json,
				struct err *err) MUST_CHECK;
struct object *object_get(const struct object *o); /* one more reference */
void object_put(struct object *o);                 /* NULL is fine */
/* Which of two counts where only one can: the one that was made first; then by namespace and name. */
bool object_older(const struct object *a, const struct object *b);
/* "Service shop/db", into OUT; for messages and steps. */
const char *object_text(const struct object *o, char *out, size_t out_len);
/* A copy whose top-level member FIELD ("status", "metadata", "spec") is replaced by JSON (empty: left
 * out); decoded anew. */
struct object *object_with(const struct object *o, const char *field, struct slice json,
			   struct err *err) MUST_CHECK;
/* YAML text of the object, as people read it (`hark get -o yaml`). */
bool object_yaml(const struct object *o, struct buf *out) MUST_CHECK;

/* Where the mesh configuration is. */
#define MESH_CONFIG_NS "istio-system"
#define MESH_CONFIG_NAME "istio"
/* The mesh configuration in the ConfigMap (NULL: all defaults). Texts live in ARENA. False: the
 * error says which key, line and path. */
bool mesh_config_decode(const struct object *config_map, struct arena *arena,
			struct mesh_config *out, struct err *err) MUST_CHECK;
/* The same for one Pod's sidecar: its annotation proxy.istio.io/config lies over the mesh's defaultConfig. */
bool mesh_config_for_pod(const struct object *config_map, const struct pairs *annotations,
			 struct arena *arena, struct mesh_config *out, struct err *err) MUST_CHECK;
void mesh_config_default(struct mesh_config *out);
