#include "api/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/skim.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "rest/client.h"

enum {
	LIST_BYTES = 256 << 20,
	OBJECT_BYTES = 16 << 20,
	PAGE = 500,       /* objects a page, as kubectl asks */
	NAME_BYTES = 254, /* RFC 1123 subdomain and a NUL */
	VERSION_BYTES = 64,
	TOKEN_BYTES = 4096,
	/* Each watch ends by itself after 5 to 10 minutes, so that a forgotten one can't stay. */
	WATCH_MIN_S = 300,
	GRACE_S = 30, /* silence beyond the end of a watch: the server is dead */
	BACKOFF_FIRST_MS = 50,
	BACKOFF_CAP_MS = 30000,
	BACKOFF_CAP_UNIX_MS = 1000,
	/* Somebody who installs a kind waits for it; everybody else's sidecars ask as long as nobody does. */
	ABSENT_FIRST_MS = 1000,
	ABSENT_CAP_MS = 60000,
	HEALTHY_MS = 5000, /* a watch that lived so long: the next failure is a first one */
};

/* An object that has been reported: enough to notice that it vanished while we looked away. */
struct known {
	UT_hash_handle hh;
	uint64_t listing; /* the last complete list or event that had it */
	char version[VERSION_BYTES];
	size_t ns_len;
	size_t key_len;
	char key[]; /* namespace, a slash, name */
};

/* One resource: list, watch, wait; and again. */
struct follower {
	struct api_watch *w;
	unsigned index;
	char **paths, *query;    /* one for each version, the newest first */
	unsigned n_paths, path;  /* PATH is in use */
	unsigned n_absent_paths; /* the last so many lists were answered 404 */
	bool custom;             /* the server may do without the resource */
	struct api_resource_state state;
	struct rest_client *client;
	struct timer timer; /* WAITING, ABSENT */
	struct buf list;    /* body of a list, or of a refusal */
	struct framer framer;
	struct known *known;
	uint64_t listing; /* number of the current list */
	char list_version[VERSION_BYTES];
	char more[TOKEN_BYTES]; /* continue token; empty: the first page */
	unsigned status;        /* of the response that comes in */
	uint64_t retry_after_ms;
	unsigned n_failures; /* in a row */
	unsigned n_absences; /* in a row */
	uint64_t since_ns;   /* the watch stands since */
	bool watching;       /* this request is a watch */
	bool relist;         /* the next one must be a list */
	bool up;             /* has a watch that has not failed, or is absent: see on_connected */
};

struct api_watch {
	struct loop *loop;
	const struct api_watch_events *events;
	void *ctx;
	uint64_t cap_ms;
	bool synced, connected, freed;
	struct deferred end_of_turn;
	unsigned n;
	struct follower followers[];
};

static void begin(struct follower *f);
static const struct rest_events list_events, watch_events;

/* 0 to MAX. */
static uint64_t random_up_to(uint64_t max)
{
	uint32_t r = 0;
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = (uint32_t)clock_ns(); /* only jitter */
	return r % (max + 1);
}

/* News upwards. Each of these may free W: f->w->freed tells. */

static void tell_connected(struct api_watch *w)
{
	bool all = true;
	for (unsigned i = 0; i < w->n; i++)
		all = all && w->followers[i].up;
	if (all == w->connected || w->freed)
		return;
	w->connected = all;
	if (w->events->on_connected)
		w->events->on_connected(w->ctx, all);
}

static void tell_synced(struct api_watch *w)
{
	if (w->synced || w->freed)
		return;
	for (unsigned i = 0; i < w->n; i++)
		if (!w->followers[i].state.synced)
			return;
	w->synced = true;
	if (w->events->on_synced)
		w->events->on_synced(w->ctx);
}

