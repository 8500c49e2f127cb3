#include "proxy/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "net/resolve.h"

struct name {
	UT_hash_handle hh;
	struct names *all;
	struct resolve *asking;   /* NULL: nothing is asked now */
	struct timer timer;       /* to ask again */
	struct live_host **users; /* who needs it; a reference each */
	size_t n_users, size_users;
	struct ip ips[RESOLVE_MAX_IPS]; /* the last good answer */
	size_t n;
	unsigned failures; /* of the resolver, since it last answered */
	bool answered;     /* it has answered once */
	bool told;         /* the view has the answer */
	bool in_order;     /* the order of the answer matters to somebody */
	char host[];
};

struct names {
	struct loop *loop;
	const struct names_events *events;
	void *ctx;
	struct name *table;
	uint32_t refresh_ms; /* where a TTL says nothing */
	enum resolve_family family;
};

struct names *names_new(struct loop *loop, const struct names_events *events, void *ctx)
{
	struct names *n = mem_new(sizeof(*n));
	*n = (struct names){.loop = loop, .events = events, .ctx = ctx, .refresh_ms = 60000};
	return n;
}

static void drop_users(struct name *x)
{
	for (size_t i = 0; i < x->n_users; i++)
		live_host_put(x->users[i]);
	x->n_users = 0;
}

static void name_free(struct name *x)
{
	resolve_cancel(x->asking);
	timer_cancel(x->all->loop, &x->timer);
	drop_users(x);
	free(x->users);
	free(x);
}

void names_free(struct names *n)
{
	if (!n)
		return;
	TABLE_DRAIN(n->table, name_free);
	free(n);
}

void names_set_view(struct names *n, const struct view *view)
{
	const struct workload *self = view_self(view);
	const struct pod *pod = self ? self->pod->pod : NULL;
	n->refresh_ms = view_mesh(view)->dns_refresh_ms;
	n->family = RESOLVE_BOTH;
	if (pod && pod->has_ip[IP_V4] != pod->has_ip[IP_V6])
		n->family = pod->has_ip[IP_V4] ? RESOLVE_V4 : RESOLVE_V6;
}

static bool has(const struct name *x, const struct ip *ip)
{
	for (size_t i = 0; i < x->n; i++)
		if (ip_eq(&x->ips[i], ip))
			return true;
	return false;
}

