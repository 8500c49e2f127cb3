/*
 * Prometheus text format 0.0.4: for each metric HELP, TYPE, then one line per label set. Runs on
 * the main thread while the workers write; every number is whole, and the sum of two numbers may be
 * a moment apart. A full buffer shows in buf.full, which metrics_render() answers with.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "observe/worker.h"

static const char *const sides[N_SIDES] = {
	[LIVE_OUTBOUND] = "outbound", [LIVE_INBOUND] = "inbound"};

void render_head(struct buf *out, const char *name, const char *type, const char *help)
{
	(void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* NAME="VALUE" with what the format asks to escape; bytes that are not UTF-8 become U+FFFD. */
static void label(struct buf *out, const char *name, const char *value)
{
	(void)buf_printf(out, "%s=\"", name);
	for (struct slice s = slice_of(value); s.len;) {
		size_t n = slice_utf8_len(s);
		if (n == 0)
			(void)buf_puts(out, "\xef\xbf\xbd");
		else if (s.at[0] == '\n')
			(void)buf_puts(out, "\\n");
		else if (s.at[0] == '"' || s.at[0] == '\\')
			(void)buf_printf(out, "\\%c", s.at[0]);
		else
			(void)buf_append(out, slice_sub(s, 0, n));
		s = slice_sub(s, n ? n : 1, s.len);
	}
	(void)buf_putc(out, '"');
}

/* Series of all workers, those with the same labels added up */

struct merged {
	const struct series *labels; /* the first one found */
	uint64_t counters[SERIES_COUNTERS];
	UT_hash_handle hh;
};

static struct merged *merge(const struct metrics *m)
{
	struct merged *all = NULL;
	for (unsigned w = 0; w < m->n_workers; w++) {
		const struct series *s =
			atomic_load_explicit(&m->workers[w].series.newest, memory_order_acquire);
		for (; s; s = s->next) {
			struct merged *sum = NULL;
			HASH_FIND(hh, all, s->key, s->key_len, sum);
			if (!sum) {
				sum = mem_new(sizeof(*sum));
				sum->labels = s;
				HASH_ADD_KEYPTR(hh, all, s->key, s->key_len, sum);
			}
			for (unsigned i = 0; i < SERIES_COUNTERS; i++)
				sum->counters[i] += counter_get(&s->counters[i]);
		}
	}
	return all;
}

static int by_key(const struct merged *a, const struct merged *b)
{
	return slice_cmp((struct slice){a->labels->key, a->labels->key_len},
			 (struct slice){b->labels->key, b->labels->key_len});
}

static void series_line(struct buf *out, const char *name, const struct merged *m, unsigned counter)
{
	unsigned n = 0;
	const char *const *names = series_label_names(m->labels->kind, &n);
	struct slice values = {m->labels->key + 1, m->labels->key_len - 1};
	(void)buf_printf(out, "%s{", name);
	for (unsigned i = 0; i < n; i++) {
		if (i)
			(void)buf_putc(out, ',');
		label(out, names[i], slice_cut(&values, '\0').at);
	}
	(void)buf_printf(out, "} %llu\n", (unsigned long long)m->counters[counter]);
}

static void render_series(struct buf *out, const struct merged *all, enum series_kind kind,
			  unsigned counter, const char *name, const char *help)
{
	render_head(out, name, "counter", help);
	for (const struct merged *m = all; m; m = m->hh.next)
		if (m->labels->kind == kind)
			series_line(out, name, m, counter);
}

static void render_all_series(const struct metrics *m, struct buf *out)
{
	static const struct {
		enum series_kind kind;
		unsigned counter;
		const char *name, *help;
	} families[] = {
		{SERIES_TCP, TCP_OPENED, "istio_tcp_connections_opened_total",
		 "TCP connections opened."},
		{SERIES_TCP, TCP_CLOSED, "istio_tcp_connections_closed_total",
		 "TCP connections closed."},
		{SERIES_TCP, TCP_SENT, "istio_tcp_sent_bytes_total",
		 "Bytes sent to the client, on either reporter."},
		{SERIES_TCP, TCP_RECEIVED, "istio_tcp_received_bytes_total",
		 "Bytes received from the client, on either reporter."},
		{SERIES_DETECTION, DETECTION_TOTAL, "hark_detection_total",
		 "First-word races by what they gave, who spoke first, and why."},
	};
	struct merged *all = merge(m);
	HASH_SORT(all, by_key);
	for (size_t i = 0; i < N_ELEMS(families); i++)
		render_series(out, all, families[i].kind, families[i].counter, families[i].name,
			      families[i].help);
	TABLE_DRAIN(all, free);
}