static void tell_object(struct follower *f, enum api_event event, const struct known *k,
			struct slice json)
{
	struct api_watch *w = f->w;
	struct slice key = {k->key, k->key_len};
	if (w->freed || !w->events->on_object)
		return;
	struct api_object obj = {
		.kind = f->state.kind,
		.resource = f->index,
		.ns = slice_sub(key, 0, k->ns_len),
		.name = slice_sub(key, k->ns_len + 1, key.len),
		.version = slice_of(k->version),
		.json = json,
	};
	w->events->on_object(w->ctx, event, &obj);
}

/* Failing and trying again. */

/* How long after the Nth time, from 0. Between the half and the whole: those who lost the same server don't
 * return as one. */
static uint64_t backoff_ms(uint64_t first, unsigned n, uint64_t cap)
{
	uint64_t wait = n < 10 && first << n < cap ? first << n : cap;
	return wait / 2 + random_up_to(wait / 2);
}

static void failed(struct follower *f, const char *why)
{
	uint64_t wait = backoff_ms(BACKOFF_FIRST_MS, f->n_failures, f->w->cap_ms);
	if (wait < f->retry_after_ms)
		wait = f->retry_after_ms;
	if (f->n_failures++ == 0)
		log_warn("api", "following fails kind=%s error=\"%s\"", f->state.kind, why);
	else
		log_debug("api", "still fails kind=%s error=\"%s\" wait_ms=%llu", f->state.kind,
			  why, (unsigned long long)wait);
	f->state.failures++;
	(void)snprintf(f->state.error, sizeof(f->state.error), "%s", why); /* may be cut */
	f->state.state = API_WAITING;
	f->up = false;
	f->n_absent_paths = 0;
	timer_set(f->w->loop, &f->timer, wait * NS_PER_MS);
	tell_connected(f->w);
}

static void on_timer(struct timer *t)
{
	begin(CONTAINER_OF(t, struct follower, timer));
}

/* The next failure is a first one. */
static void healthy(struct follower *f)
{
	f->n_failures = 0;
}

/* Objects. */

static struct known *known_find(struct follower *f, const char *key, size_t len)
{
	struct known *k;
	HASH_FIND(hh, f->known, key, len, k);
	return k;
}

static void known_drop(struct follower *f, struct known *k)
{
	/* The analyzer takes the first of a table for one that has another before it. */
	HASH_DELETE(hh, f->known, k); /* NOLINT(clang-analyzer-unix.Malloc) */
	f->state.n_objects--;
	free(k);
}

struct peeked {
	char key[2 * NAME_BYTES];
	size_t ns_len, key_len;
	char version[VERSION_BYTES];
};

/* Name, namespace and version of the "metadata" that META begins with; the decoder refuses one that has a member twice. */
static bool peek_meta(struct slice meta, struct peeked *p)
{
	struct slice key, v;
	char name[NAME_BYTES] = "", ns[NAME_BYTES] = "";
	p->version[0] = '\0';
	while (skim_name(&meta, &key)) {
		bool ok = skim_value(&meta, &v);
		if (ok && slice_eq(key, SLICE("\"name\"")))
			ok = skim_string(v, name, sizeof(name));
		else if (ok && slice_eq(key, SLICE("\"namespace\"")))
			ok = skim_string(v, ns, sizeof(ns));
		else if (ok && slice_eq(key, SLICE("\"resourceVersion\"")))
			ok = skim_string(v, p->version, sizeof(p->version));
		if (!ok)
			return false;
	}
	size_t name_len = strlen(name);
	p->ns_len = strlen(ns);
	p->key_len = p->ns_len + 1 + name_len;
	memcpy(p->key, ns, p->ns_len);
	p->key[p->ns_len] = '/';
	memcpy(p->key + p->ns_len + 1, name, name_len + 1);
	return name_len && p->version[0];
}

/* Namespace, name and version. False: this is no object that one could follow. */
static bool peek(struct slice json, struct peeked *p)
{
	struct slice key, v;
	while (skim_name(&json, &key)) {
		if (slice_eq(key, SLICE("\"metadata\"")))
			return peek_meta(json, p);
		if (!skim_value(&json, &v))
			return false;
	}
	return false;
}

