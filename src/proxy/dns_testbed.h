/*
 * For unit tests of the DNS proxy: an application in front of it, nameservers behind it, with real sockets.
 *
 *   struct world w;
 *   start(&w, true);                                // its view is there
 *   test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
 *   say(w.app, &m);
 *   asked(&w, &m);                                  // the nameserver
 *   answer_it(&m, &reply), tell_asker(&w, w.udp, &reply);
 *   hear(w.app, &m);
 *   finish(&w);
 *
 * Include <cmocka.h> and what it needs first.
 */
#pragma once
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "dns/fixture.h"
#include "model/view_fixture.h"
#include "nameserver/forward.h"
#include "net/sock.h"
#include "observe/worker.h"
#include "proxy/dns_proxy.h"

enum { WAIT_MS = 60000 };

static const char yaml[] =
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: db, namespace: shop}\n"
	"spec: {clusterIPs: [198.19.0.1], ports: [{port: 3306}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: {name: given, namespace: shop}\n"
	"spec: {hosts: [db.example.net], ports: [{number: 3306, name: tcp}], resolution: DNS}\n"
	"status: {addresses: [{value: 240.240.0.7, host: db.example.net},\n"
	"  {value: '2001:2::7', host: db.example.net}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: {name: wild, namespace: shop}\n"
	"spec: {hosts: ['*.wild.example.net'], addresses: [192.0.2.9], resolution: NONE,\n"
	"  ports: [{number: 3306, name: tcp}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: inner, namespace: shop}\n"
	"spec: {type: ExternalName, externalName: db.shop.svc.cluster.local}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: outer, namespace: shop}\n"
	"spec: {type: ExternalName, externalName: www.example.com}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: loop, namespace: shop}\n"
	"spec: {type: ExternalName, externalName: loop.shop.svc.cluster.local}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: crowd, namespace: shop}\n"
	"spec: {clusterIP: None, ports: [{port: 3306}]}\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: crowd-x, namespace: shop, labels: {kubernetes.io/service-name: crowd}}\n"
	"addressType: IPv4\n"
	"endpoints: [{addresses: [198.18.1.1]}, {addresses: [198.18.1.2]}, {addresses: "
	"[198.18.1.3]}, "
	"{addresses: [198.18.1.4]}, {addresses: [198.18.1.5]}, {addresses: [198.18.1.6]}, "
	"{addresses: [198.18.1.7]}, {addresses: [198.18.1.8]}, {addresses: [198.18.1.9]}, "
	"{addresses: [198.18.1.10]}, {addresses: [198.18.1.11]}, {addresses: [198.18.1.12]}]\n"
	"ports: [{port: 3306}]\n";

struct world {
	struct metrics *metrics;
	struct dns_proxy *proxy;
	struct view *view;
	char conf[64];
	struct addr at;                /* of the proxy */
	int udp, tcp;                  /* the nameserver's, on 127.0.0.1 */
	int other;                     /* another's, of the same port on 127.0.0.2; -1: none */
	int app;                       /* the application's socket, connected to the proxy */
	struct sockaddr_storage asker; /* who asked the nameserver last */
	socklen_t asker_len;
};

static inline struct addr local(uint16_t port)
{
	return (struct addr){.ip = ip_v4(0x7f000001), .port = port};
}

/* A port that is free for both protocols. */
static inline void open_nameserver(struct world *w, uint16_t *port)
{
	struct err err = {0};
	struct addr any = local(0), got;
	do {
		w->udp = net_bind_udp(&any, &err);
		assert_true(w->udp >= 0 && net_local_addr(w->udp, &got));
		w->tcp = net_listen(&got, false, &err);
		if (w->tcp < 0)
			close(w->udp);
	} while (w->tcp < 0);
	*port = got.port;
}

static inline uint16_t free_port(void)
{
	struct world probe;
	uint16_t port;
	open_nameserver(&probe, &port);
	close(probe.udp);
	close(probe.tcp);
	return port;
}

static inline int app_socket(const struct world *w)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&w->at, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

