#include "proxy/tickets.h"

#include <stdlib.h>

#include "base/mem.h"

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
	TABLE_DRAIN(t->by_addr, drop);
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
	HASH_DEL(t->by_addr, cell);
	TAILQ_REMOVE(&t->by_use, cell, link);
	t->n--;
	drop(cell);
	return true;
}

static struct ticket_cell *add(struct ticket_table *t, const struct addr *at)
{
	if (!make_room(t))
		return NULL;
	struct ticket_cell *cell = mem_new(sizeof(*cell));
	cell->at = *at;
	cell->tickets = tls_tickets_new();
	HASH_ADD(hh, t->by_addr, at, sizeof(cell->at), cell);
	TAILQ_INSERT_TAIL(&t->by_use, cell, link);
	t->n++;
	return cell;
}

struct ticket_cell *ticket_take(struct ticket_table *t, const struct addr *at)
{
	struct ticket_cell *cell = NULL;
	HASH_FIND(hh, t->by_addr, at, sizeof(*at), cell);
	if (!cell && !(cell = add(t, at)))
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