static bool same(const struct name *x, const struct ip *ips, size_t n)
{
	if (x->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (x->in_order ? !ip_eq(&x->ips[i], &ips[i]) : !has(x, &ips[i]))
			return false;
	return true;
}

static void tell(struct name *x)
{
	x->told = true;
	x->all->events->addresses(x->all->ctx, x->host, x->ips, x->n);
}

static void again_in(struct name *x, uint64_t ms)
{
	timer_set(x->all->loop, &x->timer, ms * NS_PER_MS);
}

/* 1 s, 2 s, 4 s ... as long as the mesh's refresh rate. */
static uint64_t back_off_ms(const struct name *x)
{
	unsigned shift = x->failures < 16 ? x->failures - 1 : 15;
	uint64_t ms = UINT64_C(1000) << shift;
	return ms < x->all->refresh_ms ? ms : x->all->refresh_ms;
}

/* Whoever waits goes on waiting, but for what was known before. */
static void on_failure(struct name *x, const struct err *err)
{
	if (x->failures++ == 0)
		log_warn("proxy", "name=%s not resolved, %s: %s", x->host,
			 x->n ? "the last answer stays" : "there is no answer yet", err->text);
	if (x->n && !x->told)
		tell(x);
	again_in(x, back_off_ms(x));
}

static void on_addresses(struct name *x, const struct resolve_answer *a)
{
	bool is_same = x->answered && same(x, a->ips, a->n);
	x->failures = 0;
	x->answered = true;
	for (size_t i = 0; i < a->n; i++)
		x->ips[i] = a->ips[i];
	x->n = a->n;
	if (!is_same || !x->told)
		tell(x);
	if (a->n == 0) {
		again_in(x, NAMES_AGAIN_S * UINT64_C(1000));
		return;
	}
	uint64_t ms = a->ttl_s ? a->ttl_s * UINT64_C(1000) : x->all->refresh_ms;
	uint64_t least_ms = NAMES_TTL_MIN_S * UINT64_C(1000);
	again_in(x, ms > least_ms ? ms : least_ms);
}

static void on_answer(void *ctx, const struct resolve_answer *a)
{
	struct name *x = ctx;
	x->asking = NULL;
	if (a->err && a->err->kind != ERR_NOT_FOUND)
		on_failure(x, a->err);
	else
		on_addresses(x, a);
}

static void start(struct name *x)
{
	struct err err = {0};
	if (x->asking)
		return;
	timer_cancel(x->all->loop, &x->timer);
	x->asking = resolve_whole(x->all->loop, x->host, x->all->family, on_answer, x, &err);
	if (!x->asking)
		on_failure(x, &err);
}

static bool is_needed(const struct name *x)
{
	uint64_t now = clock_ns();
	for (size_t i = 0; i < x->n_users; i++) {
		uint64_t asked = atomic_load_explicit(&x->users[i]->asked_ns, memory_order_relaxed);
		if (now - asked < NAMES_IDLE_S * NS_PER_S)
			return true;
	}
	return false;
}

static void forget(struct name *x)
{
	struct names *n = x->all;
	drop_users(x);
	x->told = false;
	n->events->forget(n->ctx, x->host);
	if (x->n && HASH_COUNT(n->table) <= NAMES_MAX)
		return; /* in case the resolver fails when it is needed again */
	HASH_DEL(n->table, x);
	name_free(x);
}

static void on_timer(struct timer *t)
{
	struct name *x = CONTAINER_OF(t, struct name, timer);
	if (is_needed(x))
		start(x);
	else
		forget(x);
}

static struct name *name_of(struct names *n, const char *host)
{
	struct name *x = NULL;
	HASH_FIND_STR(n->table, host, x);
	if (x)
		return x;
	size_t len = strlen(host);
	x = mem_new(sizeof(*x) + len + 1);
	x->all = n;
	x->timer.fire = on_timer;
	memcpy(x->host, host, len + 1);
	HASH_ADD_KEYPTR(hh, n->table, x->host, len, x);
	return x;
}

static void add_user(struct name *x, struct live_host *user)
{
	for (size_t i = 0; i < x->n_users; i++)
		if (x->users[i] == user)
			return;
	if (x->n_users == x->size_users) {
		x->size_users = x->size_users ? 2 * x->size_users : 2;
		x->users = mem_grow(x->users, x->size_users, sizeof(struct live_host *));
	}
	x->users[x->n_users++] = live_host_share(user);
}

static void want(struct names *n, const char *host, const struct view_entry *e)
{
	struct name *x = name_of(n, host);
	add_user(x, e->live);
	x->in_order = x->in_order || e->resolution == RESOLUTION_DNS_ROUND_ROBIN;
	if (!x->told && !(x->failures && timer_is_set(&x->timer)))
		start(x);
}

struct question {
	struct post post;
	struct names *names;
	struct view *view;
	const struct view_service *service;
	bool other;
};

static void on_question(struct post *p)
{
	struct question *q = CONTAINER_OF(p, struct question, post);
	const struct view_entry *e = q->service->entry;
	for (size_t i = 0; i < e->n_names && !q->other; i++)
		want(q->names, e->names[i].host, e);
	if (q->other)
		want(q->names, e->own->host, e);
	view_put(q->view);
	free(q);
}

static bool all_known(const struct view_entry *e, bool other)
{
	if (other)
		return e->own->known;
	for (size_t i = 0; i < e->n_names; i++)
		if (!e->names[i].known)
			return false;
	return true;
}

void names_ask(struct names *n, struct view *view, const struct view_service *service, bool other,
	       uint64_t now_ns)
{
	const struct view_entry *e = service->entry;
	atomic_store_explicit(&e->live->asked_ns, now_ns, memory_order_relaxed);
	if (!n || all_known(e, other))
		return;
	struct question *q = mem_new(sizeof(*q));
	*q = (struct question){{.run = on_question}, n, view_get(view), service, other};
	loop_post(n->loop, &q->post);
}