static inline void write_conf(const struct world *w, const char *text)
{
	FILE *f = fopen(w->conf, "we");
	assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static inline void start_with(struct world *w, const char *conf, bool with_view)
{
	struct err err = {0};
	struct dns_proxy_config cfg = {.resolv_conf = w->conf};
	*w = (struct world){.metrics = metrics_new(1), .other = -1};
	strcpy(w->conf, "/tmp/hark-resolv-XXXXXX");
	close(mkstemp(w->conf));
	write_conf(w, conf);
	do {
		if (w->udp) {
			close(w->udp);
			close(w->tcp);
		}
		open_nameserver(w, &cfg.nameserver_port);
		struct addr on = {.ip = ip_v4(0x7f000002), .port = cfg.nameserver_port};
		w->other = net_bind_udp(&on, &err);
	} while (w->other < 0);
	cfg.metrics = metrics_worker(w->metrics, 0);
	do {
		cfg.port = free_port();
		w->proxy = dns_proxy_new(&cfg, &err);
	} while (!w->proxy && err.sys == EADDRINUSE);
	assert_non_null(w->proxy);
	assert_true(dns_proxy_start(w->proxy, &err));
	w->at = local(cfg.port);
	w->app = app_socket(w);
	w->view = test_view("shop", "client", yaml);
	if (!with_view)
		return;
	dns_proxy_set_view(w->proxy, w->view);
	while (!dns_proxy_ready(w->proxy))
		usleep(100);
}

static inline void start(struct world *w, bool with_view)
{
	start_with(w, "nameserver 127.0.0.1\nsearch shop.svc.cluster.local cluster.local\n",
		   with_view);
}

static inline void finish(struct world *w)
{
	dns_proxy_stop(w->proxy);
	dns_proxy_free(w->proxy);
	view_put(w->view);
	metrics_free(w->metrics);
	unlink(w->conf);
	close(w->udp);
	if (w->tcp >= 0)
		close(w->tcp);
	close(w->other);
	close(w->app);
}

static inline void readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static inline void hear(int fd, struct test_message *m)
{
	readable(fd);
	ssize_t n = recv(fd, m->at, sizeof(m->at), 0);
	assert_true(n > 0);
	m->len = (size_t)n;
}

static inline void say(int fd, const struct test_message *m)
{
	assert_int_equal(send(fd, m->at, m->len, 0), m->len);
}

static inline void asked_at(struct world *w, int fd, struct test_message *m)
{
	readable(fd);
	w->asker_len = sizeof(w->asker);
	ssize_t n =
		recvfrom(fd, m->at, sizeof(m->at), 0, (struct sockaddr *)&w->asker, &w->asker_len);
	assert_true(n > 0);
	m->len = (size_t)n;
}

/* What the nameserver is asked. */
static inline void asked(struct world *w, struct test_message *m)
{
	asked_at(w, w->udp, m);
}

/* The same of either; which one that was. */
static inline int asked_one(struct world *w, struct test_message *m)
{
	struct pollfd p[] = {{.fd = w->udp, .events = POLLIN}, {.fd = w->other, .events = POLLIN}};
	assert_true(poll(p, 2, WAIT_MS) > 0);
	int fd = p[0].revents ? w->udp : w->other;
	asked_at(w, fd, m);
	return fd;
}

static inline bool is_silent(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, 0) == 0;
}

static inline void tell_asker(struct world *w, int fd, const struct test_message *m)
{
	/* a socket that the proxy has closed meanwhile refuses it: that is fine where spoofing is played */
	(void)sendto(fd, m->at, m->len, 0, (struct sockaddr *)&w->asker, w->asker_len);
}

static inline unsigned id_of(const struct test_message *m)
{
	return (unsigned)(unsigned char)m->at[0] << 8 | (unsigned char)m->at[1];
}

static inline unsigned flags_of(const struct test_message *m)
{
	return (unsigned)(unsigned char)m->at[2] << 8 | (unsigned char)m->at[3];
}

static inline uint64_t counted(const struct world *w, enum observe_counter counter)
{
	return counter_get(&w->metrics->workers[0].numbers.of.counters[counter]);
}

/* An answer to M with one address. */
static inline void answer_it(const struct test_message *m, struct test_message *out)
{
	struct dns_query q;
	assert_int_equal(dns_query_read(test_bytes(m), &q), DNS_QUESTION);
	test_query(out, q.id, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA, q.name, q.type);
	test_record(out, DNS_ANSWER, q.type, 60, SLICE("\x0a\1\2\3"));
}

/* The address in an answer with the name's own record; 0: none. */
static inline uint32_t address_in(const struct test_message *m)
{
	struct dns_walk w;
	struct dns_question q;
	struct dns_record rr;
	assert_true(dns_walk_start(&w, test_bytes(m)) && dns_walk_question(&w, &q));
	while (dns_walk_record(&w, &rr))
		if (rr.type == DNS_A) {
			struct reader r = reader_of(rr.rdata);
			return read_u32(&r);
		}
	return 0;
}

static inline int tcp_app(const struct world *w)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&w->at, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

static inline void tcp_say(int fd, const struct test_message *m)
{
	struct test_message framed = {.len = 0};
	test_u16(&framed, (unsigned)m->len);
	test_put(&framed, test_bytes(m));
	say(fd, &framed);
}

static inline void tcp_read(int fd, char *out, size_t len)
{
	for (size_t at = 0; at < len;) {
		readable(fd);
		ssize_t n = recv(fd, &out[at], len - at, 0);
		assert_true(n > 0);
		at += (size_t)n;
	}
}

static inline void tcp_hear(int fd, struct test_message *m)
{
	unsigned char len[2];
	tcp_read(fd, (char *)len, 2);
	m->len = (size_t)len[0] << 8 | len[1];
	tcp_read(fd, m->at, m->len);
}

static inline int tcp_asked(struct world *w, struct test_message *m)
{
	readable(w->tcp);
	int fd = accept4(w->tcp, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	tcp_hear(fd, m);
	return fd;
}
