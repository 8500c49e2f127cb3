/*
 * What the DNS proxy says of names, from the view alone: no socket, no state.
 *
 *   struct dns_found found;                                // large: not on a small stack
 *   if (dns_names_find(view, &q, &searches, &found)) ...   // A, AAAA
 *   else if (dns_names_knows(view, &q, &searches, &found)) // any other type: the name exists
 *   struct slice host = dns_names_of_address(view, &q);    // PTR; empty: not ours
 *
 * Any thread that holds the view.
 */
#pragma once
#include "dns/message.h"
#include "model/view.h"

struct dns_found {
	struct ip ips[VIEW_NAME_IPS];
	size_t n, alias_len;
	char alias[DNS_NAME_WIRE]; /* on the wire: the records' owner, where that is another name */
};

/* The answer for Q, a question for addresses. False: not a name of the mesh. */
bool dns_names_find(const struct view *v, const struct dns_query *q,
		    const struct view_searches *searches, struct dns_found *out);
/* Does the name have addresses in the mesh, of whatever family? SCRATCH is written to. */
bool dns_names_knows(const struct view *v, const struct dns_query *q,
		     const struct view_searches *searches, struct dns_found *scratch);
/* Has the name's owner nothing but what the mesh knows: of Q's type there is then nothing. Of names in the
 * cluster's domain a nameserver has SRV records, and aliases. */
bool dns_names_is_all_known(const struct dns_query *q);
/* The host behind an address of a Service, or one that the mesh gave to a host; borrows from V. Addresses that
 * people wrote down are in somebody's reverse zone. */
struct slice dns_names_of_address(const struct view *v, const struct dns_query *q);