static void applied(struct follower *f, const struct peeked *p, struct slice json)
{
	unsigned hash = 0;
	struct known *k = NULL;
	HASH_VALUE(p->key, p->key_len, hash);
	HASH_FIND_BYHASHVALUE(hh, f->known, p->key, p->key_len, hash, k);
	bool news = !k || strcmp(k->version, p->version) != 0;
	if (!k) {
		k = mem_new(sizeof(*k) + p->key_len);
		k->ns_len = p->ns_len;
		k->key_len = p->key_len;
		memcpy(k->key, p->key, p->key_len);
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, f->known, k->key, k->key_len, hash, k);
		f->state.n_objects++;
	}
	memcpy(k->version, p->version, sizeof(k->version));
	k->listing = f->listing;
	if (news)
		tell_object(f, API_APPLIED, k, json);
}

static void deleted(struct follower *f, const struct peeked *p, struct slice json)
{
	struct known *k = known_find(f, p->key, p->key_len);
	if (!k)
		return;
	memcpy(k->version, p->version, sizeof(k->version));
	tell_object(f, API_DELETED, k, json);
	if (!f->w->freed)
		known_drop(f, k);
}

/* What the complete list did not have is gone. */
static void sweep(struct follower *f)
{
	struct known *k, *next;
	HASH_ITER (hh, f->known, k, next) {
		if (k->listing == f->listing)
			continue;
		tell_object(f, API_DELETED, k, (struct slice){0});
		if (f->w->freed)
			return;
		known_drop(f, k);
	}
}

/* Requests. */

static void ask(struct follower *f, const char *parameters, const struct rest_events *events,
		unsigned idle_ms)
{
	struct buf path;
	buf_init(&path, 64 << 10);
	bool ok = buf_printf(&path, "%s?%s%s%s", f->paths[f->path], parameters, f->query ? "&" : "",
			     f->query ? f->query : "");
	if (ok && f->more[0])
		ok = buf_puts(&path, "&continue=") && rest_escape(&path, slice_of(f->more));
	MUST(ok && buf_cstr(&path)); /* a path and a query of the program's own, a bounded token */
	f->retry_after_ms = 0;
	f->status = 0;
	buf_clear(&f->list);
	rest_client_send(f->client,
			 &(struct rest_ask){.path = buf_cstr(&path),
					    .accept = "application/json",
					    .idle_ms = idle_ms},
			 events, f);
	buf_fini(&path);
}

static void begin_list(struct follower *f)
{
	char parameters[32];
	if (!f->more[0])
		f->listing++;
	f->watching = false;
	f->state.state = API_CONNECTING;
	(void)snprintf(parameters, sizeof(parameters), "limit=%d", PAGE); /* fits */
	ask(f, parameters, &list_events, GRACE_S * 1000);
}

static void begin_watch(struct follower *f)
{
	char parameters[256];
	unsigned timeout_s = WATCH_MIN_S + (unsigned)random_up_to(WATCH_MIN_S);
	f->watching = true;
	f->more[0] = '\0';
	framer_fini(&f->framer);
	framer_init(&f->framer, OBJECT_BYTES);
	f->state.state = API_CONNECTING;
	(void)snprintf(parameters, sizeof(parameters),
		       "watch=1&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=%s",
		       timeout_s, f->state.version); /* fits */
	ask(f, parameters, &watch_events, (timeout_s + GRACE_S) * 1000);
}

static void begin(struct follower *f)
{
	if (f->state.version[0] == '\0' || f->relist)
		begin_list(f);
	else
		begin_watch(f);
}

/* The version we stood at is not known any more: everything anew. */
static void expired(struct follower *f, const char *why)
{
	log_debug("api", "version expired, listing again kind=%s version=%s", f->state.kind,
		  f->state.version);
	f->relist = true;
	f->more[0] = '\0';
	f->state.relists++;
	if (f->n_failures > 0) { /* a server that answers so each time is not asked in a circle */
		failed(f, why);
		return;
	}
	f->n_failures++;
	begin(f);
}

