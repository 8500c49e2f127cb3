#include "proxy/named.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/classify.h"
#include "http1/head.h"
#include "proxy/dial.h"
#include "proxy/worker.h"

enum { FIELDS_MAX = 128 };

/* The plan's name becomes the connection's own. */
static void keep_said(struct conn *c)
{
	if (!c->plan.said || c->plan.said == c->said)
		return;
	free(c->said);
	c->said = mem_strdup(c->plan.said);
	c->plan.said = c->said;
}

void named_plan(struct conn *c, bool bound)
{
	struct dns_heard_name room;
	struct outbound_facts facts = {.dst = c->record.original_dst,
				       .bound = bound,
				       .heard = c->worker->setup->heard,
				       .now_ns = c->record.start_ns,
				       .room = &room};
	decide_outbound(c->record.view, &facts, &c->plan);
	keep_said(c);
}

/* Into OUT: host names are at most 253 bytes; what is longer is nobody's. */
static void copy_name(struct slice name, char out[DNS_HEARD_NAME_MAX + 1])
{
	if (name.len > DNS_HEARD_NAME_MAX)
		return;
	if (name.len)
		memcpy(out, name.at, name.len);
	out[name.len] = '\0';
}

static void read_host(struct slice bytes, char out[DNS_HEARD_NAME_MAX + 1])
{
	struct http1_field fields[FIELDS_MAX];
	struct http1_head head;
	http1_head_init(&head, HTTP1_REQUEST, fields, FIELDS_MAX, CLASSIFY_MAX_PEEK);
	if (http1_head_parse(&head, bytes) ==
	    HTTP1_DONE) /* else nobody knows whom it would reach */
		copy_name(http1_authority(&head), out);
}

static void read_sni(struct slice bytes, char out[DNS_HEARD_NAME_MAX + 1])
{
	struct classify hello;
	(void)classify_client(bytes, &hello); /* the verdict says that it is one */
	copy_name(classify_sni(&hello), out);
}

/* As if nobody had been dialled yet. The workload is of a view that may be given back before somebody is. */
static void forget_early(struct conn *c)
{
	struct conn_record *rec = &c->record;
	dial_drop(c);
	flow_fini(&c->down, &c->worker->tools); /* what was read ahead was that server's */
	c->down = (struct flow){0};
	c->pg_requests = 0;
	rec->protocol = NULL;
	rec->upstream = (struct addr){0};
	rec->upstream_workload = NULL;
	rec->attempts = 0;
}

/* An early connection, made for DIALLED_FOR with the plan WAS for TLS, stays where the new plan leads to the
 * same server in the same way. */
static void drop_early(struct conn *c, const struct view_port *dialled_for,
		       const struct tls_plan *was)
{
	struct plan *p = &c->plan;
	if (c->upstream == UPSTREAM_NONE)
		return;
	bool same =
		p->port == dialled_for || (was->transport == TRANSPORT_PLAIN && !plan_balanced(p) &&
					   addr_eq(&c->record.upstream, &p->to));
	if (p->action == PLAN_RELAY && same) {
		if (p->port)
			decide_transport(c->record.view, p, &c->record.upstream, c->endpoint, NULL);
		if (p->tls.transport == was->transport) {
			p->tls = *was; /* how it begins there is settled, or under way */
			return;
		}
	}
	forget_early(c);
}

void named_word(struct conn *c, const struct fw_answer *a, struct slice client_bytes)
{
	char name[DNS_HEARD_NAME_MAX + 1] = "";
	struct outbound_word word = {.name = name};
	const struct view_port *dialled_for = c->plan.port;
	const struct tls_plan was = c->plan.tls;
	if (a->verdict == FW_TLS && client_bytes.len) {
		word.by = SAID_SNI;
		read_sni(client_bytes, name);
	} else if (a->verdict == FW_HTTP1 && client_bytes.len) {
		word.by = SAID_HOST;
		read_host(client_bytes, name);
	}
	decide_outbound_word(c->record.view, &c->plan, &word);
	keep_said(c);
	drop_early(c, dialled_for, &was);
}

void named_again(struct conn *c)
{
	struct fw_answer heard = c->plan.word;
	bool by_client = c->plan.said_by == SAID_SNI || c->plan.said_by == SAID_HOST;
	char name[DNS_HEARD_NAME_MAX + 1] = "";
	struct outbound_word word = {.name = name, .by = c->plan.said_by};
	if (by_client)
		copy_name(slice_of(c->said), name);
	named_plan(c, false);
	if (!c->plan.open)
		return;
	decide_first_word(&c->plan, &heard);
	decide_outbound_word(c->record.view, &c->plan, &word);
	keep_said(c);
}
