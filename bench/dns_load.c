/*
 * The load of `./dev bench dns`: questions for addresses over UDP, one thread.
 *
 *   dns_load PORT NAMES WINDOW SECONDS     asks 127.0.0.1:PORT for s0 to sN-1 .many.svc.cluster.local in random
 *                                          order, WINDOW questions at a time
 *   dns_load PORT wait                     until s0.many.svc.cluster.local has an address
 *
 * Prints one line of JSON: answers with an address (units), seconds, latency in microseconds (p50, p99), errors.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "dns/wire.h"
#include "net/addr.h"

enum { WINDOW_MAX = 64, MESSAGE = 512, BUCKET_NS = 1000, BUCKETS = 100000, LOST_MS = 200 };

struct load {
	int fd;
	unsigned names, window;
	uint32_t random;
	uint64_t units, errors, lost, asked_ns[WINDOW_MAX];
	bool waiting[WINDOW_MAX];
	unsigned n_waiting;
	uint16_t
		round; /* in the ID's upper bits, so that a late answer is not taken for a new one's */
	uint32_t latency[BUCKETS];
	struct mmsghdr in[WINDOW_MAX], out[WINDOW_MAX];
	struct iovec in_at[WINDOW_MAX], out_at[WINDOW_MAX];
	char answers[WINDOW_MAX][MESSAGE], questions[WINDOW_MAX][MESSAGE];
};

static int connect_to(unsigned port)
{
	struct addr to = {.ip = ip_v4(0x7f000001), .port = (uint16_t)port};
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&to, &sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, len) < 0) {
		perror("dns_load");
		exit(EXIT_FAILURE);
	}
	return fd;
}

static size_t write_question(char *at, unsigned id, unsigned number)
{
	char name[64], wire[DNS_NAME_WIRE];
	static const unsigned char fixed[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, end[] = {0, 1, 0, 1};
	(void)snprintf(name, sizeof(name), "s%u.many.svc.cluster.local", number);
	size_t len = dns_name_of_text(slice_of(name), wire);
	at[0] = (char)(id >> 8);
	at[1] = (char)id;
	memcpy(&at[2], fixed, sizeof(fixed));
	memcpy(&at[DNS_HEADER_LEN], wire, len);
	memcpy(&at[DNS_HEADER_LEN + len], end, sizeof(end));
	return DNS_HEADER_LEN + len + sizeof(end);
}

static uint32_t draw(struct load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 17;
	l->random ^= l->random << 5;
	return l->random;
}

/* As many as have room in the window, with one call. */
static void ask(struct load *l)
{
	unsigned n = 0;
	uint64_t now = clock_ns();
	l->round++;
	for (unsigned i = 0; i < l->window; i++) {
		if (l->waiting[i])
			continue;
		unsigned id = i | (unsigned)(l->round % 1024) * WINDOW_MAX;
		l->out_at[n] = (struct iovec){
			l->questions[i], write_question(l->questions[i], id, draw(l) % l->names)};
		l->out[n].msg_hdr = (struct msghdr){.msg_iov = &l->out_at[n], .msg_iovlen = 1};
		l->waiting[i] = true;
		l->asked_ns[i] = now;
		n++;
	}
	l->n_waiting += n;
	if (n && sendmmsg(l->fd, l->out, n, 0) != (int)n)
		l->errors++;
}

static void take(struct load *l, struct slice answer, uint64_t now)
{
	struct dns_walk w;
	if (!dns_walk_start(&w, answer))
		return;
	unsigned i = w.id % WINDOW_MAX;
	if (!l->waiting[i] || memcmp(answer.at, l->questions[i], 2) != 0)
		return;
	l->waiting[i] = false;
	l->n_waiting--;
	if ((w.flags & DNS_FLAGS_RCODE) != 0 || w.left[DNS_ANSWER] == 0) {
		l->errors++;
		return;
	}
	l->units++;
	uint64_t bucket = (now - l->asked_ns[i]) / BUCKET_NS;
	l->latency[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static void hear(struct load *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	if (poll(&p, 1, LOST_MS) == 0) { /* lost: asked again */
		l->lost += l->n_waiting;
		memset(l->waiting, 0, sizeof(l->waiting));
		l->n_waiting = 0;
		return;
	}
	for (unsigned i = 0; i < l->window; i++) {
		l->in_at[i] = (struct iovec){l->answers[i], MESSAGE};
		l->in[i].msg_hdr = (struct msghdr){.msg_iov = &l->in_at[i], .msg_iovlen = 1};
	}
	int n = recvmmsg(l->fd, l->in, l->window, MSG_DONTWAIT, NULL);
	uint64_t now = clock_ns();
	for (int i = 0; i < n; i++)
		take(l, (struct slice){l->answers[i], l->in[i].msg_len}, now);
}

static double quantile_us(const struct load *l, double q)
{
	uint64_t want = (uint64_t)((double)l->units * q), seen = 0;
	for (size_t i = 0; i < BUCKETS; i++) {
		seen += l->latency[i];
		if (seen > want)
			return (double)(i * BUCKET_NS) / 1000;
	}
	return 0;
}

static int wait_for_first(int fd)
{
	for (int tries = 0; tries < 60000; tries++) {
		char question[MESSAGE], answer[MESSAGE];
		struct dns_walk w;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		size_t len = write_question(question, 1, 0);
		ssize_t n = send(fd, question, len, 0) < 0 || poll(&p, 1, 100) <= 0
				    ? -1
				    : recv(fd, answer, sizeof(answer), 0);
		if (n > 0 && dns_walk_start(&w, (struct slice){answer, (size_t)n}) &&
		    w.left[DNS_ANSWER])
			return EXIT_SUCCESS;
		usleep(1000);
	}
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[2], "wait") == 0)
		return wait_for_first(connect_to((unsigned)strtoul(argv[1], NULL, 10)));
	if (argc != 5) {
		fprintf(stderr, "usage: dns_load PORT NAMES WINDOW SECONDS | PORT wait\n");
		return 2;
	}
	struct load *l = mem_new(sizeof(*l));
	l->fd = connect_to((unsigned)strtoul(argv[1], NULL, 10));
	l->names = (unsigned)strtoul(argv[2], NULL, 10);
	l->window = (unsigned)strtoul(argv[3], NULL, 10);
	l->random = 2463534242u;
	if (l->names == 0 || l->window == 0 || l->window > WINDOW_MAX)
		return 2;
	uint64_t start = clock_ns(),
		 end = start + (uint64_t)(strtod(argv[4], NULL) * (double)NS_PER_S);
	while (clock_ns() < end) {
		ask(l);
		hear(l);
	}
	double seconds = (double)(clock_ns() - start) / (double)NS_PER_S;
	printf("{\"units\": %" PRIu64 ", \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
	       "\"errors\": %" PRIu64 ", \"lost\": %" PRIu64 "}\n",
	       l->units, seconds, quantile_us(l, 0.5), quantile_us(l, 0.99), l->errors, l->lost);
	free(l);
	return EXIT_SUCCESS;
}
