#include "proxy/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "proxy/name_answer.h"

/* The questions for one family; each has an answer of its own, or none. */
struct side {
	struct name *name;
	struct resolve *asking; /* NULL: nothing is asked now */
	struct name_answer answer;
};

struct name {
	UT_hash_handle hh;
	struct names *all;
	struct side sides[N_IP_FAMILIES];
	struct timer timer;       /* to ask again */
	struct timer grace;       /* how long one family waits for the other */
	struct live_host **users; /* who needs it; a reference each */
	size_t n_users, size_users;
	struct err err;    /* why the last question failed */
	unsigned failures; /* of the resolver, since it last answered in full */
	bool failing;      /* the same, as its users know it */
	bool news;         /* the view does not have all of what came */
	bool told;         /* the view has an answer */
	bool in_order;     /* the order of the answer matters to somebody */
	char host[];
};

struct names {
	struct loop *loop;
	const struct names_events *events;
	void *ctx;
	struct name *table;
	uint32_t refresh_ms; /* where a TTL says nothing */
	bool asks[N_IP_FAMILIES];
};

struct names *names_new(struct loop *loop, const struct names_events *events, void *ctx)
{
	struct names *n = mem_new(sizeof(*n));
	*n = (struct names){.loop = loop, .events = events, .ctx = ctx, .refresh_ms = 60000};
	n->asks[IP_V4] = n->asks[IP_V6] = true;
	return n;
}

/* It is shown at each host that needs the name. */
static void set_failing(struct name *x, bool failing)
{
	for (size_t i = 0; failing != x->failing && i < x->n_users; i++) {
		if (failing)
			(void)atomic_fetch_add_explicit(&x->users[i]->failing, 1,
							memory_order_relaxed);
		else
			(void)atomic_fetch_sub_explicit(&x->users[i]->failing, 1,
							memory_order_relaxed);
	}
	x->failing = failing;
}

static void drop_users(struct name *x)
{
	set_failing(x, false);
	for (size_t i = 0; i < x->n_users; i++)
		live_host_put(x->users[i]);
	x->n_users = 0;
}

static void name_free(struct name *x)
{
	for (int f = 0; f < N_IP_FAMILIES; f++) {
		resolve_cancel(x->sides[f].asking);
		name_answer_fini(&x->sides[f].answer);
	}
	timer_cancel(x->all->loop, &x->timer);
	timer_cancel(x->all->loop, &x->grace);
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
	bool any = !pod || (!pod->has_ip[IP_V4] && !pod->has_ip[IP_V6]);
	n->refresh_ms = view_mesh(view)->dns_refresh_ms;
	for (int f = 0; f < N_IP_FAMILIES; f++)
		n->asks[f] = any || pod->has_ip[f];
}

static size_t n_addresses(const struct name *x)
{
	return x->sides[IP_V4].answer.n + x->sides[IP_V6].answer.n;
}

static void tell(struct name *x)
{
	struct ip ips[N_IP_FAMILIES * RESOLVE_MAX_IPS];
	size_t n = 0;
	for (int f = 0; f < N_IP_FAMILIES; f++)
		for (size_t i = 0; i < x->sides[f].answer.n; i++)
			ips[n++] = x->sides[f].answer.ips[i];
	x->told = true;
	x->news = false;
	timer_cancel(x->all->loop, &x->grace);
	x->all->events->addresses(x->all->ctx, x->host, ips, n);
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

/* How soon to ask again by the TTL of what was answered now; UINT64_MAX: nothing was. */
static uint64_t ttl_ms(const struct name *x)
{
	uint64_t soonest_ms = UINT64_MAX, least_ms = NAMES_TTL_MIN_S * UINT64_C(1000);
	for (int f = 0; f < N_IP_FAMILIES; f++) {
		const struct name_answer *a = &x->sides[f].answer;
		uint64_t ms = a->ttl_s ? a->ttl_s * UINT64_C(1000) : x->all->refresh_ms;
		if (a->n && !a->failed && ms < soonest_ms)
			soonest_ms = ms > least_ms ? ms : least_ms;
	}
	return soonest_ms;
}

/* Of one family or both; the last good answers stay. Whoever waits for the first goes on waiting. */
static void on_failure(struct name *x)
{
	if (x->failures++ == 0)
		log_warn("proxy", "name=%s not resolved, %s: %s", x->host,
			 n_addresses(x) ? "the last answer stays" : "there is no answer yet",
			 x->err.text);
	set_failing(x, true);
	if (x->told ? x->news : n_addresses(x) > 0)
		tell(x);
	uint64_t ms = ttl_ms(x), back_off = back_off_ms(x);
	again_in(x, ms < back_off ? ms : back_off);
}

static void on_addresses(struct name *x)
{
	x->failures = 0;
	set_failing(x, false);
	if (x->news || !x->told)
		tell(x);
	if (n_addresses(x) == 0) {
		again_in(x, NAMES_AGAIN_S * UINT64_C(1000));
		return;
	}
	again_in(x, ttl_ms(x));
}

static void on_grace(struct timer *t)
{
	tell(CONTAINER_OF(t, struct name, grace));
}

/* One family has an answer and waits for the other, but not for long. */
static void wait_for_other(struct name *x)
{
	bool fresh = false;
	for (int f = 0; f < N_IP_FAMILIES; f++) {
		const struct side *side = &x->sides[f];
		fresh = fresh || (!side->asking && !side->answer.failed && side->answer.n);
	}
	if (fresh && (x->news || !x->told) && !timer_is_set(&x->grace))
		timer_set(x->all->loop, &x->grace, NAMES_GRACE_MS * NS_PER_MS);
}

static bool is_asking(const struct name *x)
{
	return x->sides[IP_V4].asking || x->sides[IP_V6].asking;
}

static void settle(struct name *x)
{
	if (is_asking(x))
		wait_for_other(x);
	else if (x->sides[IP_V4].answer.failed || x->sides[IP_V6].answer.failed)
		on_failure(x);
	else
		on_addresses(x);
}

static void on_answer(void *ctx, const struct resolve_answer *a)
{
	struct side *side = ctx;
	struct name *x = side->name;
	side->asking = NULL;
	if (name_answer_take(&side->answer, a, x->in_order))
		x->news = true;
	if (side->answer.failed)
		x->err = *a->err;
	settle(x);
}

static void ask(struct name *x, enum ip_family f)
{
	static const enum resolve_family families[] = {[IP_V4] = RESOLVE_V4, [IP_V6] = RESOLVE_V6};
	struct side *side = &x->sides[f];
	if (!x->all->asks[f]) {
		x->news = x->news || side->answer.n;
		name_answer_fini(&side->answer);
		return;
	}
	side->asking = resolve_whole(x->all->loop, x->host, families[f], on_answer, side, &x->err);
	side->answer.failed = !side->asking;
}

static void start(struct name *x)
{
	if (is_asking(x))
		return;
	timer_cancel(x->all->loop, &x->timer);
	ask(x, IP_V4);
	ask(x, IP_V6);
	if (!is_asking(x))
		settle(x); /* no resolver could be made */
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
	if (n_addresses(x) && HASH_COUNT(n->table) <= NAMES_MAX)
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
	x->grace.fire = on_grace;
	for (int f = 0; f < N_IP_FAMILIES; f++)
		x->sides[f].name = x;
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
	if (x->failing)
		(void)atomic_fetch_add_explicit(&user->failing, 1, memory_order_relaxed);
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
