#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/mem.h"
#include "observe/fixture.h"
#include "observe/metrics.h"

/* A strict reader of Prometheus text format 0.0.4: what it takes, a scraper takes. */

enum { MAX_SAMPLES = 16384, MAX_LABELS = 32 };

struct sample {
	char *text; /* holds what the others point to */
	const char *name;
	unsigned n;
	const char *names[MAX_LABELS], *values[MAX_LABELS];
	double value;
};

struct scrape {
	struct sample *samples;
	size_t n;
	char family[128], type[16];
	char families[64][128]; /* all so far: each may come once */
	size_t n_families;
};

static bool name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* Copies a name to *TO, which moves behind it; gives what follows. */
static const char *read_name(const char *at, char **to)
{
	size_t n = 0;
	while (name_char(at[n], n == 0))
		n++;
	assert_true(n > 0);
	memcpy(*to, at, n);
	(*to)[n] = '\0';
	*to += n + 1;
	return at + n;
}

static const char *read_value(const char *at, char **to)
{
	char *out = *to;
	size_t n = 0;
	assert_true(*at++ == '"');
	for (; *at != '"'; at++) {
		assert_true(*at != '\0' && *at != '\n');
		char c = *at;
		if (c == '\\') {
			c = *++at;
			assert_true(c == '\\' || c == '"' || c == 'n');
			if (c == 'n')
				c = '\n';
		}
		out[n++] = c;
	}
	out[n] = '\0';
	*to += n + 1;
	for (struct slice s = {out, n}; s.len; s = slice_sub(s, slice_utf8_len(s), s.len))
		assert_int_not_equal(slice_utf8_len(s), 0);
	return at + 1;
}

static void read_comment(struct scrape *s, const char *line)
{
	char name[128], *to = name;
	assert_true(strlen(line) < sizeof(name) + 100);
	const char *at = read_name(line + 7, &to);
	if (strncmp(line, "# HELP ", 7) == 0) {
		assert_true(*at == ' ' && at[1] != '\0');
		for (size_t i = 0; i < s->n_families; i++)
			assert_string_not_equal(s->families[i], name);
		(void)snprintf(s->families[s->n_families++], 128, "%s", name);
		return;
	}
	assert_int_equal(strncmp(line, "# TYPE ", 7), 0);
	(void)snprintf(s->family, sizeof(s->family), "%s", name);
	assert_string_equal(s->family, s->families[s->n_families - 1]);
	assert_true(strcmp(at, " counter") == 0 || strcmp(at, " gauge") == 0 ||
		    strcmp(at, " histogram") == 0);
	(void)snprintf(s->type, sizeof(s->type), "%s", at + 1);
}

static bool belongs(const struct scrape *s, const char *name)
{
	size_t n = strlen(s->family);
	if (strncmp(name, s->family, n) != 0)
		return false;
	if (strcmp(s->type, "histogram") != 0)
		return name[n] == '\0';
	return strcmp(name + n, "_bucket") == 0 || strcmp(name + n, "_sum") == 0 ||
	       strcmp(name + n, "_count") == 0;
}

static bool same_labels(const struct sample *a, const struct sample *b)
{
	if (strcmp(a->name, b->name) != 0 || a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(a->names[i], b->names[i]) != 0 ||
		    strcmp(a->values[i], b->values[i]) != 0)
			return false;
	return true;
}

static void read_sample(struct scrape *s, const char *line)
{
	assert_true(s->n < MAX_SAMPLES);
	struct sample *m = &s->samples[s->n];
	m->text = calloc(1, strlen(line) + 2 * MAX_LABELS);
	char *to = m->text;
	m->name = to;
	const char *at = read_name(line, &to);
	if (*at == '{') {
		do {
			assert_true(m->n < MAX_LABELS);
			m->names[m->n] = to;
			at = read_name(at + 1, &to);
			assert_true(*at == '=');
			m->values[m->n++] = to;
			at = read_value(at + 1, &to);
		} while (*at == ',');
		assert_true(*at++ == '}');
	}
	assert_true(*at == ' ');
	char *end = NULL;
	m->value = strtod(at + 1, &end);
	assert_true(end > at + 1 && *end == '\0');
	if (!belongs(s, m->name))
		fail_msg("%s stands under %s", m->name, s->family);
	s->n++;
}

