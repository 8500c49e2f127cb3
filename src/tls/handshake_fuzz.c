/*
 * A peer that sends what it likes. The first byte picks the game:
 *   0  the rest is all that a server hears
 *   1  the rest is all that a client hears
 *   2  a real client and a real server talk, and the rest spoils what passes between them: each
 *      two bytes say how many bytes to let pass, and what to flip in the next
 */
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_context *server, *client;
static struct tls_worker *worker;

static void prepare(void)
{
	struct err err = {0};
	struct pki_ca *mesh = pki_ca_new("mesh");
	struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}};
	struct tls_ticket_keys *keys = tls_ticket_keys_new(&err);
	server = pki_context(TLS_SERVER, pki_identity(mesh, &leaf, mesh), true, keys);
	client = pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
	worker = tls_worker_new();
	tls_ticket_keys_put(keys);
	pki_ca_free(mesh);
}

static struct tls *session(struct tls_context *ctx, int fd)
{
	struct err err = {0};
	struct tls *t = tls_new(ctx,
				&(struct tls_start){.fd = fd,
						    .worker = worker,
						    .alpn = "istio,h2",
						    .accept_peer = accept_cluster_local},
				&err);
	MUST(t);
	return t;
}

/* As far as it goes; true: it may go on when more comes. */
static bool advance(struct tls *t)
{
	char room[512];
	size_t n;
	struct err err = {0};
	enum tls_result r = tls_handshake(t, &err);
	while (r == TLS_OK)
		r = tls_read(t, room, sizeof(room), &n, &err);
	MUST(r != TLS_FAILED || (tls_why(t) != TLS_WHY_NONE && err.text[0]));
	return r == TLS_WANT_READ;
}

static void monologue(struct tls_context *ctx, struct slice bytes)
{
	int fds[2];
	socket_pair(fds);
	struct tls *t = session(ctx, fds[0]);
	if (bytes.len > 0)
		(void)!write(fds[1], bytes.at, bytes.len); /* what fits is what is heard */
	(void)advance(t);
	(void)shutdown(fds[1], SHUT_WR);
	MUST(!advance(t));
	tls_free(t);
	close(fds[0]);
	close(fds[1]);
}

struct spoiler {
	struct slice plan;
	size_t pass; /* bytes until the next flip */
	uint8_t flip;
};

static void next_flip(struct spoiler *s)
{
	s->pass = SIZE_MAX;
	if (s->plan.len < 2)
		return;
	s->pass = (uint8_t)s->plan.at[0] * (size_t)4;
	s->flip = (uint8_t)s->plan.at[1];
	s->plan = slice_sub(s->plan, 2, s->plan.len);
}

static bool carry(int from, int to, struct spoiler *s)
{
	char bytes[16384];
	ssize_t n = read(from, bytes, sizeof(bytes));
	for (ssize_t i = 0; i < n; i++) {
		if (s->pass-- > 0)
			continue;
		bytes[i] = (char)(bytes[i] ^ s->flip);
		next_flip(s);
	}
	if (n > 0)
		(void)!write(to, bytes, (size_t)n); /* it fits */
	return n > 0;
}

static void dialogue(struct slice plan)
{
	int a[2], b[2];
	socket_pair(a);
	socket_pair(b);
	struct tls *c = session(client, a[0]), *s = session(server, b[0]);
	struct spoiler spoiler = {.plan = plan};
	next_flip(&spoiler);
	bool moved;
	do {
		(void)advance(c);
		moved = carry(a[1], b[1], &spoiler);
		(void)advance(s);
		moved |= carry(b[1], a[1], &spoiler);
	} while (moved);
	tls_free(c);
	tls_free(s);
	close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!server)
		prepare();
	if (size == 0)
		return 0;
	struct slice rest = slice_sub((struct slice){(const char *)data, size}, 1, size);
	if (data[0] == 2)
		dialogue(rest);
	else
		monologue(data[0] == 1 ? client : server, rest);
	return 0;
}
