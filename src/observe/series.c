#include "observe/series.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "observe/metrics.h"

/* Istio's labels in Istio's words (telemetry: all metrics carry all of them), then what was
 * recognised. */
static const char *const tcp_names[] = {
	"reporter",
	"source_workload",
	"source_workload_namespace",
	"source_principal",
	"source_app",
	"source_version",
	"source_cluster",
	"source_canonical_service",
	"source_canonical_revision",
	"destination_workload",
	"destination_workload_namespace",
	"destination_principal",
	"destination_app",
	"destination_version",
	"destination_cluster",
	"destination_canonical_service",
	"destination_canonical_revision",
	"destination_service",
	"destination_service_name",
	"destination_service_namespace",
	"request_protocol",
	"response_flags",
	"connection_security_policy",
	"detected_protocol",
};
static const char *const detection_names[] = {"side",    "service", "port",
					      "outcome", "first",   "reason"};

const char *const *series_label_names(enum series_kind kind, unsigned *n)
{
	switch (kind) {
	case SERIES_TCP:
		*n = N_ELEMS(tcp_names);
		return tcp_names;
	case SERIES_DETECTION:
		*n = N_ELEMS(detection_names);
		return detection_names;
	case N_SERIES_KINDS:
		break;
	}
	*n = 0;
	return NULL;
}

void labels_start(struct labels *l, enum series_kind kind)
{
	l->kind = kind;
	l->n = 0;
	l->len = 0;
	l->values[l->len++] = (char)('0' + kind);
}

void labels_add(struct labels *l, const char *value)
{
	labels_add_slice(l, slice_of(value));
}

void labels_add_slice(struct labels *l, struct slice value)
{
	size_t len = value.len < LABEL_MAX_BYTES ? value.len : LABEL_MAX_BYTES;
	if (len > sizeof(l->values) - l->len - 1)
		len = 0; /* 24 values of 255 bytes do not fit: the last ones are left empty */
	MUST(l->len + len + 1 <= sizeof(l->values));
	if (len)
		memcpy(l->values + l->len, value.at, len);
	l->len += len;
	l->values[l->len++] = '\0';
	l->n++;
}

static struct series *find(const struct series_table *t, const struct labels *l)
{
	struct series *s = NULL;
	HASH_FIND(hh, t->by_key, l->values, l->len, s);
	return s;
}

static struct series *make(struct series_table *t, const struct labels *l)
{
	struct series *s = mem_new(sizeof(*s) + l->len);
	s->kind = l->kind;
	s->key_len = l->len;
	memcpy(s->key, l->values, l->len);
	HASH_ADD_KEYPTR(hh, t->by_key, s->key, s->key_len, s);
	t->n++;
	s->next = atomic_load_explicit(&t->newest, memory_order_relaxed);
	atomic_store_explicit(&t->newest, s, memory_order_release);
	return s;
}

/* The first value (who reports, which side) stays, so that sums by it stay right. */
static void overflow(const struct labels *l, struct labels *out)
{
	labels_start(out, l->kind);
	labels_add(out, l->values + 1);
	while (out->n < l->n)
		labels_add(out, "overflow");
}

struct series *series_find(struct series_table *t, const struct labels *l)
{
	struct series *s = find(t, l);
	if (s)
		return s;
	if (t->n < METRICS_MAX_SERIES)
		return make(t, l);
	struct labels rest;
	overflow(l, &rest);
	s = find(t, &rest);
	return s ? s : make(t, &rest);
}

void series_table_fini(struct series_table *t)
{
	TABLE_DRAIN(t->by_key, free); /* every series is in it */
}