/* Plain counters, gauges and histograms */

/* All workers' numbers; a gauge's decrements wrap to the right sum. */
static void add_up(const struct metrics *m, union worker_numbers *total)
{
	for (unsigned w = 0; w < m->n_workers; w++)
		for (unsigned i = 0; i < N_NUMBERS; i++)
			counter_add(&total->cells[i], counter_get(&m->workers[w].numbers.cells[i]));
}

static void line(struct buf *out, const char *name, const char *labels, uint64_t n)
{
	(void)buf_printf(out, "%s%s %llu\n", name, labels, (unsigned long long)n);
}

static void by_side(struct buf *out, const char *name, const char *help,
		    const _Atomic uint64_t of[N_SIDES])
{
	render_head(out, name, "gauge", help);
	for (unsigned side = 0; side < N_SIDES; side++) {
		(void)buf_printf(out, "%s{side=\"%s\"}", name, sides[side]);
		line(out, "", "", counter_get(&of[side]));
	}
}

/* LABELS: "" or such as `side="outbound",`. */
static void histogram_lines(struct buf *out, const char *name, const char *labels,
			    const struct histogram *h)
{
	int bare = labels[0] ? (int)strlen(labels) - 1 : 0; /* without the comma */
	uint64_t n = 0;
	for (unsigned i = 0; i < N_TIME_BOUNDS; i++) {
		n += counter_get(&h->buckets[i]);
		(void)buf_printf(out, "%s_bucket{%sle=\"%g\"} %llu\n", name, labels, time_bounds[i],
				 (unsigned long long)n);
	}
	n += counter_get(&h->buckets[N_TIME_BOUNDS]);
	(void)buf_printf(out, "%s_bucket{%sle=\"+Inf\"} %llu\n", name, labels,
			 (unsigned long long)n);
	(void)buf_printf(out, "%s_sum%s%.*s%s %.9f\n", name, bare ? "{" : "", bare, labels,
			 bare ? "}" : "", (double)counter_get(&h->sum_ns) / (double)NS_PER_S);
	(void)buf_printf(out, "%s_count%s%.*s%s %llu\n", name, bare ? "{" : "", bare, labels,
			 bare ? "}" : "", (unsigned long long)n);
}

static void render_histogram(struct buf *out, const char *name, const char *help,
			     const struct histogram of[N_SIDES])
{
	static const char *const labels[N_SIDES] = {"side=\"outbound\",", "side=\"inbound\","};
	render_head(out, name, "histogram", help);
	for (unsigned side = 0; side < N_SIDES; side++)
		histogram_lines(out, name, labels[side], &of[side]);
}