static void scrape_fini(struct scrape *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->samples[i].text);
	free(s->samples);
}

static void scrape(const struct metrics *m, struct scrape *s)
{
	struct metrics_facts facts = {.version = "1.2\"\\\n3",
				      .config_version = 42,
				      .api_connected = true,
				      .start_time_s = 1e9};
	struct buf text;
	buf_init(&text, 16 << 20);
	assert_true(metrics_render(m, &facts, &text));
	*s = (struct scrape){.samples = calloc(MAX_SAMPLES, sizeof(struct sample))};
	assert_non_null(s->samples);
	struct slice rest = buf_slice(&text);
	assert_true(slice_ends(rest, SLICE("\n")));
	while (rest.len) {
		struct slice line = slice_cut(&rest, '\n');
		char *z = calloc(1, line.len + 1);
		memcpy(z, line.at, line.len);
		if (z[0] == '#')
			read_comment(s, z);
		else
			read_sample(s, z);
		free(z);
	}
	for (size_t i = 0; i < s->n && s->n < 1000; i++)
		for (size_t k = i + 1; k < s->n; k++)
			assert_false(same_labels(&s->samples[i], &s->samples[k]));
	buf_fini(&text);
}

static const char *label_of(const struct sample *m, const char *name)
{
	for (unsigned i = 0; i < m->n; i++)
		if (strcmp(m->names[i], name) == 0)
			return m->values[i];
	return NULL;
}

/* The sum of all samples of NAME whose labels are as given (name, value pairs, then NULL). */
static double total(const struct scrape *s, const char *name, ...)
{
	double sum = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->samples[i].name, name) != 0)
			continue;
		va_list labels;
		bool match = true;
		va_start(labels, name);
		for (const char *l; match && (l = va_arg(labels, const char *));) {
			const char *have = label_of(&s->samples[i], l);
			match = have && strcmp(have, va_arg(labels, const char *)) == 0;
		}
		va_end(labels);
		if (match)
			sum += s->samples[i].value;
	}
	return sum;
}
#define TOTAL(...) ((int)total(&s, __VA_ARGS__, NULL))

static const struct sample *find(const struct scrape *s, const char *name, const char *label,
				 const char *value)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *have = label_of(&s->samples[i], label);
		if (strcmp(s->samples[i].name, name) == 0 && have && strcmp(have, value) == 0)
			return &s->samples[i];
	}
	fail_msg("no %s with %s=%s", name, label, value);
	return NULL;
}

static void labels_are(const struct sample *m, const char *const pairs[][2], size_t n)
{
	assert_int_equal(m->n, n);
	for (size_t i = 0; i < n; i++) {
		const char *have = label_of(m, pairs[i][0]);
		if (!have || strcmp(have, pairs[i][1]) != 0)
			fail_msg("%s is %s, not %s", pairs[i][0], have ? have : "absent",
				 pairs[i][1]);
	}
}

/* Tests */

