/*
 * The load of every benchmark: one thread, one epoll, both ends.
 *
 *   load serve  PORT echo|source|sink|greet        a server on 127.0.0.1 (until SIGTERM)
 *   load rr     TO CONNS SIZE SECONDS [RATE]       requests of SIZE bytes, echoed back; RATE: so
 * many a second in all, else as fast as it goes load bulk   TO STREAMS SECONDS pull|push one-way
 * streams from a `source` or into a `sink` load conn   TO CONNS SIZE SECONDS              connect,
 * one exchange, close; CONNS at a time load greet  TO COUNT                           connect, wait
 * for the first byte, close; one after the other load idle   TO CONNS opens CONNS, says "ready",
 * holds them until standard input ends
 *
 * Prints one line of JSON: units done, bytes, seconds, latency in microseconds (p50, p99, p999,
 * max), errors.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/sock.h"

enum { CHUNK = 256 * 1024, EVENTS = 256, BUCKETS_PER_DOUBLING = 32, DOUBLINGS = 40 };

/* Latencies in a histogram of 32 buckets per doubling: 3 % wide at most, no allocation while
 * measuring. */
struct latency {
	uint64_t counts[DOUBLINGS * BUCKETS_PER_DOUBLING];
	uint64_t n, max_ns;
};

static void latency_add(struct latency *l, uint64_t ns)
{
	double at = ns ? log2((double)ns) * BUCKETS_PER_DOUBLING : 0;
	size_t bucket = (size_t)at;
	if (bucket >= N_ELEMS(l->counts))
		bucket = N_ELEMS(l->counts) - 1;
	l->counts[bucket]++;
	l->n++;
	if (ns > l->max_ns)
		l->max_ns = ns;
}

static double latency_us(const struct latency *l, double quantile)
{
	uint64_t want = (uint64_t)ceil((double)l->n * quantile), seen = 0;
	for (size_t i = 0; i < N_ELEMS(l->counts); i++) {
		seen += l->counts[i];
		if (seen >= want && seen)
			return exp2(((double)i + 0.5) / BUCKETS_PER_DOUBLING) / 1000;
	}
	return 0;
}

static struct latency latency;
static uint64_t units, bytes, errors, started, ended;
static char chunk[CHUNK];
static struct addr target;
static int poll_fd;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void report(void)
{
	double s = (double)(ended - started) / (double)NS_PER_S;
	printf("{\"units\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.4f,\"errors\":%" PRIu64
	       ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n",
	       units, bytes, s, errors, latency_us(&latency, 0.5), latency_us(&latency, 0.99),
	       latency_us(&latency, 0.999), (double)latency.max_ns / 1000);
}

struct peer {
	int fd;
	bool connected, due; /* due: a paced request waits for this connection to be free */
	size_t left;         /* of the answer */
	uint64_t sent_ns;
};

static void watch(struct peer *p, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = p};
	if (epoll_ctl(poll_fd, op, p->fd, &ev) < 0)
		die("epoll_ctl");
}

static bool dial(struct peer *p)
{
	struct err err;
	p->connected = false;
	p->left = 0;
	p->fd = net_connect(&target, NULL, &err);
	if (p->fd < 0) {
		errors++;
		return false;
	}
	if (!net_tune(p->fd, 0))
		die("setsockopt");
	watch(p, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLET);
	return true;
}

static void hang_up(struct peer *p)
{
	if (p->fd >= 0 && close(p->fd) < 0)
		die("close");
	p->fd = -1;
}

