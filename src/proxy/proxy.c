#include "proxy/proxy.h"

#include <grp.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/sidecar.h"
#include "net/sock.h"
#include "proxy/identity.h"

enum {
	DRAIN_CHECK_MS = 50,
	FIXED_MESH_BYTES = 65536,
	/* While draining new connections are still served, for as long as the news that this
	 * endpoint leaves is spreading: so an instant without any is not yet the end. */
	DRAIN_QUIET_MS = 1000,
};

void proxy_config_default(struct proxy_config *cfg)
{
	const char *ns = getenv("POD_NAMESPACE"), *pod = getenv("POD_NAME");
	const char *dns = getenv(SIDECAR_DNS_ENV);
	*cfg = (struct proxy_config){
		.api = "unix:/run/hark/api.sock",
		.ns = ns ? ns : "default",
		.pod = pod ? pod : "",
		.admin_port = SIDECAR_ADMIN_PORT,
		.metrics_port = SIDECAR_METRICS_PORT,
		.health_port = SIDECAR_HEALTH_PORT,
		.prometheus_port = SIDECAR_PROMETHEUS_PORT,
		.drain_s = UINT_MAX,
		.dns = dns && strcasecmp(dns, "true") == 0,
		.dns_port = SIDECAR_DNS_PORT,
		.resolv_conf = "/etc/resolv.conf",
	};
	own_cert_config_default(&cfg->cert);
}

unsigned proxy_n_conns(const struct proxy *p)
{
	unsigned n = 0;
	for (unsigned i = 0; i < p->setup.n_workers; i++)
		n += worker_n_conns(p->workers[i]);
	return n;
}

bool proxy_ready(const struct proxy *p)
{
	return p->serving && !p->draining && !identity_missing(p) &&
	       (!p->dns || dns_proxy_ready(p->dns));
}

/* The view. */

void proxy_serve(struct proxy *p)
{
	/* Whoever serves already goes on: a connection that needs a certificate says so itself. */
	if (!p->view || (!p->serving && identity_missing(p)))
		return;
	if (!p->serving)
		log_info("proxy", "serving version=%llu",
			 (unsigned long long)view_version(p->view));
	p->serving = true;
	for (unsigned i = 0; i < p->setup.n_workers; i++)
		worker_set_view(p->workers[i], p->view);
}

static void on_view(void *ctx, struct view *view)
{
	struct proxy *p = ctx;
	view_put(p->view);
	p->view = view_get(view);
	if (p->dns)
		dns_proxy_set_view(p->dns, view);
	if (p->names)
		names_set_view(p->names, view);
	admin_view_came(p);
	identity_view_came(p);
	proxy_serve(p);
}

static void on_addresses(void *ctx, const char *name, const struct ip *ips, size_t n)
{
	struct proxy *p = ctx;
	if (p->follow)
		follow_set_addresses(p->follow, name, ips, n);
}

static void on_forget(void *ctx, const char *name)
{
	struct proxy *p = ctx;
	if (p->follow)
		follow_forget_addresses(p->follow, name);
}

/* Without an API all is default, but for the access log: that one has to be asked for. */
static struct object *fixed_mesh(const struct proxy_config *cfg, struct err *err)
{
	struct buf json, mesh;
	struct json_out j;
	buf_init(&json, FIXED_MESH_BYTES);
	buf_init(&mesh, FIXED_MESH_BYTES);
	json_out_init(&j, &mesh); /* JSON is YAML */
	json_open_object(&j, NULL);
	json_cstr(&j, "accessLogFile", cfg->access_log ? cfg->access_log : "");
	json_close(&j);
	json_out_init(&j, &json);
	json_open_object(&j, NULL);
	json_open_object(&j, "metadata");
	json_cstr(&j, "namespace", "istio-system");
	json_cstr(&j, "name", "istio");
	json_close(&j);
	json_open_object(&j, "data");
	json_slice(&j, "mesh", buf_slice(&mesh));
	json_close(&j);
	json_close(&j);
	struct object *o = object_from_json(KIND_CONFIG_MAP, buf_slice(&json), false, err);
	buf_fini(&json);
	buf_fini(&mesh);
	return o;
}

