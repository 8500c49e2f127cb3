#include "observe/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "observe/access_log.h"
#include "observe/worker.h"

/* A greeting takes from microseconds on loopback to seconds of a slow server. */
const double time_bounds[N_TIME_BOUNDS] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
					   0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
					   1,      2.5,     5,      10,    30,     60};

struct metrics *metrics_new(unsigned n_workers)
{
	struct metrics *m = mem_new(sizeof(*m));
	m->n_workers = n_workers;
	size_t bytes = n_workers * sizeof(*m->workers);
	m->workers = aligned_alloc(_Alignof(struct worker_metrics), bytes);
	MUST(m->workers);
	memset(m->workers, 0, bytes);
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->n_workers; i++)
		series_table_fini(&m->workers[i].series);
	free(m->workers);
	free(m);
}

struct worker_metrics *metrics_worker(struct metrics *m, unsigned worker)
{
	MUST(worker < m->n_workers);
	return &m->workers[worker];
}

static void observe_time(struct histogram *h, uint64_t ns)
{
	unsigned i = 0;
	while (i < N_TIME_BOUNDS && (double)ns > time_bounds[i] * (double)NS_PER_S)
		i++;
	counter_add(&h->buckets[i], 1);
	counter_add(&h->sum_ns, ns);
}

/* Labels */

static const char *or_unknown(const char *text)
{
	return text && text[0] ? text : "unknown";
}

static void add_workload(struct labels *l, const struct workload *w, struct slice principal)
{
	static const struct workload nobody = {
		.name = "unknown",
		.canonical_name = "unknown",
		.canonical_revision = "latest",
		.app = "unknown",
		.version = "unknown",
	};
	bool known = w != NULL;
	w = known ? w : &nobody;
	labels_add(l, or_unknown(w->name));
	labels_add(l, known ? w->pod->meta.ns : "unknown");
	labels_add_slice(l, principal.len ? principal : SLICE("unknown"));
	labels_add(l, or_unknown(w->app));
	labels_add(l, or_unknown(w->version));
	labels_add(l, known ? "Kubernetes" : "unknown"); /* Istio's default name of a cluster */
	labels_add(l, or_unknown(w->canonical_name));
	labels_add(l, or_unknown(w->canonical_revision));
}

/* "db" of "db.shop.svc.cluster.local", in TEXT. */
static const char *first_label(const char *host, char *text, size_t len)
{
	size_t n = strcspn(host, ".");
	if (n >= len)
		n = len - 1;
	memcpy(text, host, n);
	text[n] = '\0';
	return text;
}

static void add_service(struct labels *l, const struct conn_record *r, const struct workload *dest)
{
	const struct plan *p = r->plan;
	char text[LABEL_MAX_BYTES + 1];
	if (p->port) {
		labels_add(l, p->port->service->host);
		labels_add(l, p->port->service->entry /* its host is its name, as in Istio */
				      ? p->port->service->host
				      : first_label(p->port->service->host, text, sizeof(text)));
		labels_add(l, p->port->service->object->meta.ns);
		return;
	}
	bool own = p->side == LIVE_INBOUND && dest;
	labels_add(l, own ? or_unknown(dest->canonical_name) : "unknown");
	labels_add(l, record_cluster(r, text, sizeof(text)));
	labels_add(l, dest ? dest->pod->meta.ns : "unknown");
}

static struct series *tcp_series(struct worker_metrics *wm, const struct conn_record *r,
				 const char *flags)
{
	const struct plan *p = r->plan;
	bool outbound = p->side == LIVE_OUTBOUND;
	const struct workload *self = r->view ? view_self(r->view) : NULL;
	const struct workload *peer =
		outbound && r->upstream_workload ? r->upstream_workload : p->peer_workload;
	const struct workload *source = outbound ? self : peer;
	const struct workload *dest = outbound ? peer : self;
	char text[VIEW_IDENTITY_LEN];
	struct labels l;
	labels_start(&l, SERIES_TCP);
	labels_add(&l, outbound ? "source" : "destination");
	add_workload(&l, source, record_principal(r, true, text));
	add_workload(&l, dest, record_principal(r, false, text));
	add_service(&l, r, dest);
	labels_add(&l, "tcp");
	labels_add(&l, flags);
	/* The server's side knows, as in Istio. */
	labels_add(&l, outbound ? "unknown" : record_mutual_tls(r) ? "mutual_tls" : "none");
	labels_add(&l, record_protocol(r));
	return series_find(&wm->series, &l);
}

