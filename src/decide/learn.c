#include "decide/learn.h"

#include "base/mem.h"

static unsigned get(const atomic_uint *cell)
{
	return atomic_load_explicit(cell, memory_order_relaxed);
}

/* A cell that keeps a value of an enum and 1; NONE where it keeps nothing. */
static unsigned kept(const atomic_uint *cell, unsigned none)
{
	unsigned value = get(cell);
	return value && value <= none ? value - 1 : none;
}

static void keep(atomic_uint *cell, unsigned value)
{
	if (get(cell) != value) /* it is every connection's, and seldom news */
		atomic_store_explicit(cell, value, memory_order_relaxed);
}

void learn_read(const struct live_port *live, struct learned *out)
{
	*out = (struct learned){.tls_begins = N_TLS_BEGINS};
	if (!live)
		return;
	out->server_first = get(&live->server_first);
	out->client_http = get(&live->client_http);
	out->client_tls = get(&live->client_tls);
	out->client_opaque = get(&live->client_opaque);
	out->contradicted = get(&live->contradicted);
	unsigned greeting = get(&live->greeting);
	out->greeting =
		greeting < N_GREET_PROTOCOLS ? (enum greet_protocol)greeting : GREET_IS_UNKNOWN;
	out->tls_begins = learn_tls(live);
	unsigned in_clear = kept(&live->in_clear, N_GREET_PROTOCOLS);
	out->spoke_in_clear = in_clear < N_GREET_PROTOCOLS;
	out->in_clear = out->spoke_in_clear ? (enum greet_protocol)in_clear : GREET_IS_UNKNOWN;
}

enum tls_begin learn_tls(const struct live_port *live)
{
	return live ? (enum tls_begin)kept(&live->tls_begins, N_TLS_BEGINS) : N_TLS_BEGINS;
}

void learn_tls_begun(struct live_port *live, enum tls_begin begin)
{
	if (live)
		keep(&live->tls_begins, begin < N_TLS_BEGINS ? (unsigned)begin + 1 : 0);
}

void learn_in_clear(struct live_port *live, enum greet_protocol protocol)
{
	if (live)
		keep(&live->in_clear, (unsigned)protocol + 1);
}

void learn_tls_made(struct live_port *live)
{
	if (live)
		keep(&live->in_clear, 0);
}

static enum fw_learned state_of(const struct learned *l)
{
	bool client_first = l->client_http || l->client_tls || l->client_opaque;
	if (l->server_first && !client_first)
		return FW_LEARNED_SERVER_FIRST;
	if (client_first && !l->server_first)
		return FW_LEARNED_CLIENT_FIRST;
	return FW_LEARNED_NOTHING;
}

enum fw_learned learn_state(const struct live_port *live)
{
	struct learned l;
	learn_read(live, &l);
	return state_of(&l);
}

bool learn_only_opaque(const struct live_port *live)
{
	struct learned l;
	learn_read(live, &l);
	return l.client_opaque && !l.client_http && !l.client_tls && !l.server_first;
}

/* Counts, but never wraps to zero: zero means "never seen". */
static void count(atomic_uint *cell)
{
	if (get(cell) < UINT32_MAX / 2)
		(void)atomic_fetch_add_explicit(cell, 1, memory_order_relaxed);
}

void learn_teach(struct live_port *live, enum fw_teach teach, enum greet_protocol greeted)
{
	if (!live)
		return;
	enum fw_learned before = learn_state(live);
	switch (teach) {
	case FW_TEACH_NOTHING:
		return;
	case FW_TEACH_SERVER_FIRST:
		count(&live->server_first);
		if (greeted != GREET_IS_UNKNOWN)
			atomic_store_explicit(&live->greeting, (unsigned)greeted,
					      memory_order_relaxed);
		break;
	case FW_TEACH_HTTP:
		count(&live->client_http);
		break;
	case FW_TEACH_TLS:
		count(&live->client_tls);
		break;
	case FW_TEACH_CLIENT_OPAQUE:
		count(&live->client_opaque);
		break;
	}
	bool client_spoke = teach != FW_TEACH_SERVER_FIRST;
	if (before == (client_spoke ? FW_LEARNED_SERVER_FIRST : FW_LEARNED_CLIENT_FIRST))
		count(&live->contradicted);
}

/* Of the words that Kubernetes and Istio know, the one that fits; "tcp" fits all that is opaque. */
const char *learn_suggest(const struct live_port *live)
{
	struct learned l;
	learn_read(live, &l);
	switch (state_of(&l)) {
	case FW_LEARNED_NOTHING:
		return NULL;
	case FW_LEARNED_SERVER_FIRST:
		return l.greeting == GREET_IS_MYSQL ? "mysql" : "tcp";
	case FW_LEARNED_CLIENT_FIRST:
		break;
	}
	if (!l.client_tls && !l.client_opaque)
		return "http";
	if (!l.client_http)
		return l.client_opaque ? "tcp"
				       : "tls"; /* TLS among other things: opaque is true of both */
	return NULL; /* HTTP on some connections only: nothing true can be declared */
}

void learn_json(const struct live_port *live, struct json_out *out)
{
	static const char *const states[] = {[FW_LEARNED_NOTHING] = "nothing",
					     [FW_LEARNED_SERVER_FIRST] = "server-first",
					     [FW_LEARNED_CLIENT_FIRST] = "client-first"};
	struct learned l;
	learn_read(live, &l);
	json_cstr(out, "learned", states[state_of(&l)]);
	json_u64(out, "server_first", l.server_first);
	json_u64(out, "client_http", l.client_http);
	json_u64(out, "client_tls", l.client_tls);
	json_u64(out, "client_opaque", l.client_opaque);
	json_u64(out, "contradicted", l.contradicted);
	json_cstr(out, "greeting", l.greeting != GREET_IS_UNKNOWN ? greet_name(l.greeting) : NULL);
	json_cstr(out, "app_protocol", learn_suggest(live));
	json_cstr(out, "tls_begins",
		  l.tls_begins < N_TLS_BEGINS ? tls_begin_name(l.tls_begins) : NULL);
	json_cstr(out, "in_clear", l.spoke_in_clear ? greet_name(l.in_clear) : NULL);
}