static void outbound_labels(void **state)
{
	static const char *const want[][2] = {
		{"reporter", "source"},
		{"source_workload", "web-1"},
		{"source_workload_namespace", "shop"},
		{"source_principal", "unknown"},
		{"source_app", "web"},
		{"source_version", "v3"},
		{"source_cluster", "Kubernetes"},
		{"source_canonical_service", "web"},
		{"source_canonical_revision", "v3"},
		{"destination_workload", "db-0"},
		{"destination_workload_namespace", "data"},
		{"destination_principal", "unknown"},
		{"destination_app", "db"},
		{"destination_version", "unknown"},
		{"destination_cluster", "Kubernetes"},
		{"destination_canonical_service", "db"},
		{"destination_canonical_revision", "latest"},
		{"destination_service", "db.data.svc.cluster.local"},
		{"destination_service_name", "db"},
		{"destination_service_namespace", "data"},
		{"request_protocol", "tcp"},
		{"response_flags", "-"},
		{"connection_security_policy", "unknown"},
		{"detected_protocol", "mysql"},
	};
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	struct scrape s;
	world_init(&w, "shop", "web-1", observe_yaml);
	struct metrics *m = metrics_new(1);
	struct worker_metrics *wm = metrics_worker(m, 0);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	r.upstream = test_addr("198.18.0.2:3307");
	r.upstream_workload = view_workload_by_ip(w.view, &r.upstream.ip);
	r.protocol = "mysql";
	observe_opened(wm, &r);
	r.up_bytes = 10;
	r.down_bytes = 100;
	observe_bytes(wm, &r);
	observe_bytes(wm, &r); /* nothing new: nothing is counted twice */
	scrape(m, &s);
	assert_int_equal(TOTAL("istio_tcp_connections_opened_total"), 1);
	assert_int_equal(TOTAL("istio_tcp_connections_closed_total"), 0);
	assert_int_equal(TOTAL("istio_tcp_received_bytes_total"), 10);
	assert_int_equal(TOTAL("istio_tcp_sent_bytes_total"), 100);
	assert_int_equal(TOTAL("hark_connections", "side", "outbound"), 1);
	scrape_fini(&s);
	r.down_bytes = 150;
	r.end = END_SERVER_RESET; /* the labels stay those of the first report */
	observe_closed(wm, &r, NULL);
	scrape(m, &s);
	labels_are(find(&s, "istio_tcp_connections_closed_total", "reporter", "source"), want,
		   N_ELEMS(want));
	assert_int_equal(TOTAL("istio_tcp_connections_closed_total"), 1);
	assert_int_equal(TOTAL("istio_tcp_sent_bytes_total"), 150);
	assert_int_equal(TOTAL("hark_connections", "side", "outbound"), 0);
	assert_int_equal(
		TOTAL("hark_connections_ended_total", "side", "outbound", "reason", "server-reset"),
		1);
	scrape_fini(&s);
	metrics_free(m);
	world_fini(&w);
}

static void inbound_labels(void **state)
{
	static const char *const want[][2] = {
		{"reporter", "destination"},
		{"source_workload", "unknown"},
		{"source_workload_namespace", "unknown"},
		{"source_principal", "unknown"},
		{"source_app", "unknown"},
		{"source_version", "unknown"},
		{"source_cluster", "unknown"},
		{"source_canonical_service", "unknown"},
		{"source_canonical_revision", "latest"},
		{"destination_workload", "web-1"},
		{"destination_workload_namespace", "shop"},
		{"destination_principal", "unknown"},
		{"destination_app", "web"},
		{"destination_version", "v3"},
		{"destination_cluster", "Kubernetes"},
		{"destination_canonical_service", "web"},
		{"destination_canonical_revision", "v3"},
		{"destination_service", "web.shop.svc.cluster.local"},
		{"destination_service_name", "web"},
		{"destination_service_namespace", "shop"},
		{"request_protocol", "tcp"},
		{"response_flags", "UF"},
		{"connection_security_policy", "none"},
		{"detected_protocol", "tcp"},
	};
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	struct scrape s;
	world_init(&w, "shop", "web-1", observe_yaml);
	struct metrics *m = metrics_new(1);
	struct worker_metrics *wm = metrics_worker(m, 0);
	record_inbound(&w, "203.0.113.9:4000", 9000, &p, &r);
	observe_opened(wm, &r);
	r.end = END_CONNECT_REFUSED; /* never reported before: the flag is that of its end */
	observe_closed(wm, &r, NULL);
	scrape(m, &s);
	labels_are(find(&s, "istio_tcp_connections_opened_total", "reporter", "destination"), want,
		   N_ELEMS(want));
	scrape_fini(&s);
	metrics_free(m);
	world_fini(&w);
}

