#include "proxy/begin_tls.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "decide/learn.h"
#include "detect/postgres.h"
#include "net/sock.h"
#include "proxy/secure.h"
#include "proxy/worker.h"

enum { TEXT_MAX = 1024 };

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

void begin_choose(struct conn *c)
{
	char bytes[PG_WORD_LEN];
	if (c->plan.tls.second) /* by what the server did */
		return;
	ssize_t n = net_recv(c->client.fd, bytes, sizeof(bytes), MSG_PEEK);
	decide_tls_begin(&c->plan, (struct slice){bytes, n > 0 ? (size_t)n : 0});
}

/* The server spoke PROTOCOL in clear. WHY is for the counters, the words say what to do about it. */
static enum begin_result in_clear(struct conn *c, enum greet_protocol protocol, enum tls_why why)
{
	struct buf text;
	buf_init(&text, TEXT_MAX);
	learn_in_clear(c->plan.live, protocol);
	(void)tls_in_clear_text(&c->plan, protocol, why == TLS_WHY_NO_TLS, &text); /* cut is fine */
	secure_server_why(c, why, buf_cstr(&text));
	buf_fini(&text);
	return BEGIN_FAILED;
}

/* PostgreSQL's server */

enum begin_result begin_ask(struct conn *c)
{
	/* Its send queue is empty: the eight bytes go or nothing ever will. */
	if (net_send(c->server.fd, PG_SSL_REQUEST, PG_REQUEST_LEN, MSG_NOSIGNAL) != PG_REQUEST_LEN)
		return BEGIN_OTHER;
	c->upstream = UPSTREAM_ASKED;
	return BEGIN_WAIT;
}

enum begin_result begin_answer(struct conn *c)
{
	char bytes[GREET_ENOUGH];
	ssize_t n = net_recv(c->server.fd, bytes, sizeof(bytes), MSG_PEEK);
	if (n < 0 && would_block())
		return BEGIN_WAIT;
	if (n <= 0)
		return BEGIN_OTHER;
	switch (pg_answer(bytes[0])) {
	case PG_SAYS_YES:
		/* Nothing comes behind it before our ClientHello is there: CVE-2021-23222. */
		if (n > 1) {
			secure_server_why(c, TLS_WHY_EARLY_BYTES, NULL);
			return BEGIN_FAILED;
		}
		(void)net_recv(c->server.fd, bytes, 1, 0); /* it stands there */
		return BEGIN_TLS;
	case PG_SAYS_NO:
		return in_clear(c, GREET_IS_POSTGRESQL, TLS_WHY_NO_TLS);
	case PG_SAYS_ERROR:
		return in_clear(c, GREET_IS_POSTGRESQL, TLS_WHY_NOT_TLS);
	case PG_SAYS_ALERT:
		return BEGIN_OTHER;
	case PG_SAYS_OTHER:
		break;
	}
	return in_clear(c, greet_server((struct slice){bytes, (size_t)n}).protocol,
			TLS_WHY_NOT_TLS);
}

/* Any server, after the ClientHello */

/* A record of TLS: its type, and the version that all of them carry (RFC 8446 5.1). */
static bool is_record(struct slice bytes)
{
	enum { FIRST = 20, LAST = 23, MAJOR = 3 };
	return bytes.at[0] >= FIRST && bytes.at[0] <= LAST &&
	       (bytes.len == 1 || bytes.at[1] == MAJOR);
}

bool begin_heard(struct conn *c, struct slice said)
{
	bool tls = is_record(said);
	c->upstream = tls ? UPSTREAM_HANDSHAKE : UPSTREAM_CLEAR;
	if (!tls)
		c->greeted = greet_server(said).protocol;
	return tls;
}

enum begin_result begin_clear(struct conn *c)
{
	/* What PgBouncer says to a ClientHello: it would like to be asked. */
	bool error = c->greeted == GREET_IS_POSTGRESQL;
	if (error && c->plan.tls.begin == TLS_AT_ONCE && !c->plan.tls.second)
		return BEGIN_OTHER;
	return in_clear(c, c->greeted, TLS_WHY_NOT_TLS);
}

/* PostgreSQL's client */

/* It stands in the kernel. A client that does not take one byte is gone, and the relay will see it. */
static void refuse_request(struct conn *c)
{
	char bytes[PG_REQUEST_LEN];
	(void)net_recv(c->client.fd, bytes, sizeof(bytes), 0);
	(void)net_send(c->client.fd, "N", 1, MSG_NOSIGNAL);
	decide_own_tls_refused(&c->plan);
	c->pg_requests--;
}

bool begin_client(struct conn *c)
{
	while (c->pg_requests) {
		char bytes[PG_WORD_LEN];
		ssize_t n = net_recv(c->client.fd, bytes, sizeof(bytes), MSG_PEEK);
		bool silent = n < 0 && would_block();
		switch (pg_client((struct slice){bytes, n > 0 ? (size_t)n : 0})) {
		case PG_MORE:
			if (silent || (n > 0 && !c->up.to_end)) {
				c->up.ready = false; /* the next byte makes a new edge */
				return false;
			}
			c->pg_requests = 0; /* it has ended, or is about to */
			break;
		case PG_WANTS_TLS:
		case PG_WANTS_GSS:
			refuse_request(c);
			break;
		case PG_STARTUP:
		case PG_NOT:
			c->pg_requests = 0;
			break;
		}
	}
	return true;
}