/* No version of the resource is there: as good as an empty list. */
static void absent(struct follower *f)
{
	struct api_watch *w = f->w;
	uint64_t wait = backoff_ms(ABSENT_FIRST_MS, f->n_absences, ABSENT_CAP_MS);
	if (f->n_absences++ == 0)
		log_info("api",
			 "the server does not have the kind, which counts as none of it kind=%s",
			 f->state.kind);
	healthy(f);
	f->path = 0;
	f->relist = true;
	f->state.state = API_ABSENT;
	f->state.error[0] = '\0';
	f->state.synced = true;
	f->up = true;
	timer_set(w->loop, &f->timer, wait * NS_PER_MS);
	tell_connected(w);
	tell_synced(w);
}

/* A custom resource is not there in the version that was asked for. */
static void not_found(struct follower *f, const char *why)
{
	if (++f->n_absent_paths < f->n_paths) {
		f->path = (f->path + 1) % f->n_paths;
		begin_list(f);
		return;
	}
	f->n_absent_paths = 0;
	/* Who takes a kind away takes its objects away first, and its watch says so. A server that begins to
	 * answer 404 with objects there is broken, and a policy must not vanish by that. */
	if (f->state.n_objects > 0)
		failed(f, why);
	else
		absent(f);
}

/* A response other than 200: its Status says why. */
static void refused(struct follower *f)
{
	char why[256], message[200] = "";
	struct slice v;
	if (skim_member(buf_slice(&f->list), "message", &v))
		(void)skim_string(v, message, sizeof(message)); /* too odd to show: left out */
	(void)snprintf(why, sizeof(why), "status %u%s%s", f->status, message[0] ? ": " : "",
		       message); /* may be cut */
	if (f->status == 410) {
		expired(f, why);
		return;
	}
	f->more[0] = '\0';
	/* Busy or broken: where we stood is still good. Else what we asked for is wrong now. */
	if (f->status != 429 && f->status < 500)
		f->relist = true;
	if (f->status == 404 && f->custom && !f->watching)
		not_found(f, why);
	else
		failed(f, why);
}

static void on_head(void *ctx, const struct rest_response *res)
{
	struct follower *f = ctx;
	f->status = res->status;
	f->retry_after_ms = res->retry_after_ms;
	if (f->status != 200)
		return;
	f->state.state = f->watching ? API_WATCHING : API_LISTING;
	if (!f->watching)
		return;
	if (f->state.error[0])
		log_info("api", "following again kind=%s", f->state.kind);
	f->state.error[0] = '\0';
	f->since_ns = clock_ns();
	f->up = true;
	tell_connected(f->w);
}

/* LIST. */

static void on_list_body(void *ctx, struct slice bytes)
{
	struct follower *f = ctx;
	if (buf_append(&f->list, bytes))
		return;
	rest_client_cancel(f->client);
	failed(f, "the list is too large");
}

/* Tells what stands in *ARRAY and takes it off; false: that is no array. W may be freed. */
static bool take_items(struct follower *f, struct slice *array)
{
	struct slice item;
	if (slice_starts(*array, SLICE("null")))
		return skim_value(array, &item);
	while (!f->w->freed && skim_element(array, &item)) {
		struct peeked p;
		if (peek(item, &p))
			applied(f, &p, item);
		else
			log_warn("api", "list item without a name or version kind=%s",
				 f->state.kind);
	}
	return f->w->freed || skim_end(array, ']');
}

static bool take_list_meta(struct follower *f, struct slice meta)
{
	struct slice v;
	f->more[0] = '\0';
	if (!skim_member(meta, "resourceVersion", &v) ||
	    !skim_string(v, f->list_version, sizeof(f->list_version)))
		return false;
	return !skim_member(meta, "continue", &v) || skim_string(v, f->more, sizeof(f->more));
}

