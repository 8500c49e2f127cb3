#include "sandbox/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "model/sidecar.h"
#include "net/addr.h"
#include "net/sock.h"
#include "sandbox/exec.h"
#include "sandbox/netns.h"

enum {
	ANSWER_MAX = 16 * 1024, /* of an HTTP answer only the first line counts */
	PROBE_FIRST_MS = 10,
};

enum attempt {
	ATTEMPT_NONE,    /* waiting for the timer */
	ATTEMPT_CONNECT, /* TCP: that is all; HTTP: then the request */
	ATTEMPT_ANSWER,
	ATTEMPT_EXEC,
};

struct prober {
	struct node *node;
	const struct pod_net *pod;
	struct arena *arena; /* the spec's copies */
	struct probe_spec spec;
	const char *container_id;
	struct slice request;
	char target[2 * ADDR_TEXT]; /* for messages */

	enum attempt attempt;
	struct io io;
	struct exec *exec;
	struct timer next, timeout;
	struct buf answer;

	bool ready, was_ready;
	unsigned successes, failures; /* in a row */
	unsigned pause_ms;            /* of the startup */
	char why[256], told[256];     /* the last failure, and the one that CHANGE was told of */
	probe_change_fn *change;
	void *ctx;
	struct deferred free_later;
};

static void begin(struct timer *t);

static void end_attempt(struct prober *p)
{
	if (p->attempt == ATTEMPT_CONNECT || p->attempt == ATTEMPT_ANSWER) {
		loop_del(p->node->loop, &p->io);
		(void)close(p->io.fd); /* what it had to say is read */
	}
	buf_clear(&p->answer);
	timer_cancel(p->node->loop, &p->timeout);
	p->attempt = ATTEMPT_NONE;
}

/* Short pauses at first, since many a server is there within a few milliseconds; a command costs too
 * much for that. */
static uint64_t startup_pause(struct prober *p)
{
	p->pause_ms = p->pause_ms ? 2 * p->pause_ms : PROBE_FIRST_MS;
	if (p->pause_ms > PROBE_STARTUP_MS || p->spec.kind == PROBE_EXEC)
		p->pause_ms = PROBE_STARTUP_MS;
	return p->pause_ms * NS_PER_MS;
}

/* Whoever waits for a server that never gets ready has to know what is wrong with it, too. */
static bool fails_anew(const struct prober *p)
{
	return !p->ready && p->failures >= p->spec.failure_threshold &&
	       strcmp(p->told, p->why) != 0;
}

/* WHY NULL: success. The last thing that an event does: the callback may free P. */
static void conclude(struct prober *p, const char *why)
{
	end_attempt(p);
	bool before = p->ready;
	if (why) {
		(void)snprintf(p->why, sizeof(p->why), "%s: %s", p->target,
			       why); /* cut short is fine */
		p->successes = 0;
		if (++p->failures >= p->spec.failure_threshold)
			p->ready = false;
	} else {
		p->failures = 0;
		if (++p->successes >= p->spec.success_threshold)
			p->ready = p->was_ready = true;
	}
	timer_set(p->node->loop, &p->next,
		  p->was_ready ? p->spec.period_s * NS_PER_S : startup_pause(p));
	if (p->ready == before && !fails_anew(p))
		return;
	MUST(snprintf(p->told, sizeof(p->told), "%s", p->ready ? "" : p->why) <
	     (int)sizeof(p->told));
	p->change(p->ctx, p->ready, p->told);
}

static void on_timeout(struct timer *t)
{
	struct prober *p = CONTAINER_OF(t, struct prober, timeout);
	char why[64];
	MUST(snprintf(why, sizeof(why), "no answer within %u s", p->spec.timeout_s) <
	     (int)sizeof(why));
	conclude(p, why);
}

/* HTTP. */

/* "HTTP/1.1 200 OK": 200 to 399 is success, as kubelet sees it. NULL for that, else why not. */
static const char *judge(struct slice answer, char *text, size_t len)
{
	uint64_t code = 0;
	struct slice line = slice_trim(slice_cut(&answer, '\n'));
	struct slice version = slice_cut(&line, ' ');
	if (!slice_starts(version, SLICE("HTTP/1.")) ||
	    !slice_to_u64(slice_cut(&line, ' '), 999, &code))
		return "what it answers is not HTTP/1";
	if (code >= 200 && code < 400)
		return NULL;
	MUST(snprintf(text, len, "status %u", (unsigned)code) < (int)len);
	return text;
}

