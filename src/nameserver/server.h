/*
 * A DNS server's sockets: UDP in batches, TCP with many questions per connection (RFC 7766).
 *
 *   static const struct dns_server_events events = {on_query};
 *   struct dns_server *s = dns_server_new(loop, &events, ctx);
 *   if (!dns_server_listen(s, &addr, &err)) ...                       // once per address: both protocols
 *   static size_t on_query(void *ctx, const struct dns_client *from, struct slice message, char *out, size_t max)
 *   {
 *           return answer_now(..., out);       // or DNS_LATER, and then once:
 *   }
 *   dns_server_reply(s, &copy_of_from, answer);
 *   dns_server_free(s);
 *
 * Bounded: connections (who was silent longest makes room), questions of one that wait for an answer (it is
 * not read from meanwhile), bytes that a client does not take. Runs on the loop; nothing here waits.
 */
#pragma once
#include "base/slice.h"
#include "loop/loop.h"
#include "net/addr.h"

struct dns_socket;
struct dns_client {                /* who asked; copied freely */
	struct dns_socket *socket; /* UDP: where the question came in; NULL: TCP */
	struct addr peer;          /* UDP */
	uint64_t conn;             /* TCP: which connection */
};

#define DNS_LATER SIZE_MAX

struct dns_server_events {
	/*
	 * One message; it lives until this returns. Returns the length of the answer in OUT, at most MAX;
	 * 0: it deserves none; DNS_LATER: dns_server_reply() will come, after this has returned.
	 */
	size_t (*on_query)(void *ctx, const struct dns_client *from, struct slice message,
			   char *out, size_t max);
};

struct dns_server;
struct dns_server *dns_server_new(struct loop *loop, const struct dns_server_events *events,
				  void *ctx);
bool dns_server_listen(struct dns_server *s, const struct addr *on, struct err *err) MUST_CHECK;
void dns_server_free(struct dns_server *s); /* NULL is fine */

static inline bool dns_client_is_tcp(const struct dns_client *c)
{
	return c->socket == NULL;
}
/* An answer to an earlier question. A client that is gone hears nothing. */
void dns_server_reply(struct dns_server *s, const struct dns_client *to, struct slice answer);
unsigned dns_server_n_conns(const struct dns_server *s);