/* False: no list. Its items have been told, up to where it is none (or W is freed). Goes over the text once. */
static bool take_list(struct follower *f)
{
	struct slice list = buf_slice(&f->list), key, v;
	bool items = false, meta = false;
	while (skim_name(&list, &key)) {
		bool ok;
		if (slice_eq(key, SLICE("\"items\""))) {
			ok = items = take_items(f, &list);
		} else {
			ok = skim_value(&list, &v);
			if (ok && slice_eq(key, SLICE("\"metadata\"")))
				ok = meta = take_list_meta(f, v);
		}
		if (!ok || f->w->freed)
			return f->w->freed;
	}
	return items && meta && skim_end(&list, '}');
}

static void on_list_end(void *ctx, const struct err *err)
{
	struct follower *f = ctx;
	if (err) {
		failed(f, err->text);
		return;
	}
	if (f->status != 200) {
		refused(f);
		return;
	}
	if (!take_list(f)) {
		failed(f, "what came is no list");
		return;
	}
	if (f->w->freed)
		return;
	buf_fini(&f->list);
	buf_init(&f->list, LIST_BYTES);
	if (f->more[0]) {
		begin_list(f);
		return;
	}
	sweep(f);
	if (f->w->freed)
		return;
	if (f->n_absences)
		log_info("api", "the server has the kind now kind=%s", f->state.kind);
	f->n_absences = f->n_absent_paths = 0;
	memcpy(f->state.version, f->list_version, sizeof(f->state.version));
	f->relist = false;
	f->state.synced = true;
	begin_watch(f);
	tell_synced(f->w);
}

/* WATCH. */

static void on_error_event(struct follower *f, struct slice status)
{
	struct slice v;
	uint64_t code = 0;
	char why[256] = "the watch ended with an error";
	if (skim_member(status, "code", &v))
		(void)skim_u64(v, &code); /* no number: 0 */
	if (skim_member(status, "message", &v))
		(void)skim_string(v, why, sizeof(why)); /* too odd to show: as above */
	rest_client_cancel(f->client);
	if (code == 410)
		expired(f, why);
	else
		failed(f, why);
}

/* FRAMER_OBJECT, or FRAMER_BAD: this is no event. */
static enum framer_result on_event(struct follower *f, struct slice event)
{
	struct slice type, object, meta, v;
	struct peeked p;
	if (!skim_member(event, "type", &type) || !skim_member(event, "object", &object))
		return FRAMER_BAD;
	if (slice_is(type, "\"ERROR\"")) {
		on_error_event(f, object);
		return FRAMER_OBJECT;
	}
	if (slice_is(type, "\"BOOKMARK\"")) {
		if (skim_member(object, "metadata", &meta) &&
		    skim_member(meta, "resourceVersion", &v))
			(void)skim_string(v, f->state.version, sizeof(f->state.version));
		healthy(f);
		return FRAMER_OBJECT;
	}
	if (!peek(object, &p))
		return FRAMER_BAD;
	f->state.events++;
	healthy(f);
	memcpy(f->state.version, p.version, sizeof(f->state.version));
	if (slice_is(type, "\"DELETED\""))
		deleted(f, &p, object);
	else
		applied(f, &p, object);
	return FRAMER_OBJECT;
}

static void on_watch_body(void *ctx, struct slice bytes)
{
	struct follower *f = ctx;
	struct slice object;
	enum framer_result r = FRAMER_MORE;
	if (f->status != 200) {
		(void)buf_append(&f->list, bytes); /* a Status; what does not fit is not shown */
		return;
	}
	do
		r = framer_next(&f->framer, &bytes, &object);
	while (r == FRAMER_OBJECT && (r = on_event(f, object)) == FRAMER_OBJECT && !f->w->freed &&
	       f->state.state == API_WATCHING);
	if (r == FRAMER_BAD && !f->w->freed && f->state.state == API_WATCHING) {
		rest_client_cancel(f->client);
		f->relist = true;
		failed(f, "what came is no watch event");
	}
}

