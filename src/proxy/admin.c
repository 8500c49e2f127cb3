/* The endpoints: admin on loopback, metrics and health on all addresses. */
#include "observe/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "net/sock.h"
#include "proxy/identity.h"

enum {
	ANSWER_BYTES = 64 << 20, /* of one answer, at most */
	BODY_BYTES = 64 * 1024,
	OTHERS_IDLE_MS = 5000,
	EXPLAIN_WAIT_MS = 3000, /* for names */
};

static const char json_type[] = "application/json";

static void answer(struct rest_reply *reply, const char *type, struct buf *out, bool whole)
{
	if (whole)
		rest_reply_full(reply, 200, type, buf_slice(out));
	else
		rest_reply_text(reply, 500, "longer than %d bytes", ANSWER_BYTES);
	buf_fini(out);
}

static void get_ready(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	(void)req; /* takes no parameters */
	if (proxy_ready(p))
		rest_reply_text(reply, 200, "ready");
	else if (p->draining)
		rest_reply_text(reply, 503, "draining");
	else if (!p->view)
		rest_reply_text(reply, 503, "no configuration yet");
	else
		rest_reply_text(reply, 503, "no certificate yet: %s",
				p->cert ? own_cert_problem(p->cert) : "no authority is known");
}

static void get_metrics(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	(void)req; /* takes no parameters */
	struct metrics_facts facts = {
		.version = HARK_VERSION,
		.config_version = p->view ? view_version(p->view) : 0,
		.api_connected = p->follow && follow_connected(p->follow),
		.start_time_s = (double)p->started_wall_ns / (double)NS_PER_S,
	};
	struct buf out;
	buf_init(&out, ANSWER_BYTES);
	bool whole = metrics_render(p->metrics, &facts, &out) &&
		     (!p->cert || own_cert_metrics(p->cert, &out));
	answer(reply, METRICS_CONTENT_TYPE, &out, whole);
}

static void get_config(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	(void)req; /* takes no parameters */
	if (!p->view) {
		rest_reply_text(reply, 503, "no configuration yet");
		return;
	}
	struct buf out;
	buf_init(&out, ANSWER_BYTES);
	bool whole = admin_config_json(p->view, &out);
	answer(reply, json_type, &out, whole);
}

static void get_learned(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	(void)req; /* takes no parameters */
	struct buf out;
	buf_init(&out, ANSWER_BYTES);
	bool whole = admin_learned_json(p->live, &out);
	answer(reply, json_type, &out, whole);
}

/* The metrics' port is open to all: only the Pod's own containers end its sidecar. */
static void quit(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	if (!req->from_loopback) {
		rest_reply_text(reply, 403, "only for this Pod, by way of localhost");
		return;
	}
	rest_reply_text(reply, 200, "draining");
	proxy_drain(ctx);
}

/* explain */

/* What was asked about, as far as a plan borrows from it. */
struct asked {
	char named[DNS_HEARD_NAME_MAX +
		   1]; /* a host that no address tells, whose address nobody knows */
	struct dns_heard_name room;
};

/* HOST is one that no address tells: what DNS said of it lately; else the name is all that is known. Where its
 * clients say whom they mean, that counts in either case. */
static bool find_named(const struct outbound_facts *facts, const struct view *v, struct slice host,
		       struct addr *out, struct asked *asked)
{
	if (!view_open_host(v, host, 0) || host.len >= sizeof(asked->named))
		return false;
	const struct view_port *port = view_open_host(v, host, out->port);
	bool heard = dns_heard_ip(facts->heard, host, facts->now_ns, &out->ip);
	if (!heard)
		out->ip = (struct ip){0};
	if (!heard || (port && protocol_names_host(port->protocol)))
		memcpy(asked->named, host.at, host.len);
	return true;
}

/* HOST:PORT, where HOST is an address or a name of the mesh. False: REPLY is answered. */
static bool find_dst(const struct view *v, struct slice dst, struct outbound_facts *facts,
		     struct asked *asked, struct rest_reply *reply)
{
	struct addr *out = &facts->dst;
	if (addr_parse(dst, out))
		return true;
	struct slice port = dst, host = slice_cut(&port, ':');
	uint64_t n = 0;
	if (!slice_to_u64(port, UINT16_MAX, &n) || n == 0) {
		rest_reply_text(reply, 400, "\"%.*s\": expected HOST:PORT, with a port 1..65535",
				SLICE_FMT(dst));
		return false;
	}
	out->port = (uint16_t)n;
	if (slice_eq_nocase(host, SLICE("localhost")))
		return ip_parse(SLICE("127.0.0.1"), &out->ip);
	if (view_resolve(v, host, &out->ip, 1) == 0 && !find_named(facts, v, host, out, asked)) {
		rest_reply_text(reply, 404,
				"no Service, Pod or ServiceEntry that the workload knows has the "
				"name \"%.*s\": ask about the address, as IP:PORT",
				SLICE_FMT(host));
		return false;
	}
	return true;
}