static bool fixed_view(struct proxy *p, struct err *err)
{
	struct object *mesh = fixed_mesh(p->cfg, err);
	if (!mesh)
		return false;
	struct view_builder *b = view_builder_new("", "");
	view_builder_set(b, mesh);
	object_put(mesh);
	struct view *view = view_build(b, p->live);
	on_view(p, view);
	view_put(view);
	view_builder_free(b);
	return true;
}

/* The end. */

static void check_drain(struct timer *t)
{
	struct proxy *p = CONTAINER_OF(t, struct proxy, drain_check);
	uint64_t now = clock_ns();
	unsigned n = proxy_n_conns(p);
	if (n || !p->quiet_since_ns)
		p->quiet_since_ns = now;
	if (now >= p->drain_until_ns || now - p->quiet_since_ns >= DRAIN_QUIET_MS * NS_PER_MS) {
		log_info("proxy", "drained connections_left=%u", n);
		loop_stop(p->loop);
		return;
	}
	timer_set(p->loop, t, DRAIN_CHECK_MS * NS_PER_MS);
}

void proxy_drain(struct proxy *p)
{
	if (p->draining) {
		log_info("proxy", "ends now connections_left=%u", proxy_n_conns(p));
		loop_stop(p->loop);
		return;
	}
	unsigned s = p->cfg->drain_s;
	if (s == UINT_MAX)
		s = p->view ? view_mesh(p->view)->drain_s : 0;
	p->draining = true;
	p->drain_until_ns = clock_ns() + s * NS_PER_S;
	log_info("proxy", "draining connections=%u seconds=%u", proxy_n_conns(p), s);
	p->drain_check.fire = check_drain;
	timer_set(p->loop, &p->drain_check, 0);
}

static void on_signal(struct io *io, uint32_t events)
{
	struct signalfd_siginfo info;
	(void)events; /* only EPOLLIN was asked for */
	if (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		proxy_drain(CONTAINER_OF(io, struct proxy, signals));
}

/* The beginning. */

static void raise_descriptor_limit(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files); /* then it is what it was */
}

/* Ports are bound and nothing later needs a privilege. */
static bool drop_privileges(unsigned uid, struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "no_new_privs");
	if (uid == 0 || geteuid() != 0)
		return true;
	/* Out of the bounding set first, which setuid(2) does not touch. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "drop capability %lu", cap);
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, "become user %u", uid);
	return true;
}

/* An idle sidecar is to cost little: no arena per thread that keeps what it once had, and large
 * blocks go back to the kernel. */
static void tune_malloc(void)
{
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

static unsigned count_workers(unsigned asked)
{
	cpu_set_t cpus;
	unsigned n = asked;
	if (n == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		n = (unsigned)CPU_COUNT(&cpus);
	if (n == 0)
		n = 1;
	return n < MAX_WORKERS ? n : MAX_WORKERS;
}

static void fill_setup(struct proxy *p)
{
	const struct proxy_config *cfg = p->cfg;
	const struct ip any = {0};
	struct worker_setup *s = &p->setup;
	s->n_workers = count_workers(cfg->workers);
	p->metrics = metrics_new(s->n_workers + 1); /* the last one is the DNS proxy's */
	p->tls_sources = mem_new(sizeof(*p->tls_sources));
	s->metrics = p->metrics;
	s->tls_sources = p->tls_sources;
	s->main_loop = p->loop;
	s->fixed_to = cfg->to;
	s->fixed_detect = cfg->detect;
	s->fixed_tls_client = cfg->tls_client;
	s->fixed_tls_server = cfg->tls_server;
	s->fixed_no_resumption = cfg->no_resumption;
	if (cfg->to.port) {
		if (cfg->detect)
			s->fixed_live = live_port_get(p->live, LIVE_OUTBOUND, "", cfg->to.port);
		s->rows[s->n_rows++] = (struct listen_row){LISTEN_FIXED, cfg->listen};
		return;
	}
	s->rows[s->n_rows++] =
		(struct listen_row){LISTEN_OUTBOUND, {.ip = any, .port = SIDECAR_OUTBOUND_PORT}};
	s->rows[s->n_rows++] =
		(struct listen_row){LISTEN_INBOUND, {.ip = any, .port = SIDECAR_INBOUND_PORT}};
}

static bool watch_signals(struct proxy *p, struct err *err)
{
	sigset_t set;
	(void)sigemptyset(&set);                           /* cannot fail */
	(void)sigaddset(&set, SIGTERM);                    /* cannot fail for a real signal */
	(void)sigaddset(&set, SIGINT);                     /* as above */
	(void)signal(SIGPIPE, SIG_IGN);                    /* splice(2) has no MSG_NOSIGNAL */
	MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0); /* the workers inherit it */
	p->signals = (struct io){signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), on_signal};
	if (p->signals.fd < 0)
		return err_sys(err, "signalfd");
	return loop_add(p->loop, &p->signals, EPOLLIN, err);
}