static void unmatched_clusters(void **state)
{
	static const struct {
		const char *name;
		uint16_t inbound_port; /* 0: outbound to DST */
		const char *dst;
		bool refused;
		const char *service_name, *service, *flags;
	} cases[] = {
		{"passed through", 0, "203.0.113.9:80", false, "PassthroughCluster", "unknown",
		 "-"},
		{"refused by the guard", 0, "203.0.113.9:15001", true, "BlackHoleCluster",
		 "unknown", "NR"},
		{"no Service targets the port", 7777, "", false, "InboundPassthroughCluster", "web",
		 "-"},
		{"inbound guard", 15006, "", true, "BlackHoleCluster", "web", "NR"},
	};
	(void)state;
	struct world w;
	world_init(&w, "shop", "web-1", observe_yaml);
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct metrics *m = metrics_new(1);
		struct worker_metrics *wm = metrics_worker(m, 0);
		struct plan p;
		struct conn_record r;
		struct scrape s;
		if (cases[i].inbound_port)
			record_inbound(&w, "198.18.0.2:4000", cases[i].inbound_port, &p, &r);
		else
			record_outbound(&w, cases[i].dst, &p, &r);
		observe_opened(wm, &r);
		r.end = cases[i].refused ? end_of_refusal(&p) : END_CLIENT_CLOSED;
		observe_closed(wm, &r, NULL);
		scrape(m, &s);
		if (TOTAL("istio_tcp_connections_opened_total", "destination_service_name",
			  cases[i].service_name, "destination_service", cases[i].service,
			  "response_flags", cases[i].flags) != 1)
			fail_msg("%s", cases[i].name);
		scrape_fini(&s);
		metrics_free(m);
	}
	world_fini(&w);
}

static void detection_and_times(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	struct scrape s;
	world_init(&w, "shop", "web-1", observe_yaml);
	struct metrics *m = metrics_new(1);
	struct worker_metrics *wm = metrics_worker(m, 0);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	observe_opened(wm, &r);
	observe_detecting(wm, &r);
	scrape(m, &s);
	assert_int_equal(TOTAL("hark_detection_in_progress", "side", "outbound"), 1);
	scrape_fini(&s);
	struct fw_answer a = {.what = FW_DECIDED,
			      .verdict = FW_SERVER_FIRST,
			      .reason = FW_REASON_SERVER_GREETED,
			      .who = FW_SERVER,
			      .protocol = GREET_IS_MYSQL};
	decide_first_word(&p, &a);
	r.detect_ns = 700 * NS_PER_US;
	r.first_byte_ns = r.start_ns + 3 * NS_PER_MS;
	observe_detected(wm, &r);
	observe_bytes(wm, &r);
	observe_early(wm, EARLY_USED);
	r.end = END_WRONG_GUESS;
	observe_closed(wm, &r, NULL);
	scrape(m, &s);
	assert_int_equal(TOTAL("hark_detection_in_progress"), 0);
	assert_int_equal(TOTAL("hark_detection_total", "side", "outbound", "service", "data/db",
			       "port", "3307", "outcome", "server-first", "first", "server",
			       "reason", "server-greeted"),
			 1);
	assert_int_equal(TOTAL("hark_detection_seconds_bucket", "side", "outbound", "le", "0.0005"),
			 0);
	assert_int_equal(TOTAL("hark_detection_seconds_bucket", "side", "outbound", "le", "0.001"),
			 1);
	assert_int_equal(TOTAL("hark_detection_seconds_bucket", "side", "outbound", "le", "+Inf"),
			 1);
	assert_int_equal(TOTAL("hark_detection_seconds_count", "side", "outbound"), 1);
	assert_int_equal(
		TOTAL("hark_first_byte_seconds_bucket", "side", "outbound", "le", "0.0025"), 0);
	assert_int_equal(TOTAL("hark_first_byte_seconds_bucket", "side", "outbound", "le", "0.005"),
			 1);
	assert_int_equal(TOTAL("hark_first_byte_seconds_count"), 1);
	assert_int_equal(TOTAL("hark_early_connections_total", "result", "used"), 1);
	assert_int_equal(TOTAL("hark_wrong_guess_total"), 1);
	assert_int_equal(TOTAL("hark_config_version"), 42);
	assert_int_equal(TOTAL("hark_api_connected"), 1);
	assert_int_equal(TOTAL("hark_build_info", "version", "1.2\"\\\n3"), 1);
	assert_int_equal(TOTAL("istio_build", "component", "proxy"), 1);
	assert_true(total(&s, "process_resident_memory_bytes", NULL) > 0);
	assert_true(total(&s, "process_open_fds", NULL) >= 3);
	assert_int_equal(TOTAL("istio_tcp_connections_opened_total", "detected_protocol", "mysql"),
			 1);
	scrape_fini(&s);
	metrics_free(m);
	world_fini(&w);
}

