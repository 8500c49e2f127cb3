/*
 * What this worker's servers gave it to resume TLS sessions with: the newest ticket of each address and
 * name. What a server says to one name is not for another: RFC 8446 4.6.1.
 *
 *   struct ticket_cell *cell = ticket_take(&w->tickets, &at, sni);      // may be NULL: no room
 *   start.tickets = cell ? cell->tickets : NULL;
 *   ... tls_free(session); ticket_give(&w->tickets, cell);
 *
 * Bounded: past TICKETS_MAX the cell that was used longest ago and is in nobody's hands gives way. A
 * ticket never says who the server is: that is asked anew on each resumption. Of one worker.
 */
#pragma once
#include <bsd/sys/queue.h>

#include "base/table.h"
#include "net/addr.h"
#include "tls/tls.h"

enum { TICKETS_MAX = 1024 }; /* some 3 KiB each */

struct ticket_cell {
	UT_hash_handle hh;
	TAILQ_ENTRY(ticket_cell) link; /* the one used longest ago comes first */
	unsigned users;
	struct tls_tickets *tickets;
	char key[]; /* address and SNI */
};

TAILQ_HEAD(ticket_list, ticket_cell);

struct ticket_table {
	struct ticket_cell *by_key;
	struct ticket_list by_use;
	unsigned n;
};

void ticket_table_init(struct ticket_table *t);
void ticket_table_fini(struct ticket_table *t); /* nobody holds a cell any more */
/* SNI: what the server is asked for; NULL: nothing. */
struct ticket_cell *ticket_take(struct ticket_table *t, const struct addr *at, const char *sni);
void ticket_give(struct ticket_table *t, struct ticket_cell *cell); /* NULL is fine */
