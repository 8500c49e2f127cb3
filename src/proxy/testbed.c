#include "proxy/testbed.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "net/sock.h"

enum { LIMIT_MS = 10000 };

enum { CONFIG_MAX = 64 * 1024 };

static const struct addr any_port = {
	.ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}};

static void must_work(bool ok, const struct err *err)
{
	if (!ok)
		fail_msg("%s", err->text);
}

static struct object *mesh_object(const struct testbed_setup *with)
{
	char mesh[512];
	int len = snprintf(mesh, sizeof(mesh), "accessLogFile: \"\"\n%s",
			   with->istio ? with->istio : "");
	assert_in_range(len, 1, sizeof(mesh) - 1);
	struct buf text;
	struct json_out j;
	struct err err = {0};
	buf_init(&text, CONFIG_MAX);
	json_out_init(&j, &text);
	json_open_object(&j, NULL);
	json_cstr(&j, "apiVersion", "v1");
	json_cstr(&j, "kind", "ConfigMap");
	json_open_object(&j, "metadata");
	json_cstr(&j, "name", "istio");
	json_cstr(&j, "namespace", "istio-system");
	json_close(&j);
	json_open_object(&j, "data");
	json_cstr(&j, "mesh", mesh);
	json_cstr(&j, "hark", with->mesh ? with->mesh : "");
	json_close(&j);
	json_close(&j);
	struct object *o = object_from_json(KIND_CONFIG_MAP, buf_slice(&text), true, &err);
	must_work(o != NULL, &err);
	buf_fini(&text);
	return o;
}

struct taken {
	struct post post;
	sem_t done;
};

static void view_is_taken(struct post *p)
{
	(void)sem_post(&CONTAINER_OF(p, struct taken, post)->done); /* cannot overflow */
}

/* Messages keep their order. */
static void wait_for_messages(struct testbed *tb)
{
	for (unsigned i = 0; i < tb->setup.n_workers; i++) {
		struct taken t = {.post.run = view_is_taken};
		assert_int_equal(sem_init(&t.done, 0, 0), 0);
		loop_post(tb->workers[i]->loop, &t.post);
		assert_int_equal(sem_wait(&t.done), 0);
	}
}

void testbed_serve(struct testbed *tb)
{
	struct view *view = view_build(tb->builder, tb->live);
	assert_string_equal(view_builder_problem(tb->builder), "");
	for (unsigned i = 0; i < tb->setup.n_workers; i++)
		worker_set_view(tb->workers[i], view);
	wait_for_messages(tb);
	view_put(view);
}

void testbed_certify(struct testbed *tb, struct mesh_tls *tls)
{
	for (unsigned i = 0; i < tb->setup.n_workers; i++)
		worker_set_tls(tb->workers[i], tls);
	wait_for_messages(tb);
	mesh_tls_put(tls);
}

void testbed_apply(struct testbed *tb, enum kind kind, const char *json, ...)
{
	struct err err = {0};
	char text[4096];
	va_list args;
	va_start(args, json);
	int len = vsnprintf(text, sizeof(text), json, args);
	va_end(args);
	assert_in_range(len, 1, sizeof(text) - 1);
	struct object *o = object_from_json(kind, (struct slice){text, (size_t)len}, false, &err);
	must_work(o != NULL, &err);
	view_builder_set(tb->builder, o);
	object_put(o);
	testbed_serve(tb);
}

static void make_builder(struct testbed *tb, const struct testbed_setup *with)
{
	struct object *o = mesh_object(with);
	tb->live = live_new();
	tb->builder = view_builder_new("default", "test");
	view_builder_set(tb->builder, o);
	object_put(o);
}