/* A connection that ends in the middle of the race still closes its gauge. */
static void detection_cut_short(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	struct scrape s;
	world_init(&w, "shop", "web-1", observe_yaml);
	struct metrics *m = metrics_new(1);
	struct worker_metrics *wm = metrics_worker(m, 0);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	observe_opened(wm, &r);
	observe_detecting(wm, &r);
	r.end = END_DRAINED;
	observe_closed(wm, &r, NULL);
	scrape(m, &s);
	assert_int_equal(TOTAL("hark_detection_in_progress"), 0);
	assert_int_equal(TOTAL("hark_connections"), 0);
	assert_int_equal(TOTAL("hark_detection_total", "outcome", "undecided", "first", "none"), 1);
	scrape_fini(&s);
	metrics_free(m);
	world_fini(&w);
}

static void workers_are_added_up(void **state)
{
	(void)state;
	struct world w;
	struct scrape s;
	world_init(&w, "shop", "web-1", observe_yaml);
	struct metrics *m = metrics_new(3);
	for (unsigned i = 0; i < 3; i++) {
		struct plan p;
		struct conn_record r;
		struct worker_metrics *wm = metrics_worker(m, i);
		record_outbound(&w, "198.19.0.2:3307", &p, &r);
		observe_opened(wm, &r);
		r.up_bytes = i + 1;
		observe_bytes(wm, &r);
		observe_early(wm, EARLY_NO_BUDGET);
		observe_count(wm, COUNT_RETRIES, 2);
	}
	scrape(m, &s);
	size_t lines = 0;
	for (size_t i = 0; i < s.n; i++)
		lines += strcmp(s.samples[i].name, "istio_tcp_received_bytes_total") == 0;
	assert_int_equal(lines, 1);
	assert_int_equal(TOTAL("istio_tcp_received_bytes_total"), 6);
	assert_int_equal(TOTAL("istio_tcp_connections_opened_total"), 3);
	assert_int_equal(TOTAL("hark_early_connections_total", "result", "no-budget"), 3);
	assert_int_equal(TOTAL("hark_connect_retries_total"), 6);
	assert_int_equal(TOTAL("hark_connections", "side", "outbound"), 3);
	scrape_fini(&s);
	metrics_free(m);
	world_fini(&w);
}

/* Names that a person may have written, and worse. */
static void hostile_values(void **state)
{
	static const char *const names[] = {
		"a\"b",     "a\\b",         "a\nb", "\"} 1\nfake_metric{x=\"",
		"\xff\xfe", "\xe2\x82\xac", "",     "caf\xc3"};
	static const char *const shown[] = {"a\"b",
					    "a\\b",
					    "a\nb",
					    "\"} 1\nfake_metric{x=\"",
					    "\xef\xbf\xbd\xef\xbf\xbd",
					    "\xe2\x82\xac",
					    "unknown",
					    "caf\xef\xbf\xbd"};
	(void)state;
	struct world w;
	world_init(&w, "shop", "web-1", observe_yaml);
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		struct plan p;
		struct conn_record r;
		struct scrape s;
		struct metrics *m = metrics_new(1);
		struct worker_metrics *wm = metrics_worker(m, 0);
		record_outbound(&w, "198.19.0.2:3307", &p, &r);
		struct workload hostile = *view_self(w.view);
		hostile.name = names[i];
		r.upstream_workload = &hostile;
		observe_opened(wm, &r);
		observe_bytes(wm, &r);
		scrape(m, &s);
		assert_int_equal(TOTAL("istio_tcp_connections_opened_total", "destination_workload",
				       shown[i]),
				 1);
		scrape_fini(&s);
		metrics_free(m);
	}
	world_fini(&w);
}