static void render_dns(const struct numbers *all, struct buf *out)
{
	static const char name[] = "hark_dns_queries_total";
	static const char *const transports[] = {"udp", "tcp"};
	static const char *const rcodes[N_DNS_RCODES] = {
		"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "other"};
	static const char *const sources[N_DNS_SOURCES] = {
#define X(id, word) [DNS_SOURCE_##id] = word,
		DNS_SOURCES(X)
#undef X
	};
	render_head(out, name, "counter", "Questions of the application, by who answered them.");
	for (unsigned t = 0; t < 2; t++)
		for (unsigned s = 0; s < N_DNS_SOURCES; s++)
			for (unsigned r = 0; r < N_DNS_RCODES; r++) {
				uint64_t n = counter_get(&all->dns[t][s][r]);
				if (n || r == 0) /* 50 lines of zeros tell nobody anything */
					(void)buf_printf(out,
							 "%s{transport=\"%s\",answered_by=\"%s\","
							 "rcode=\"%s\"} %llu\n",
							 name, transports[t], sources[s], rcodes[r],
							 (unsigned long long)n);
			}
	render_head(out, "hark_dns_cached_answers", "gauge",
		    "Answers of nameservers that are kept now.");
	line(out, "hark_dns_cached_answers", "", counter_get(&all->dns_cached));
	render_head(out, "hark_dns_upstream_seconds", "histogram",
		    "From a question to a nameserver's answer.");
	histogram_lines(out, "hark_dns_upstream_seconds", "", &all->dns_upstream);
}

static void render_ended(const struct numbers *all, struct buf *out)
{
	static const char name[] = "hark_connections_ended_total";
	render_head(out, name, "counter", "Connections ended, by why.");
	for (unsigned side = 0; side < N_SIDES; side++)
		for (unsigned r = 0; r < N_END_REASONS; r++)
			(void)buf_printf(out, "%s{side=\"%s\",reason=\"%s\"} %llu\n", name,
					 sides[side], end_reason_name((enum end_reason)r),
					 (unsigned long long)counter_get(&all->ended[side][r]));
}

static void render_handshakes(const struct numbers *all, struct buf *out)
{
	static const char name[] = "hark_tls_handshakes_total";
	render_head(out, name, "counter", "TLS handshakes by what became of them.");
	for (unsigned side = 0; side < N_SIDES; side++)
		for (unsigned w = 0; w < TLS_N_WHYS; w++)
			(void)buf_printf(
				out, "%s{side=\"%s\",result=\"%s\"} %llu\n", name, sides[side],
				w == TLS_WHY_NONE ? "ok" : tls_why_label((enum tls_why)w),
				(unsigned long long)counter_get(&all->handshakes[side][w]));
}

static void render_early(const struct numbers *all, struct buf *out)
{
	static const char name[] = "hark_early_connections_total";
	static const char *const results[] = {
#define X(id, text) [EARLY_##id] = text,
		EARLY_RESULTS(X)
#undef X
	};
	render_head(
		out, name, "counter",
		"Connections to the server made before the client spoke, by what became of them.");
	for (unsigned i = 0; i < N_EARLY_RESULTS; i++)
		(void)buf_printf(out, "%s{result=\"%s\"} %llu\n", name, results[i],
				 (unsigned long long)counter_get(&all->early[i]));
}

static void render_counters(const struct numbers *all, struct buf *out)
{
	static const struct {
		const char *name, *help;
	} counters[] = {
#define X(id, name, help) [COUNT_##id] = {name, help},
		OBSERVE_COUNTERS(X)
#undef X
	};
	for (unsigned i = 0; i < N_OBSERVE_COUNTERS; i++) {
		render_head(out, counters[i].name, "counter", counters[i].help);
		line(out, counters[i].name, "", counter_get(&all->counters[i]));
	}
	render_head(out, "hark_wrong_guess_total", "counter",
		    "Greetings sent in clear to a client that then sent a ClientHello.");
	line(out, "hark_wrong_guess_total", "", counter_get(&all->wrong_guesses));
}

static void render_facts(const struct metrics_facts *facts, struct buf *out)
{
	render_head(out, "hark_config_version", "gauge",
		    "Highest resourceVersion of the configuration in force.");
	line(out, "hark_config_version", "", facts->config_version);
	render_head(out, "hark_api_connected", "gauge",
		    "1 while the configuration is being watched, 0 while the last one is kept.");
	line(out, "hark_api_connected", "", facts->api_connected);
	render_head(out, "hark_build_info", "gauge", "Version of hark.");
	(void)buf_puts(out, "hark_build_info{");
	label(out, "version", facts->version);
	(void)buf_puts(out, "} 1\n");
	render_head(out, "istio_build", "gauge", "Version of the proxy.");
	(void)buf_puts(out, "istio_build{component=\"proxy\",");
	label(out, "tag", facts->version);
	(void)buf_puts(out, "} 1\n");
}

bool metrics_render(const struct metrics *m, const struct metrics_facts *facts, struct buf *out)
{
	render_all_series(m, out);
	union worker_numbers total = {0};
	add_up(m, &total);
	const struct numbers *all = &total.of;
	by_side(out, "hark_connections", "Connections open now.", all->open);
	by_side(out, "hark_detection_in_progress", "Connections whose first word is awaited now.",
		all->detecting);
	render_histogram(out, "hark_detection_seconds",
			 "From accept to the end of the first-word race.", all->detection);
	render_histogram(out, "hark_first_byte_seconds",
			 "From accept to the first byte sent to the client.", all->first_byte);
	render_ended(all, out);
	render_handshakes(all, out);
	render_early(all, out);
	render_dns(all, out);
	render_counters(all, out);
	render_facts(facts, out);
	render_process(facts, out);
	return !out->full;
}