static bool send_all(struct peer *p, size_t size)
{
	return send(p->fd, chunk, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* rr and conn share one life: connected -> request -> answer -> (next request | close and dial
 * again). */
struct exchange {
	size_t size;
	bool reconnect;
	uint64_t pace_ns, next_ns; /* 0: as fast as it goes */
	uint64_t stop_ns;
};

static void request(struct peer *p, const struct exchange *x, uint64_t since_ns)
{
	p->sent_ns = since_ns;
	p->left = x->size;
	if (!send_all(p, x->size)) {
		errors++;
		hang_up(p);
	}
}

static void answered(struct peer *p, const struct exchange *x)
{
	uint64_t now = clock_ns();
	latency_add(&latency, now - p->sent_ns);
	units++;
	if (x->reconnect) {
		hang_up(p);
		if (now < x->stop_ns) {
			p->sent_ns = now;
			(void)dial(p); /* counted as an error when it fails */
		}
	} else if (!x->pace_ns && now < x->stop_ns) {
		request(p, x, now);
	}
}

static void exchange_event(struct peer *p, uint32_t events, const struct exchange *x)
{
	if (p->fd < 0)
		return;
	if (!p->connected && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		if (net_connect_result(p->fd) != 0) {
			errors++;
			hang_up(p);
			return;
		}
		p->connected = true;
		if (x->reconnect || !x->pace_ns)
			request(p, x, x->reconnect ? p->sent_ns : clock_ns());
	}
	while (p->fd >= 0 && p->left && (events & (EPOLLIN | EPOLLHUP))) {
		ssize_t n = recv(p->fd, chunk, sizeof(chunk), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			errors++;
			hang_up(p);
			return;
		}
		bytes += (uint64_t)n;
		p->left -= (size_t)n < p->left ? (size_t)n : p->left;
		if (p->left)
			continue;
		answered(p, x);
		return;
	}
}

static void pace(struct peer *peers, size_t n, struct exchange *x)
{
	static size_t next;
	uint64_t now = clock_ns();
	while (x->next_ns <= now && x->next_ns < x->stop_ns) {
		struct peer *p = &peers[next++ % n];
		if (p->fd >= 0 && p->connected && p->left == 0)
			request(p, x, x->next_ns); /* from when it was due: waiting counts (no
						      coordinated omission) */
		else if (next % n == 0)
			return; /* all are busy: it stays due */
		else
			continue;
		x->next_ns += x->pace_ns;
	}
}

static void run_exchange(size_t conns, struct exchange x, double seconds)
{
	struct peer *peers = mem_array(conns, sizeof(*peers));
	started = clock_ns();
	x.stop_ns = started + (uint64_t)(seconds * (double)NS_PER_S);
	x.next_ns = started;
	for (size_t i = 0; i < conns; i++) {
		peers[i].sent_ns = clock_ns();
		(void)dial(&peers[i]); /* counted as an error when it fails */
	}
	struct epoll_event events[EVENTS];
	for (;;) {
		uint64_t now = clock_ns();
		if (now >= x.stop_ns)
			break;
		struct timespec ts = {0, (long)(50 * NS_PER_MS)};
		if (x.pace_ns)
			ts.tv_nsec = x.next_ns > now ? (long)(x.next_ns - now) : 0;
		int n = epoll_pwait2(poll_fd, events, EVENTS, &ts, NULL);
		if (n < 0 && errno != EINTR)
			die("epoll_pwait2");
		for (int i = 0; i < n; i++)
			exchange_event(events[i].data.ptr, events[i].events, &x);
		if (x.pace_ns)
			pace(peers, conns, &x);
	}
	ended = clock_ns();
	for (size_t i = 0; i < conns; i++)
		hang_up(&peers[i]);
	free(peers);
}

/* A few bytes first, as a proxy that waits for the client's needs them before it connects onward. */
static void ask(size_t n)
{
	struct epoll_event events[EVENTS];
	for (size_t asked = 0; asked + errors < n;) {
		int ready = epoll_wait(poll_fd, events, EVENTS, 1000);
		for (int i = 0; i < ready; i++) {
			struct peer *p = events[i].data.ptr;
			if (p->fd < 0 || p->connected)
				continue;
			p->connected = true;
			if (net_connect_result(p->fd) == 0 &&
			    send(p->fd, "give me\n", 8, MSG_NOSIGNAL) == 8) {
				asked++;
			} else {
				errors++;
				hang_up(p);
			}
		}
	}
}

static void run_bulk(size_t streams, double seconds, bool push)
{
	struct peer *peers = mem_array(streams, sizeof(*peers));
	for (size_t i = 0; i < streams; i++)
		(void)dial(&peers[i]); /* counted as an error when it fails */
	if (!push)
		ask(streams);
	for (size_t i = 0; i < streams; i++) /* asks anew for events that ask() may have used up */
		if (peers[i].fd >= 0)
			watch(&peers[i], EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT | EPOLLET);
	started = clock_ns();
	uint64_t stop = started + (uint64_t)(seconds * (double)NS_PER_S);
	struct epoll_event events[EVENTS];
	while (clock_ns() < stop) {
		struct timespec ts = {0, (long)(50 * NS_PER_MS)};
		int n = epoll_pwait2(poll_fd, events, EVENTS, &ts, NULL);
		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;
			ssize_t got = 1;
			while (p->fd >= 0 && clock_ns() < stop) {
				got = push ? send(p->fd, chunk, sizeof(chunk), MSG_NOSIGNAL)
					   : recv(p->fd, chunk, sizeof(chunk), 0);
				if (got <= 0)
					break;
				bytes += (uint64_t)got;
				units++;
			}
			if (got == 0 || (got < 0 && errno != EAGAIN)) {
				errors++;
				hang_up(p);
			}
		}
	}
	ended = clock_ns();
	for (size_t i = 0; i < streams; i++)
		hang_up(&peers[i]);
	free(peers);
}

static void run_greet(size_t count)
{
	started = clock_ns();
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_storage sa;
		socklen_t len = addr_to_sockaddr(&target, &sa);
		uint64_t from = clock_ns();
		int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			die("socket");
		char first = 0;
		if (connect(fd, (struct sockaddr *)&sa, len) < 0 || recv(fd, &first, 1, 0) != 1) {
			errors++;
		} else {
			latency_add(&latency, clock_ns() - from);
			units++;
		}
		/* Read the rest of the greeting, so that the close is a FIN and not a reset that a
		 * server may hold against us. */
		(void)recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT); /* nothing more is fine */
		if (close(fd) < 0)
			die("close");
	}
	ended = clock_ns();
}