static bool start_workers(struct proxy *p, struct err *err)
{
	for (unsigned i = 0; i < p->setup.n_workers; i++) {
		p->workers[i] = worker_new(&p->setup, i, err);
		if (!p->workers[i] || !worker_start(p->workers[i], err))
			return false;
	}
	return true;
}

static bool make_dns(struct proxy *p, struct err *err)
{
	struct dns_proxy_config cfg = {
		.resolv_conf = p->cfg->resolv_conf,
		.port = p->cfg->dns_port,
		.nameserver_port = 53,
		.metrics = metrics_worker(p->metrics, p->setup.n_workers),
	};
	if (!p->cfg->dns || p->cfg->to.port)
		return true;
	p->dns = dns_proxy_new(&cfg, err);
	if (!p->dns)
		return false;
	p->setup.heard = dns_proxy_heard(p->dns);
	return true;
}

static bool start(struct proxy *p, struct err *err)
{
	static const struct follow_events events = {on_view};
	static const struct names_events names_events = {on_addresses, on_forget};
	const struct proxy_config *cfg = p->cfg;
	if (!(p->loop = loop_new(err)) || !watch_signals(p, err))
		return false;
	p->live = live_new();
	if (!cfg->to.port)
		p->setup.names = p->names = names_new(p->loop, &names_events, p);
	fill_setup(p);
	if (!admin_start(p, err) || !make_dns(p, err) || !drop_privileges(cfg->uid, err) ||
	    !start_workers(p, err) || (p->dns && !dns_proxy_start(p->dns, err)) ||
	    !identity_start(p, err))
		return false;
	if (cfg->to.port)
		return fixed_view(p, err);
	p->follow = follow_new(p->loop, cfg->api, cfg->ns, cfg->pod, p->live, &events, p, err);
	return p->follow != NULL;
}

static void stop(struct proxy *p)
{
	follow_free(p->follow);
	p->follow = NULL;
	for (unsigned i = 0; i < p->setup.n_workers; i++)
		if (p->workers[i])
			worker_stop(p->workers[i]);
	if (p->dns)
		dns_proxy_stop(p->dns);
	/* What workers posted back runs while the endpoints still stand. */
	struct err err = {0};
	if (p->loop && !loop_turn(p->loop, 0, &err))
		log_warn("proxy", "%s", err.text);
	admin_stop(p);
	for (unsigned i = 0; i < p->setup.n_workers; i++)
		worker_free(p->workers[i]);
	dns_proxy_free(p->dns);
	identity_stop(p);
	names_free(p->names); /* the workers are gone, and what they asked has run */
	loop_free(p->loop);
	if (p->signals.fd >= 0)
		(void)close(p->signals.fd); /* nothing to lose */
	view_put(p->view);
	if (p->setup.fixed_live)
		live_port_put(p->setup.fixed_live);
	if (p->live)
		live_free(p->live);
	metrics_free(p->metrics);
	free(p->tls_sources);
}

int proxy_run(const struct proxy_config *cfg)
{
	struct err err = {0};
	struct proxy p = {.cfg = cfg, .signals.fd = -1, .started_wall_ns = clock_wall_ns()};
	tune_malloc();
	tls_memory_init();
	raise_descriptor_limit();
	bool ok = start(&p, &err) && loop_run(p.loop, &err);
	if (!ok)
		log_error("proxy", "%s", err.text);
	stop(&p);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