static void on_watch_end(void *ctx, const struct err *err)
{
	struct follower *f = ctx;
	uint64_t lived_ms = (clock_ns() - f->since_ns) / NS_PER_MS;
	if (!err && f->status != 200) {
		refused(f);
		return;
	}
	if (f->status == 200 && lived_ms >= HEALTHY_MS)
		healthy(f);
	/* The end of a watch is normal, and so is one cut by a restart; a server that ends each one
	 * at once is not asked in a circle. */
	if (err || (lived_ms < HEALTHY_MS && f->n_failures > 0)) {
		failed(f, err ? err->text : "the server ends each watch at once");
		return;
	}
	if (lived_ms < HEALTHY_MS)
		f->n_failures++;
	begin_watch(f);
}

static const struct rest_events list_events = {on_head, on_list_body, on_list_end};
static const struct rest_events watch_events = {on_head, on_watch_body, on_watch_end};

/* The whole. */

static bool follower_init(struct follower *f, struct api_watch *w, unsigned index, const char *base,
			  const struct api_resource *r, struct err *err)
{
	f->w = w;
	f->index = index;
	f->custom = r->older != NULL;
	f->n_paths = 1;
	while (f->custom && r->older[f->n_paths - 1])
		f->n_paths++;
	f->paths = mem_array(f->n_paths, sizeof(*f->paths));
	for (unsigned i = 0; i < f->n_paths; i++)
		f->paths[i] = mem_strdup(i ? r->older[i - 1] : r->path);
	f->query = r->query ? mem_strdup(r->query) : NULL;
	f->state.kind = mem_strdup(r->kind);
	f->timer.fire = on_timer;
	buf_init(&f->list, LIST_BYTES);
	framer_init(&f->framer, OBJECT_BYTES);
	f->client = rest_client_new(w->loop, base, err);
	return f->client != NULL;
}

static void free_watch(struct deferred *d)
{
	struct api_watch *w = CONTAINER_OF(d, struct api_watch, end_of_turn);
	for (unsigned i = 0; i < w->n; i++) {
		struct follower *f = &w->followers[i];
		TABLE_DRAIN(f->known, free);
		buf_fini(&f->list);
		framer_fini(&f->framer);
		for (unsigned k = 0; k < f->n_paths; k++)
			free(f->paths[k]);
		free(f->paths);
		free(f->query);
		free((char *)(uintptr_t)f->state.kind); /* ours; const for those who look */
	}
	free(w);
}

void api_watch_free(struct api_watch *w)
{
	if (!w || w->freed)
		return;
	w->freed = true;
	for (unsigned i = 0; i < w->n; i++) {
		timer_cancel(w->loop, &w->followers[i].timer);
		rest_client_free(w->followers[i].client);
	}
	w->end_of_turn.run = free_watch; /* the caller may be one of our callbacks */
	loop_defer(w->loop, &w->end_of_turn);
}

struct api_watch *api_watch_new(struct loop *loop, const char *base,
				const struct api_resource *resources, unsigned n,
				const struct api_watch_events *events, void *ctx, struct err *err)
{
	struct api_watch *w = mem_new(sizeof(*w) + n * sizeof(w->followers[0]));
	w->loop = loop;
	w->events = events;
	w->ctx = ctx;
	w->cap_ms =
		slice_starts(slice_of(base), SLICE("unix:")) ? BACKOFF_CAP_UNIX_MS : BACKOFF_CAP_MS;
	for (w->n = 0; w->n < n; w->n++) {
		if (!follower_init(&w->followers[w->n], w, w->n, base, &resources[w->n], err)) {
			w->n++;
			api_watch_free(w);
			return NULL;
		}
	}
	for (unsigned i = 0; i < n; i++)
		begin(&w->followers[i]);
	return w;
}

bool api_watch_synced(const struct api_watch *w)
{
	return w->synced;
}

bool api_watch_connected(const struct api_watch *w)
{
	return w->connected;
}

unsigned api_watch_n(const struct api_watch *w)
{
	return w->n;
}

const struct api_resource_state *api_watch_state(const struct api_watch *w, unsigned i)
{
	MUST(i < w->n);
	return &w->followers[i].state;
}