static void run_idle(size_t conns)
{
	struct peer *peers = mem_array(conns, sizeof(*peers));
	struct epoll_event events[EVENTS];
	size_t up = 0;
	started = clock_ns();
	for (size_t i = 0, in_flight = 0; up + errors < conns;) {
		while (i < conns && in_flight < 128) {
			in_flight += dial(&peers[i]);
			i++;
		}
		int n = epoll_wait(poll_fd, events, EVENTS, 1000);
		for (int k = 0; k < n; k++) {
			struct peer *p = events[k].data.ptr;
			if (p->fd < 0 || p->connected)
				continue;
			in_flight--;
			p->connected = true;
			if (net_connect_result(p->fd) != 0) {
				errors++;
				hang_up(p);
			} else {
				up++;
			}
		}
	}
	ended = clock_ns();
	units = up;
	printf("ready %zu\n", up);
	if (fflush(stdout) != 0)
		die("stdout");
	while (read(STDIN_FILENO, chunk, sizeof(chunk)) > 0)
		;
	for (size_t i = 0; i < conns; i++)
		hang_up(&peers[i]);
	free(peers);
}

/* The server: what it does with a connection is the mode's letter. */

static void serve_one(struct peer *p, char mode)
{
	for (int turn = 0; turn < 16; turn++) {
		ssize_t n = mode == 'o' ? send(p->fd, chunk, sizeof(chunk), MSG_NOSIGNAL)
					: recv(p->fd, chunk, sizeof(chunk), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			hang_up(p);
			free(p);
			return;
		}
		if (mode == 'e') {
			/* Requests here are smaller than any socket buffer; a partial write would
			 * be a broken benchmark. */
			if (send(p->fd, chunk, (size_t)n, MSG_NOSIGNAL) != n) {
				hang_up(p);
				free(p);
				return;
			}
			if ((size_t)n < sizeof(chunk))
				return;
		}
	}
}

static void serve(uint16_t port, const char *mode)
{
	struct err err;
	struct addr on = {.ip = ip_v4(0x7f000001), .port = port};
	char letter = strcmp(mode, "echo") == 0     ? 'e'
		      : strcmp(mode, "source") == 0 ? 'o'
		      : strcmp(mode, "sink") == 0   ? 'i'
						    : 'g';
	struct peer listener = {.fd = net_listen(&on, false, &err)};
	if (listener.fd < 0) {
		fprintf(stderr, "load: %s\n", err.text);
		exit(1);
	}
	watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
	printf("ready\n");
	if (fflush(stdout) != 0)
		die("stdout");
	struct epoll_event events[EVENTS];
	for (;;) {
		int n = epoll_wait(poll_fd, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;
			if (p != &listener) {
				serve_one(p, letter);
				continue;
			}
			for (int fd; (fd = net_accept(listener.fd, NULL)) >= 0;) {
				struct peer *q = mem_new(sizeof(*q));
				q->fd = fd;
				if (!net_tune(fd, 0))
					die("setsockopt");
				if (letter == 'g' &&
				    send(fd, "220 hello\r\n", 11, MSG_NOSIGNAL) != 11)
					errors++;
				watch(q, EPOLL_CTL_ADD, letter == 'o' ? EPOLLOUT : EPOLLIN);
			}
		}
	}
}

static void raise_fd_limit(void)
{
	struct rlimit lim;
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		die("getrlimit");
	lim.rlim_cur = lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
		die("setrlimit");
}

static int usage(void)
{
	fputs("usage: load serve PORT echo|source|sink|greet | rr TO CONNS SIZE SECONDS [RATE] |\n"
	      "       bulk TO STREAMS SECONDS pull|push | conn TO CONNS SIZE SECONDS | greet TO "
	      "COUNT | idle TO CONNS\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return usage();
	raise_fd_limit();
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (poll_fd < 0)
		die("epoll_create1");
	if (strcmp(argv[1], "serve") == 0)
		serve((uint16_t)strtoul(argv[2], NULL, 10), argv[3]);
	if (!addr_parse(slice_of(argv[2]), &target))
		return usage();
	size_t count = strtoul(argv[3], NULL, 10);
	if (count == 0)
		return usage();
	if (strcmp(argv[1], "rr") == 0 && argc >= 6) {
		double rate = argc > 6 ? strtod(argv[6], NULL) : 0;
		struct exchange x = {.size = strtoul(argv[4], NULL, 10),
				     .pace_ns = rate > 0 ? (uint64_t)((double)NS_PER_S / rate) : 0};
		run_exchange(count, x, strtod(argv[5], NULL));
	} else if (strcmp(argv[1], "conn") == 0 && argc == 6) {
		struct exchange x = {.size = strtoul(argv[4], NULL, 10), .reconnect = true};
		run_exchange(count, x, strtod(argv[5], NULL));
	} else if (strcmp(argv[1], "bulk") == 0 && argc == 6) {
		run_bulk(count, strtod(argv[4], NULL), strcmp(argv[5], "push") == 0);
	} else if (strcmp(argv[1], "greet") == 0) {
		run_greet(count);
	} else if (strcmp(argv[1], "idle") == 0) {
		run_idle(count);
	} else {
		return usage();
	}
	report();
	return errors && !units;
}