/* Past the bound, and with names as long as they get, the sums stay right. */
static void series_are_bounded(void **state)
{
	enum { N = METRICS_MAX_SERIES + 300 };
	(void)state;
	struct world w;
	struct scrape s;
	world_init(&w, "shop", "web-1", observe_yaml);
	struct metrics *m = metrics_new(1);
	struct worker_metrics *wm = metrics_worker(m, 0);
	char filler[400];
	memset(filler, 'x', sizeof(filler));
	for (unsigned i = 0; i < N; i++) {
		struct plan p;
		struct conn_record r;
		char name[500];
		(void)snprintf(name, sizeof(name), "%u%.399s", i, filler);
		record_outbound(&w, "198.19.0.2:3307", &p, &r);
		struct workload long_names = *view_self(w.view);
		long_names.name = long_names.app = long_names.version = name;
		long_names.canonical_name = long_names.canonical_revision = name;
		r.upstream_workload = &long_names;
		observe_opened(wm, &r);
		observe_bytes(wm, &r);
	}
	scrape(m, &s);
	assert_int_equal(TOTAL("istio_tcp_connections_opened_total"), N);
	assert_int_equal(TOTAL("istio_tcp_connections_opened_total", "reporter", "source",
			       "source_workload", "overflow"),
			 300);
	scrape_fini(&s);
	metrics_free(m);
	world_fini(&w);
}

/* A reader beside a writer sees whole series only (the thread sanitizer looks on). */
struct writer {
	struct worker_metrics *wm;
	const struct world *world;
};

static void *write_series(void *arg)
{
	struct writer *writer = arg;
	for (unsigned i = 0; i < 500; i++) {
		struct plan p;
		struct conn_record r;
		char name[16];
		(void)snprintf(name, sizeof(name), "w%u", i);
		record_outbound(writer->world, "198.19.0.2:3307", &p, &r);
		struct workload numbered = *view_self(writer->world->view);
		numbered.name = name;
		r.upstream_workload = &numbered;
		observe_opened(writer->wm, &r);
		r.up_bytes = 1;
		r.end = END_CLIENT_CLOSED;
		observe_closed(writer->wm, &r, NULL);
	}
	return NULL;
}

static void read_while_written(void **state)
{
	(void)state;
	struct world w;
	struct scrape s;
	world_init(&w, "shop", "web-1", observe_yaml);
	struct metrics *m = metrics_new(1);
	struct writer writer = {metrics_worker(m, 0), &w};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, write_series, &writer), 0);
	for (int i = 0; i < 5; i++) {
		scrape(m, &s);
		scrape_fini(&s);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	scrape(m, &s);
	assert_int_equal(TOTAL("istio_tcp_connections_closed_total"), 500);
	assert_int_equal(TOTAL("istio_tcp_received_bytes_total"), 500);
	scrape_fini(&s);
	metrics_free(m);
	world_fini(&w);
}

static void small_buffers(void **state)
{
	(void)state;
	struct metrics *m = metrics_new(1);
	struct metrics_facts facts = {.version = "1"};
	for (size_t max = 0; max < 4000; max += 97) {
		struct buf out;
		buf_init(&out, max);
		assert_false(metrics_render(m, &facts, &out));
		assert_true(buf_len(&out) <= max);
		buf_fini(&out);
	}
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outbound_labels),     cmocka_unit_test(inbound_labels),
		cmocka_unit_test(unmatched_clusters),  cmocka_unit_test(detection_and_times),
		cmocka_unit_test(detection_cut_short), cmocka_unit_test(workers_are_added_up),
		cmocka_unit_test(hostile_values),      cmocka_unit_test(series_are_bounded),
		cmocka_unit_test(read_while_written),  cmocka_unit_test(small_buffers),
	};
	return cmocka_run_group_tests_name("observe/metrics", tests, NULL, NULL);
}