/* The answer is read to its end, so that the server is not cut off in the middle of it. */
static void read_answer(struct prober *p)
{
	char text[32];
	for (;;) {
		size_t room = 0;
		char *to = buf_reserve(&p->answer, 1, &room);
		ssize_t n = to ? read(p->io.fd, to, room) : 0;
		if (n > 0) {
			buf_commit(&p->answer, (size_t)n);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		struct slice answer = buf_slice(&p->answer);
		if (n < 0 && slice_find(answer, '\n') == answer.len)
			conclude(p, strerror(errno));
		else
			conclude(p, judge(answer, text, sizeof(text)));
		return;
	}
}

static void on_connected(struct prober *p)
{
	struct err err = {0};
	int failed = net_connect_result(p->io.fd);
	if (failed) {
		conclude(p, strerror(failed));
	} else if (p->spec.kind == PROBE_TCP) {
		conclude(p, NULL);
	} else if (send(p->io.fd, p->request.at, p->request.len, MSG_NOSIGNAL) !=
		   (ssize_t)p->request.len) {
		conclude(p, strerror(errno)); /* a request fits into an empty socket buffer */
	} else if (!loop_mod(p->node->loop, &p->io, EPOLLIN, &err)) {
		conclude(p, err.text);
	} else {
		p->attempt = ATTEMPT_ANSWER;
	}
}

static void on_ready(struct io *io, uint32_t events)
{
	(void)events; /* the calls tell what happened */
	struct prober *p = CONTAINER_OF(io, struct prober, io);
	if (p->attempt == ATTEMPT_CONNECT)
		on_connected(p);
	else
		read_answer(p);
}

/* Attempts. */

static bool start_connect(struct prober *p, struct err *err)
{
	bool v4 = !ip_is_any(&p->pod->v4);
	struct addr to = {.ip = v4 ? p->pod->v4 : p->pod->v6, .port = p->spec.port};
	struct addr from = {.ip = sidecar_source(v4)};
	struct sockaddr_storage sa;
	int on = 1;
	int fd = netns_socket(p->pod->netns_fd, v4 ? AF_INET : AF_INET6, SOCK_STREAM, err);
	if (fd < 0)
		return false;
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
		on = 0; /* then the port is drawn at bind: no difference for one connection */
	socklen_t len = addr_to_sockaddr(&from, &sa);
	bool ok = bind(fd, (struct sockaddr *)&sa, len) == 0 || err_sys(err, "bind");
	len = addr_to_sockaddr(&to, &sa);
	if (ok && connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		ok = err_set(err, ERR_SYS, "%s", strerror(errno));
	p->io = (struct io){fd, on_ready};
	ok = ok && loop_add(p->node->loop, &p->io, EPOLLOUT, err);
	if (!ok) {
		(void)close(fd); /* never used */
		return false;
	}
	p->attempt = ATTEMPT_CONNECT;
	timer_set(p->node->loop, &p->timeout, p->spec.timeout_s * NS_PER_S);
	return true;
}

static void on_exec(void *ctx, int code, const struct err *err)
{
	struct prober *p = ctx;
	char why[64];
	p->exec = NULL;
	if (err) {
		conclude(p, err->text);
		return;
	}
	MUST(snprintf(why, sizeof(why), "exit status %d", code) < (int)sizeof(why));
	conclude(p, code == 0 ? NULL : why);
}

static bool start_exec(struct prober *p, struct err *err)
{
	p->exec = exec_start(p->node, p->container_id, p->spec.argv, p->spec.timeout_s * NS_PER_S,
			     on_exec, p, err);
	if (p->exec)
		p->attempt = ATTEMPT_EXEC;
	return p->exec != NULL;
}

static void begin(struct timer *t)
{
	struct prober *p = CONTAINER_OF(t, struct prober, next);
	struct err err = {0};
	bool ok = p->spec.kind == PROBE_EXEC ? start_exec(p, &err) : start_connect(p, &err);
	if (!ok)
		conclude(p, err.text);
}

/* Making one. */

void probe_spec_init(struct probe_spec *spec)
{
	*spec = (struct probe_spec){
		.period_s = 10, .timeout_s = 1, .success_threshold = 1, .failure_threshold = 3};
}

static bool clean_line(const char *s)
{
	return strpbrk(s, "\r\n") == NULL;
}

static bool make_request(struct prober *p, const struct probe_spec *spec, struct err *err)
{
	const char *path = spec->path && *spec->path ? spec->path : "/";
	char at[ADDR_TEXT];
	struct addr to = {.ip = ip_is_any(&p->pod->v4) ? p->pod->v6 : p->pod->v4,
			  .port = spec->port};
	const char *host = spec->host ? spec->host : addr_text(&to, at);
	if (!clean_line(path) || !clean_line(host) || strchr(path, ' '))
		return err_set(err, ERR_BAD_INPUT, "httpGet: path and host are one word each");
	struct buf out;
	buf_init(&out, ANSWER_MAX);
	(void)buf_printf(&out, "GET %s%s HTTP/1.1\r\nHost: %s\r\n", *path == '/' ? "" : "/", path,
			 host); /* full: seen last */
	bool agent = false, ok = true;
	for (size_t i = 0; i < spec->n_headers && ok; i++) {
		const char *name = spec->headers[i].key, *value = spec->headers[i].value;
		ok = clean_line(name) && clean_line(value) && !strchr(name, ':');
		agent = agent || slice_eq_nocase(slice_of(name), SLICE("User-Agent"));
		(void)buf_printf(&out, "%s: %s\r\n", name, value); /* as above */
	}
	(void)buf_printf(&out, "%sAccept: */*\r\nConnection: close\r\n\r\n",
			 agent ? "" : "User-Agent: hark-probe\r\n"); /* as above */
	if (!ok || out.full)
		ok = err_set(err, ERR_BAD_INPUT, "httpGet: headers that cannot be sent");
	p->request = arena_dup_slice(p->arena, buf_slice(&out));
	buf_fini(&out);
	return ok;
}

static bool take_spec(struct prober *p, const struct probe_spec *spec, struct err *err)
{
	char at[ADDR_TEXT];
	struct addr to = {.ip = ip_is_any(&p->pod->v4) ? p->pod->v6 : p->pod->v4,
			  .port = spec->port};
	p->spec = *spec;
	p->spec.headers = NULL; /* they are in the request */
	p->spec.timeout_s = spec->timeout_s ? spec->timeout_s : 1;
	p->spec.period_s = spec->period_s ? spec->period_s : 10;
	p->spec.success_threshold = spec->success_threshold ? spec->success_threshold : 1;
	p->spec.failure_threshold = spec->failure_threshold ? spec->failure_threshold : 3;
	if (spec->kind == PROBE_EXEC) {
		size_t n = 0;
		while (spec->argv && spec->argv[n])
			n++;
		if (n == 0)
			return err_set(err, ERR_BAD_INPUT, "exec: no command");
		const char **argv = arena_array(p->arena, n + 1, sizeof(*argv));
		for (size_t i = 0; i < n; i++)
			argv[i] = arena_dup(p->arena, slice_of(spec->argv[i]));
		p->spec.argv = argv;
		MUST(snprintf(p->target, sizeof(p->target), "exec %.60s", argv[0]) <
		     (int)sizeof(p->target));
		return true;
	}
	if (spec->kind == PROBE_NONE || spec->port == 0)
		return err_set(err, ERR_BAD_INPUT, "no port");
	MUST(snprintf(p->target, sizeof(p->target), "%s %s",
		      spec->kind == PROBE_TCP ? "tcp" : "http",
		      addr_text(&to, at)) < (int)sizeof(p->target));
	return spec->kind != PROBE_HTTP || make_request(p, spec, err);
}

static void destroy(struct deferred *d)
{
	struct prober *p = CONTAINER_OF(d, struct prober, free_later);
	buf_fini(&p->answer);
	arena_free(p->arena);
	free(p);
}

struct prober *prober_start(struct node *node, const struct pod_net *pod, const char *container_id,
			    const struct probe_spec *spec, probe_change_fn *change, void *ctx,
			    struct err *err)
{
	struct prober *p = mem_new(sizeof(*p));
	*p = (struct prober){.node = node,
			     .pod = pod,
			     .arena = arena_new(),
			     .next.fire = begin,
			     .timeout.fire = on_timeout,
			     .change = change,
			     .ctx = ctx};
	buf_init(&p->answer, ANSWER_MAX);
	p->container_id = arena_dup(p->arena, slice_of(container_id));
	if (!take_spec(p, spec, err)) {
		(void)err_wrap(err, "readinessProbe"); /* NULL says so too */
		destroy(&p->free_later);
		return NULL;
	}
	timer_set(node->loop, &p->next, p->spec.initial_delay_s * NS_PER_S);
	return p;
}

const char *prober_last_failure(const struct prober *p)
{
	return p->why;
}

void prober_free(struct prober *p)
{
	if (!p)
		return;
	if (p->exec)
		exec_cancel(p->exec);
	end_attempt(p);
	timer_cancel(p->node->loop, &p->next);
	p->free_later.run = destroy;
	loop_defer(p->node->loop, &p->free_later);
}