static bool plan_inbound(const struct proxy *p, const struct rest_request *req, struct slice port,
			 struct plan *plan, struct rest_reply *reply)
{
	struct inbound_facts facts = {0};
	const struct workload *self = view_self(p->view);
	struct slice src = rest_query(req, "src");
	uint64_t n = 0;
	if (!slice_to_u64(port, UINT16_MAX, &n) || n == 0) {
		rest_reply_text(reply, 400, "inbound: expected a port number");
		return false;
	}
	if (src.at && !ip_parse(src, &facts.src.ip)) {
		rest_reply_text(reply, 400, "src: expected an IP address");
		return false;
	}
	if (!self) {
		rest_reply_text(reply, 503, "the own Pod is not known yet");
		return false;
	}
	const struct pod *pod = self->pod->pod;
	bool v6 = !pod->has_ip[IP_V4];
	facts.dst = (struct addr){.ip = pod->ip[v6 ? IP_V6 : IP_V4], .port = (uint16_t)n};
	facts.source_speaks_tls = tls_sources_has(p->tls_sources, &facts.src.ip);
	decide_inbound(p->view, &facts, plan);
	return true;
}

/* As the capture rules have it. */
static bool is_localhost(const struct ip *ip)
{
	const struct ip v4 = ip_v4(0x7f000001), v6 = {{[15] = 1}};
	return ip_eq(ip, &v4) || ip_eq(ip, &v6);
}

/* The plan that REQ asks about; false: REPLY is answered. */
static bool explained(struct proxy *p, const struct rest_request *req, struct plan *plan,
		      struct asked *asked, struct rest_reply *reply)
{
	struct slice dst = rest_query(req, "dst"), port = rest_query(req, "inbound");
	*asked = (struct asked){0};
	struct outbound_facts facts = {
		.heard = p->setup.heard, .now_ns = clock_ns(), .room = &asked->room};
	if (!p->view) {
		rest_reply_text(reply, 503, "no configuration yet");
		return false;
	}
	if (!dst.at == !port.at) {
		rest_reply_text(reply, 400, "expected dst=HOST:PORT, or inbound=PORT with src=IP");
		return false;
	}
	if (port.at)
		return plan_inbound(p, req, port, plan, reply);
	if (!find_dst(p->view, dst, &facts, asked, reply))
		return false;
	if (is_localhost(&facts.dst.ip) && !view_listener_at(p->view, &facts.dst)) {
		rest_reply_text(
			reply, 404,
			"localhost is not captured: such a connection goes past the sidecar, "
			"and no Sidecar has an egress listener there");
		return false;
	}
	decide_outbound(p->view, &facts, plan);
	if (asked->named[0] &&
	    (plan->open || ip_is_any(&facts.dst.ip))) { /* as if the client said so */
		plan->said = asked->named;
		plan->said_by = SAID_EITHER;
		decide_outbound_word(p->view, plan,
				     &(struct outbound_word){asked->named, SAID_EITHER});
	}
	return true;
}

static void answer_explain(struct proxy *p, const struct rest_request *req, const struct plan *plan,
			   struct rest_reply *reply)
{
	struct buf out;
	struct json_out j;
	buf_init(&out, ANSWER_BYTES);
	if (slice_is(rest_query(req, "format"), "text")) {
		bool whole = plan_explain_text(p->view, plan, &out);
		answer(reply, "text/plain", &out, whole);
		return;
	}
	json_out_init(&j, &out);
	plan_explain_json(p->view, plan, &j);
	answer(reply, json_type, &out, !out.full);
}

/* A question that waits for names to be resolved, as a connection would. */
struct explaining {
	struct proxy *proxy;
	const struct rest_request *req;
	struct rest_reply *reply;
	struct timer timer;
	TAILQ_ENTRY(explaining) link;
};

static void explaining_free(struct explaining *x)
{
	timer_cancel(x->proxy->loop, &x->timer);
	TAILQ_REMOVE(&x->proxy->explaining, x, link);
	free(x);
}

static void on_gone(void *ctx, struct rest_reply *reply)
{
	(void)reply; /* the one we have */
	explaining_free(ctx);
}

