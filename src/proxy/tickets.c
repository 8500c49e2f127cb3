#include "proxy/tickets.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SNI_MAX = 512 };

void ticket_table_init(struct ticket_table *t)
{
	*t = (struct ticket_table){0};
	TAILQ_INIT(&t->by_use);
}

static void drop(struct ticket_cell *cell)
{
	MUST(cell->users == 0);
	tls_tickets_free(cell->tickets);
	free(cell);
}

void ticket_table_fini(struct ticket_table *t)
{
	TABLE_DRAIN(t->by_key, drop);
	ticket_table_init(t);
}

/* False: all of them are in use. */
static bool make_room(struct ticket_table *t)
{
	struct ticket_cell *cell;
	if (t->n < TICKETS_MAX)
		return true;
	TAILQ_FOREACH (cell, &t->by_use, link)
		if (cell->users == 0)
			break;
	if (!cell)
		return false;
	HASH_DEL(t->by_key, cell);
	TAILQ_REMOVE(&t->by_use, cell, link);
	t->n--;
	drop(cell);
	return true;
}

static struct ticket_cell *add(struct ticket_table *t, const char *key, size_t len)
{
	if (!make_room(t))
		return NULL;
	struct ticket_cell *cell = mem_new(sizeof(*cell) + len);
	memcpy(cell->key, key, len);
	cell->tickets = tls_tickets_new();
	HASH_ADD_KEYPTR(hh, t->by_key, cell->key, len, cell);
	TAILQ_INSERT_TAIL(&t->by_use, cell, link);
	t->n++;
	return cell;
}

struct ticket_cell *ticket_take(struct ticket_table *t, const struct addr *at, const char *sni)
{
	char key[sizeof(*at) + SNI_MAX];
	struct ticket_cell *cell = NULL;
	size_t len = sni ? strlen(sni) : 0;
	if (len > SNI_MAX)
		return NULL; /* no name of a host is that long */
	memcpy(key, at, sizeof(*at));
	memcpy(&key[sizeof(*at)], sni ? sni : "", len);
	len += sizeof(*at);
	HASH_FIND(hh, t->by_key, key, len, cell);
	if (!cell && !(cell = add(t, key, len)))
		return NULL;
	TAILQ_REMOVE(&t->by_use, cell, link);
	TAILQ_INSERT_TAIL(&t->by_use, cell, link);
	cell->users++;
	return cell;
}

void ticket_give(struct ticket_table *t, struct ticket_cell *cell)
{
	(void)t; /* it stays in the table, for the next connection to the same address */
	if (!cell)
		return;
	MUST(cell->users > 0);
	cell->users--;
}