static void count_detection(struct worker_metrics *wm, const struct conn_record *r)
{
	const struct plan *p = r->plan;
	struct labels l;
	char text[640] = "", port[8] = "";
	if (p->port) { /* any other port number is the peer's choice: no label of its own */
		const struct meta *meta = &p->port->service->object->meta;
		(void)snprintf(text, sizeof(text), "%s/%s", meta->ns, meta->name);
		(void)snprintf(port, sizeof(port), "%u", p->port->port->port);
	}
	labels_start(&l, SERIES_DETECTION);
	labels_add(&l, p->side == LIVE_OUTBOUND ? "outbound" : "inbound");
	labels_add(&l, text);
	labels_add(&l, port);
	labels_add(&l, fw_verdict_name(p->has_word ? p->word.verdict : FW_UNDECIDED));
	labels_add(&l,
		   p->has_word && p->word.who != FW_NOBODY ? fw_first_name(p->word.who) : "none");
	labels_add(&l, fw_reason_name(p->has_word ? p->word.reason : FW_REASON_NONE));
	counter_add(&series_find(&wm->series, &l)->counters[DETECTION_TOTAL], 1);
}

/* Events */

void observe_opened(struct worker_metrics *wm, struct conn_record *r)
{
	counter_add(&wm->numbers.of.open[r->plan->side], 1);
}

void observe_detecting(struct worker_metrics *wm, struct conn_record *r)
{
	if (r->detecting)
		return;
	r->detecting = true;
	counter_add(&wm->numbers.of.detecting[r->plan->side], 1);
}

void observe_detected(struct worker_metrics *wm, struct conn_record *r)
{
	if (!r->detecting)
		return;
	r->detecting = false;
	counter_add(&wm->numbers.of.detecting[r->plan->side], UINT64_MAX); /* minus one */
	observe_time(&wm->numbers.of.detection[r->plan->side], r->detect_ns);
	count_detection(wm, r);
}

static void report(struct worker_metrics *wm, struct conn_record *r, const char *flags)
{
	if (!r->series) {
		r->series = tcp_series(wm, r, flags);
		counter_add(&r->series->counters[TCP_OPENED], 1);
	}
	uint64_t up = r->up_bytes - r->up_reported, down = r->down_bytes - r->down_reported;
	if (up |
	    down) { /* seen from the client's connection, as in Istio: it receives what goes up */
		counter_add(&r->series->counters[TCP_RECEIVED], up);
		counter_add(&r->series->counters[TCP_SENT], down);
		r->up_reported = r->up_bytes;
		r->down_reported = r->down_bytes;
	}
	if (r->first_byte_ns && !r->first_byte_told) {
		r->first_byte_told = true;
		uint64_t took = r->first_byte_ns > r->start_ns ? r->first_byte_ns - r->start_ns : 0;
		observe_time(&wm->numbers.of.first_byte[r->plan->side], took);
	}
}

void observe_bytes(struct worker_metrics *wm, struct conn_record *r)
{
	report(wm, r, "-");
}

static void count_authorization(struct worker_metrics *wm, const struct conn_record *r)
{
	if (r->plan->side != LIVE_INBOUND)
		return;
	observe_count(wm, COUNT_AUTHZ_DENIED, r->end == END_NOT_AUTHORIZED);
	observe_count(wm, COUNT_AUTHZ_AUDITED, r->plan->guard.audited);
	observe_count(wm, COUNT_AUTHZ_SHADOW_DENIED, r->plan->guard.shadow_denied);
}

void observe_closed(struct worker_metrics *wm, struct conn_record *r, struct access_log *log)
{
	observe_detected(wm, r);
	report(wm, r, end_reason_flag(r->end));
	counter_add(&r->series->counters[TCP_CLOSED], 1);
	counter_add(&wm->numbers.of.open[r->plan->side], UINT64_MAX); /* minus one */
	counter_add(&wm->numbers.of.ended[r->plan->side][r->end], 1);
	if (r->end == END_WRONG_GUESS)
		counter_add(&wm->numbers.of.wrong_guesses, 1);
	count_authorization(wm, r);
	if (!log)
		return;
	access_log_line(log, r);
	observe_count(wm, COUNT_LOG_DROPPED, access_log_take_dropped(log));
}

void observe_early(struct worker_metrics *wm, enum early_result result)
{
	counter_add(&wm->numbers.of.early[result], 1);
}

void observe_handshake(struct worker_metrics *wm, enum live_side side, enum tls_why why)
{
	counter_add(&wm->numbers.of.handshakes[side][why], 1);
}

void observe_count(struct worker_metrics *wm, enum observe_counter counter, uint64_t n)
{
	if (n)
		counter_add(&wm->numbers.of.counters[counter], n);
}

void observe_dns(struct worker_metrics *wm, bool tcp, enum dns_source source, unsigned rcode)
{
	unsigned column = rcode < N_DNS_RCODES - 1 ? rcode : N_DNS_RCODES - 1;
	counter_add(&wm->numbers.of.dns[tcp][source][column], 1);
}

void observe_dns_upstream(struct worker_metrics *wm, uint64_t ns)
{
	observe_time(&wm->numbers.of.dns_upstream, ns);
}

void observe_dns_cache(struct worker_metrics *wm, uint64_t n)
{
	atomic_store_explicit(&wm->numbers.of.dns_cached, n, memory_order_relaxed);
}
