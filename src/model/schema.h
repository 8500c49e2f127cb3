/*
 * The tables by which decode.h reads each kind; for object.c, which reads the rest of an object.
 *
 *   decode(&d, kind_schema(KIND_POD), root, body);       // root: the whole resource
 *
 * The rows name every field of the Kubernetes API (1.36) and of Istio's (1.29); what hark does not use is accepted and
 * has no effect. Never change.
 */
#pragma once
#include "model/decode.h"
#include "model/kinds.h"
#include "model/names.h"

const struct schema *kind_schema(enum kind kind);
extern const struct schema meta_schema;    /* struct meta */
extern const struct schema service_schema; /* schema_service.c */
extern const struct schema endpoint_slice_schema;
extern const struct schema pod_schema; /* schema_pod.c */
extern const struct schema deployment_schema;
extern const struct schema container_schema; /* schema_container.c */
extern const struct schema security_schema;
extern const struct schema peer_authentication_schema; /* schema_security.c */
extern const struct schema authorization_policy_schema;
extern const struct schema destination_rule_schema; /* schema_destination_rule.c */
extern const struct schema service_entry_schema;    /* schema_service_entry.c */
extern const struct schema workload_entry_schema;   /* schema_workload_entry.c */
extern const struct schema workload_entry_spec_schema;
extern const struct schema sidecar_schema; /* schema_sidecar.c */

/* The rows that every resource begins with; object.c reads them. */
#define TOP_ROWS FIELD_KNOWN("apiVersion"), FIELD_KNOWN("kind"), FIELD_KNOWN("metadata")

extern const char *const l4_words[]; /* TCP, UDP, SCTP */
/* An integer 1..65535 or the name of a port. */
void read_port_or_name(struct decoder *d, const struct tree *n, struct int_or_name *out);
void read_ip(struct decoder *d, const struct tree *n, struct ip *out, bool *ok);
/* TEXT, which stands at N's member MEMBER, is such a name; else that is told. */
void check_name(struct decoder *d, const struct tree *n, const char *member, enum name_kind kind,
		const char *text);
/* LABELS, which stand at N's member MEMBER, may select workloads: Istio's WorkloadSelector. */
void check_selector(struct decoder *d, const struct tree *n, const char *member,
		    const struct pairs *labels);
/* TO, which stands at N's member "exportTo", says who may see something. */
void check_export_to(struct decoder *d, const struct tree *n, const char *const *to);
/* WORD, which stands at N's member "protocol", is one that ports of ServiceEntries and Sidecars know. */
void check_protocol_word(struct decoder *d, const struct tree *n, const char *member,
			 const char *word);
/* "db.example.com", or with WILDCARD also "*.example.com". */
bool host_name_ok(struct slice host, bool wildcard);
/* TEXT in lower case. */
const char *lower_dup(struct arena *a, struct slice text);
/* Child I of the list MEMBER of N, for the place of a problem. */
const struct tree *list_item(const struct tree *n, const char *member, size_t i);
