/* GET /connections. No lock: each worker renders its own connections when the message reaches it. */
#include <stdlib.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "proxy/main_thread.h"

enum {
	LIST_DEFAULT = 1000, /* connections shown; ?limit=N asks for another number */
	LIST_MOST = 10000,
	LIST_BYTES = 2048, /* of one connection, at most */
};

struct listing {
	struct proxy *proxy;
	struct rest_reply *reply; /* NULL: who asked is gone */
	unsigned waiting;         /* workers that have not answered */
	unsigned limit, shown, total;
	struct buf out;
	struct json_out json;
};

/* Goes to the worker and comes back. */
struct part {
	struct post post;
	struct listing *listing;
	struct worker *worker;
	unsigned limit, shown, total;
	struct buf out; /* objects, each with a comma before it */
};

static void finish(struct listing *l)
{
	json_close(&l->json);
	json_u64(&l->json, "shown", l->shown);
	json_u64(&l->json, "total", l->total);
	json_close(&l->json);
	if (l->reply)
		rest_reply_full(l->reply, 200, "application/json", buf_slice(&l->out));
	buf_fini(&l->out);
	free(l);
}

/* Main thread. */
static void on_answer(struct post *post)
{
	struct part *part = CONTAINER_OF(post, struct part, post);
	struct listing *l = part->listing;
	struct slice objects = buf_slice(&part->out);
	if (objects.len)
		json_raw(&l->json, NULL, slice_sub(objects, 1, objects.len));
	l->shown += part->shown;
	l->total += part->total;
	buf_fini(&part->out);
	free(part);
	if (--l->waiting == 0)
		finish(l);
}

static bool add(struct part *part, struct conn *c, uint64_t now)
{
	struct json_out j;
	size_t before = buf_len(&part->out);
	json_out_init(&j, &part->out);
	if (!buf_putc(&part->out, ','))
		return false;
	json_open_object(&j, NULL);
	json_cstr(&j, "state", conn_state_name(c->state));
	record_members(conn_record(c), false, now, &j);
	json_close(&j);
	if (part->out.full) {
		part->out.end = part->out.start + before; /* not half of one */
		return false;
	}
	part->shown++;
	return true;
}

/* The worker's thread. */
static void on_ask(struct post *post)
{
	struct part *part = CONTAINER_OF(post, struct part, post);
	struct worker *w = part->worker;
	uint64_t now = clock_ns();
	part->total = worker_n_conns(w);
	for (unsigned state = 0; state < CONN_CLOSED; state++) {
		struct conn *c;
		TAILQ_FOREACH (c, &w->conns[state], link)
			if (part->shown >= part->limit || !add(part, c, now))
				goto done;
	}
done:
	part->post.run = on_answer;
	loop_post(part->listing->proxy->loop, &part->post);
}

static void on_gone(void *ctx, struct rest_reply *reply)
{
	(void)reply; /* the one we have */
	((struct listing *)ctx)->reply = NULL;
}

void list_connections(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	uint64_t limit = LIST_DEFAULT;
	struct slice asked = rest_query(req, "limit");
	if (asked.at && !slice_to_u64(asked, LIST_MOST, &limit)) {
		rest_reply_text(reply, 400, "limit: a number up to %d", LIST_MOST);
		return;
	}
	struct listing *l = mem_new(sizeof(*l));
	l->proxy = p;
	l->reply = reply;
	l->waiting = p->setup.n_workers;
	l->limit = (unsigned)limit;
	/* Room for all that the parts may hold. */
	buf_init(&l->out, (p->setup.n_workers + 1) * (limit + 1) * LIST_BYTES);
	json_out_init(&l->json, &l->out);
	json_open_object(&l->json, NULL);
	json_open_array(&l->json, "connections");
	rest_reply_on_gone(reply, on_gone, l);
	for (unsigned i = 0; i < p->setup.n_workers; i++) {
		struct part *part = mem_new(sizeof(*part));
		part->post.run = on_ask;
		part->listing = l;
		part->worker = p->workers[i];
		part->limit = (unsigned)limit / p->setup.n_workers + 1;
		buf_init(&part->out, (limit + 1) * LIST_BYTES);
		loop_post(part->worker->loop, &part->post);
	}
}