/* FINALLY: whatever the answer is. */
static void explain_again(struct explaining *x, bool finally)
{
	struct plan plan;
	struct asked asked;
	struct rest_reply *reply = x->reply;
	if (explained(x->proxy, x->req, &plan, &asked, reply)) {
		if (plan.action == PLAN_WAIT && !finally)
			return;
		answer_explain(x->proxy, x->req, &plan, reply);
	}
	explaining_free(x);
}

static void on_patience_over(struct timer *t)
{
	explain_again(CONTAINER_OF(t, struct explaining, timer), true);
}

void admin_view_came(struct proxy *p)
{
	struct explaining *x, *next;
	TAILQ_FOREACH_SAFE (x, &p->explaining, link, next)
		explain_again(x, false);
}

static void get_explain(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	struct plan plan;
	struct asked asked;
	if (!explained(p, req, &plan, &asked, reply))
		return;
	if (plan.action != PLAN_WAIT || !p->names) {
		answer_explain(p, req, &plan, reply);
		return;
	}
	struct explaining *x = mem_new(sizeof(*x));
	*x = (struct explaining){.proxy = p, .req = req, .reply = reply};
	x->timer.fire = on_patience_over;
	TAILQ_INSERT_TAIL(&p->explaining, x, link);
	rest_reply_on_gone(reply, on_gone, x);
	timer_set(p->loop, &x->timer, EXPLAIN_WAIT_MS * NS_PER_MS);
	names_ask(p->names, p->view, plan.host, plan_means_host(&plan), clock_ns());
}

/* Which server has which endpoint. */

enum { ON_ADMIN = 1, ON_METRICS = 2, ON_HEALTH = 4 };

static const struct {
	const char *method, *path;
	rest_handler *handler;
	unsigned on;
} routes[] = {
	{"GET", "/config", get_config, ON_ADMIN},
	{"GET", "/connections", list_connections, ON_ADMIN},
	{"GET", "/learned", get_learned, ON_ADMIN},
	{"GET", "/explain", get_explain, ON_ADMIN},
	{"GET", "/dns", list_names, ON_ADMIN},
	{"GET", "/certs", identity_get_certs, ON_ADMIN},
	{"POST", "/certs/rotate", identity_post_rotate, ON_ADMIN},
	{"GET", "/ready", get_ready, ON_ADMIN},
	{"GET", "/healthz/ready", get_ready, ON_METRICS | ON_HEALTH},
	{"GET", "/stats/prometheus", get_metrics, ON_ADMIN | ON_METRICS},
	{"GET", "/metrics", get_metrics, ON_METRICS},
	{"POST", "/quitquitquit", quit, ON_ADMIN | ON_METRICS},
};

static struct rest_server *serve(struct proxy *p, const char *name, unsigned which)
{
	/* Small: these are for people and probes. What other Pods can reach is not held open for
	 * them: a probe must find a place. */
	struct rest_limits limits = {.body_bytes = BODY_BYTES, .connections = 64};
	if (which != ON_ADMIN)
		limits.request_ms = limits.idle_ms = OTHERS_IDLE_MS;
	struct rest_server *s = rest_server_new(p->loop, name, &limits);
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (routes[i].on & which)
			rest_route(s, routes[i].method, routes[i].path, routes[i].handler, p);
	return s;
}

static bool listen_on(struct rest_server *s, struct addr on, struct err *err)
{
	if (on.port == 0)
		return true;
	int fd = net_listen(&on, false, err);
	if (fd < 0 && ip_is_any(&on.ip) && !ip_is_v4(&on.ip)) { /* a kernel without IPv6 */
		on.ip = ip_v4(0);
		fd = net_listen(&on, false, err);
	}
	return fd >= 0 && rest_server_listen_fd(s, fd, err);
}

bool admin_start(struct proxy *p, struct err *err)
{
	const struct proxy_config *cfg = p->cfg;
	const struct ip loopback = ip_v4(0x7f000001), any = {0};
	TAILQ_INIT(&p->explaining);
	p->admin = serve(p, "admin", ON_ADMIN);
	p->metrics_server = serve(p, "metrics", ON_METRICS);
	p->health = serve(p, "health", ON_HEALTH);
	return listen_on(p->admin, (struct addr){.ip = loopback, .port = cfg->admin_port}, err) &&
	       listen_on(p->metrics_server, (struct addr){.ip = any, .port = cfg->metrics_port},
			 err) &&
	       listen_on(p->metrics_server, (struct addr){.ip = any, .port = cfg->prometheus_port},
			 err) &&
	       listen_on(p->health, (struct addr){.ip = any, .port = cfg->health_port}, err);
}

void admin_stop(struct proxy *p)
{
	if (p->admin)
		rest_server_free(p->admin);
	if (p->metrics_server)
		rest_server_free(p->metrics_server);
	if (p->health)
		rest_server_free(p->health);
}