static int limited(int fd)
{
	struct timeval limit = {.tv_sec = LIMIT_MS / 1000};
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

static int worker_fd(const struct worker *w)
{
	MUST(w);
	return w->listeners[0].io.fd;
}

static void make_workers(struct testbed *tb)
{
	struct err err = {0};
	for (unsigned i = 0; i < tb->setup.n_workers; i++) {
		tb->workers[i] = worker_new(&tb->setup, i, &err);
		must_work(tb->workers[i] != NULL, &err);
		if (i == 0)
			assert_true(net_local_addr(worker_fd(tb->workers[i]), &tb->through));
		tb->setup.rows[0].on = tb->through; /* the others listen on the same port */
		must_work(worker_start(tb->workers[i], &err), &err);
	}
}

/* FAR: where a second world stands, whose workers end the mesh TLS of this one's. */
static void start_one(struct testbed *tb, const struct testbed_setup *with)
{
	make_builder(tb, with);
	tb->metrics = metrics_new(tb->setup.n_workers);
	tb->tls_sources = mem_new(sizeof(*tb->tls_sources));
	tb->setup.metrics = tb->metrics;
	tb->setup.tls_sources = tb->tls_sources;
	tb->setup.n_rows = 1;
	tb->setup.rows[0] =
		(struct listen_row){with->outbound ? LISTEN_OUTBOUND : LISTEN_FIXED, any_port};
	make_workers(tb);
	if (!with->no_view)
		testbed_serve(tb);
}

static void start_far(struct testbed *tb, const struct testbed_setup *with)
{
	struct testbed *far = tb->far = mem_new(sizeof(*far));
	far->server_fd = -1; /* this one's */
	far->setup.n_workers = tb->setup.n_workers;
	far->setup.fixed_to = tb->setup.fixed_to;
	far->setup.fixed_tls_server = true;
	start_one(far, with);
	testbed_certify(far, testbed_tls(TESTBED_SERVER, CA_DAY_S));
	tb->setup.fixed_to = far->through;
	tb->setup.fixed_tls_client = true;
}

void testbed_start(struct testbed *tb, const struct testbed_setup *with)
{
	struct err err = {0};
	*tb = (struct testbed){.server_fd = net_listen(&any_port, false, &err)};
	must_work(tb->server_fd >= 0, &err);
	assert_true(net_local_addr(tb->server_fd, &tb->setup.fixed_to));
	if (with->no_server) {
		(void)close(tb->server_fd); /* its port refuses from now on */
		tb->server_fd = -1;
	}
	tb->setup.n_workers = with->workers ? with->workers : 1;
	if (with->mesh_tls)
		start_far(tb, with);
	tb->setup.fixed_tls_server = with->tls_server;
	tb->setup.fixed_detect = with->detect;
	tb->setup.fixed_inbound = with->inbound;
	start_one(tb, with);
	if (with->mesh_tls)
		testbed_certify(tb, testbed_tls(TESTBED_CLIENT, CA_DAY_S));
}

static unsigned n_conns(struct testbed *tb)
{
	unsigned n = 0;
	for (unsigned i = 0; i < tb->setup.n_workers; i++)
		n += worker_n_conns(tb->workers[i]);
	return n;
}

void testbed_wait_conns(struct testbed *tb, unsigned n)
{
	uint64_t until = clock_ns() + LIMIT_MS * NS_PER_MS;
	while (n_conns(tb) != n && clock_ns() < until)
		(void)poll(NULL, 0, 1); /* the count is the condition that is waited for */
	assert_int_equal(n_conns(tb), n);
}

void testbed_stop(struct testbed *tb)
{
	testbed_wait_conns(tb, 0);
	if (tb->far) {
		testbed_stop(tb->far);
		MEM_FREE(tb->far);
	}
	for (unsigned i = 0; i < tb->setup.n_workers; i++) {
		worker_stop(tb->workers[i]);
		assert_int_equal(tb->workers[i]->early.n, 0);
		assert_int_equal(tb->workers[i]->tools.pipes.n_lent, 0);
		worker_free(tb->workers[i]);
	}
	if (tb->server_fd >= 0)
		(void)close(tb->server_fd); /* a listener */
	metrics_free(tb->metrics);
	view_builder_free(tb->builder);
	live_free(tb->live);
	free(tb->tls_sources);
}

int testbed_connect(struct testbed *tb)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&tb->through, &sa);
	int fd = limited(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

int testbed_accept(struct testbed *tb)
{
	assert_true(readable_within(tb->server_fd, LIMIT_MS));
	return limited(accept4(tb->server_fd, NULL, NULL, SOCK_CLOEXEC));
}

struct peers testbed_peers(struct testbed *tb)
{
	struct peers p = {.client = testbed_connect(tb)};
	p.server = testbed_accept(tb);
	return p;
}

void peers_close(struct peers *p)
{
	if (p->client >= 0)
		(void)close(p->client); /* the test is done with it */
	if (p->server >= 0)
		(void)close(p->server); /* as above */
	p->client = p->server = -1;
}

void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void expect(int fd, const char *text)
{
	char got[256];
	size_t len = strlen(text), at = 0;
	assert_true(len < sizeof(got));
	while (at < len) {
		ssize_t n = recv(fd, got + at, len - at, 0);
		if (n <= 0)
			fail_msg("\"%s\" expected, %s came", text, n ? strerror(errno) : "end");
		at += (size_t)n;
	}
	assert_memory_equal(got, text, len);
}

void expect_end(int fd)
{
	char byte;
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

void expect_reset(int fd)
{
	char byte;
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

void expect_silence(int fd)
{
	char byte;
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

bool readable_within(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ms) == 1;
}

void reset(int fd)
{
	assert_true(net_reset_on_close(fd));
	assert_int_equal(close(fd), 0);
}

void end(int fd)
{
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

static unsigned char byte_at(const struct stream *s, uint64_t at)
{
	return (unsigned char)(((at + s->seed) * 2654435761u) >> 24 ^ at >> 13);
}

bool stream_send(struct stream *s, int fd, unsigned char *piece, size_t len)
{
	if (s->end - s->at < len)
		len = (size_t)(s->end - s->at);
	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		piece[i] = byte_at(s, s->at + i);
	ssize_t n = send(fd, piece, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n <= 0)
		return false;
	s->at += (size_t)n;
	if (s->at == s->end)
		/* Fails where the other end has reset meanwhile; where it must not have, the bytes
		 * that are missing tell. */
		(void)shutdown(fd, SHUT_WR);
	return true;
}

bool stream_receive(struct stream *s, int fd, unsigned char *piece, size_t len)
{
	ssize_t n = recv(fd, piece, len, MSG_DONTWAIT);
	for (ssize_t i = 0; i < n; i++)
		if (piece[i] != byte_at(s, s->at + (uint64_t)i))
			fail_msg("byte %zu differs", (size_t)(s->at + (uint64_t)i));
	if (n > 0)
		s->at += (size_t)n;
	if (n == 0 && s->at != s->end)
		fail_msg("end after %zu of %zu bytes", (size_t)s->at, (size_t)s->end);
	return n > 0;
}
