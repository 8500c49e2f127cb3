/* The whole sidecar in one process, with one fixed destination: endpoints and drain. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/sock.h"
#include "proxy/proxy.h"
#include "proxy/testbed.h"
#include "rest/client.h"

enum { CROWD = 300, ANSWER = 4 << 20 };

static struct proxy_config cfg;
static pthread_t thread;
static int server_fd;
static char admin[64];

static const struct ip loopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};

/* Free a moment ago, and not given to anybody else by the kernel for a while. */
static uint16_t free_port(void)
{
	struct err err;
	struct addr on = {.ip = loopback}, got;
	int fd = net_listen(&on, false, &err);
	assert_true(fd >= 0 && net_local_addr(fd, &got));
	(void)close(fd);
	return got.port;
}

static void *run(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)proxy_run(&cfg);
}

static unsigned get(const char *method, const char *path, struct buf *out)
{
	struct err err = {0};
	unsigned status = 0;
	struct rest_ask ask = {.method = method, .path = path};
	buf_clear(out);
	if (!rest_call(admin, &ask, &status, out, &err))
		return 0;
	return status;
}

static int start(void **state)
{
	struct err err = {0};
	struct addr on = {.ip = loopback};
	struct buf *out = mem_new(sizeof(*out));
	buf_init(out, ANSWER);
	server_fd = net_listen(&on, false, &err);
	assert_true(server_fd >= 0);
	proxy_config_default(&cfg);
	assert_true(net_local_addr(server_fd, &cfg.to));
	cfg.listen = (struct addr){.ip = loopback, .port = free_port()};
	cfg.admin_port = free_port();
	cfg.metrics_port = cfg.health_port = cfg.prometheus_port = 0;
	cfg.workers = 2;
	(void)snprintf(admin, sizeof(admin), "http://127.0.0.1:%u", cfg.admin_port);
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
	uint64_t until = clock_ns() + 10 * NS_PER_S;
	while (get(NULL, "/ready", out) != 200 && clock_ns() < until)
		; /* it is starting */
	*state = out;
	return 0;
}

static int finish(void **state)
{
	void *status = NULL;
	assert_int_equal(pthread_join(thread, &status), 0);
	assert_int_equal((intptr_t)status, EXIT_SUCCESS);
	buf_fini(*state);
	free(*state);
	(void)close(server_fd);
	return 0;
}

static struct peers connect_through(void)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&cfg.listen, &sa);
	struct peers p = {.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(connect(p.client, (struct sockaddr *)&sa, len), 0);
	assert_true(readable_within(server_fd, 10000));
	p.server = accept4(server_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p.server >= 0);
	return p;
}

static bool says(const struct buf *out, const char *text)
{
	return slice_contains(buf_slice(out), slice_of(text));
}

static void endpoints_answer(void **state)
{
	static const struct {
		const char *path;
		unsigned status;
		const char *text;
	} cases[] = {
		{"/ready", 200, "ready"},
		{"/config", 200, "\"mesh\""},
		{"/learned", 200, "\"ports\""},
		{"/connections", 200, "\"total\":0"},
		{"/connections?limit=many", 400, "limit"},
		{"/stats/prometheus", 200, "# TYPE"},
		{"/explain?dst=192.0.2.1:80", 200, "\"unknown-address\""},
		{"/explain?dst=192.0.2.1:80&format=text", 200, "192.0.2.1:80"},
		{"/explain?dst=nowhere:80", 404, "nowhere"},
		{"/explain?dst=nowhere", 400, "port"},
		{"/explain", 400, "dst"},
		{"/explain?inbound=99999", 400, "port"},
		{"/nothing", 404, ""},
	};
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		print_message("%s\n", cases[i].path);
		assert_int_equal(get(NULL, cases[i].path, *state), cases[i].status);
		assert_true(says(*state, cases[i].text));
	}
}

static void connections_of_all_workers_are_listed(void **state)
{
	struct peers crowd[CROWD];
	for (size_t i = 0; i < CROWD; i++)
		crowd[i] = connect_through();
	assert_int_equal(get(NULL, "/connections", *state), 200);
	assert_true(says(*state, "\"shown\":300,\"total\":300"));
	assert_true(says(*state, "{\"state\":\"relay\",\"start_time\""));
	assert_int_equal(get(NULL, "/connections?limit=10", *state), 200);
	assert_true(says(*state, "\"total\":300"));
	for (size_t i = 0; i < CROWD; i++) {
		expect_silence(crowd[i].client); /* no message of ours went astray */
		expect_silence(crowd[i].server);
		say(crowd[i].client, "ping");
		expect(crowd[i].server, "ping");
		peers_close(&crowd[i]);
	}
}

static void draining_serves_on(void **state)
{
	struct peers old = connect_through();
	assert_int_equal(get("POST", "/quitquitquit", *state), 200);
	assert_int_equal(get(NULL, "/ready", *state), 503);
	struct peers fresh = connect_through();
	say(fresh.client, "new");
	expect(fresh.server, "new");
	say(old.server, "old");
	expect(old.client, "old");
	peers_close(&fresh);
	peers_close(&old);
	/* finish() waits for the end, which comes when it has been quiet for a moment. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_answer),
		cmocka_unit_test(connections_of_all_workers_are_listed),
		cmocka_unit_test(draining_serves_on),
	};
	return cmocka_run_group_tests(tests, start, finish);
}
