/* GET /dns: which names the DNS proxy answers, and what it would answer for one. */
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "proxy/main_thread.h"

enum {
	NAMES_PER_TURN = 200,     /* of the main thread's loop, which has other things to do */
	TURN_BYTES = 1024 * 1024, /* of those names */
	OUT_BYTES = 2048 * 1024,  /* with the last of them: 4,096 addresses of each family */
};

/* One name's answer. */
struct answering {
	struct ip ips[VIEW_NAME_IPS];
	struct slice searches[RESOLV_SEARCHES];
};

static void addresses(struct json_out *j, const struct view *v, struct slice host,
		      struct answering *a)
{
	static const struct view_searches none;
	struct view_name found;
	char text[ADDR_TEXT];
	json_open_array(j, "addresses");
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		if (!view_name(v, host, &none, f, a->ips, VIEW_NAME_IPS, &found))
			continue;
		for (size_t i = 0; i < found.n; i++)
			json_cstr(j, NULL, ip_text(&a->ips[i], text));
	}
	json_close(j);
}

static void one_host(struct json_out *j, const struct view *v, const struct view_service *s,
		     struct answering *a)
{
	json_open_object(j, NULL);
	json_cstr(j, "host", s->host);
	if (!s->entry && s->object->service->type == SERVICE_EXTERNAL_NAME)
		json_cstr(j, "alias_of", s->object->service->external_name);
	else
		addresses(j, v, slice_of(s->host), a);
	json_close(j);
}

static void settings(struct json_out *j, const struct resolv_conf *conf)
{
	char text[ADDR_TEXT];
	json_open_array(j, "nameservers");
	for (unsigned i = 0; i < conf->n_servers; i++)
		json_cstr(j, NULL, ip_text(&conf->servers[i], text));
	json_close(j);
	json_open_array(j, "search");
	for (unsigned i = 0; i < conf->n_searches; i++)
		json_slice(j, NULL, resolv_conf_search(conf, i));
	json_close(j);
	json_u64(j, "ttl", DNS_PROXY_TTL_S);
}

/* All names, some per turn, no faster than the reader takes them. */
struct listing {
	struct view *view;
	const struct view_service **of[2]; /* Services, entries */
	size_t n[2], list, at;
	struct buf out;
	struct json_out json;
	struct answering answering;
};

static void end(struct listing *l)
{
	view_put(l->view);
	free(l->of[0]);
	free(l->of[1]);
	buf_fini(&l->out);
	free(l);
}

static void on_gone(void *ctx, struct rest_reply *reply)
{
	(void)reply;
	end(ctx);
}

/* False: all have been. */
static bool next_host(struct listing *l, const struct view_service **s)
{
	while (l->list < N_ELEMS(l->of)) {
		if (l->at == l->n[l->list]) {
			l->list++;
			l->at = 0;
			continue;
		}
		*s = l->of[l->list][l->at++];
		if (!(*s)->entry || (*s)->entry->n_ips)
			return true;
	}
	return false;
}

/* The next names. False: none are left. */
static bool put_names(struct listing *l)
{
	const struct view_service *s;
	for (int i = 0; i < NAMES_PER_TURN && buf_len(&l->out) < TURN_BYTES; i++) {
		if (!next_host(l, &s)) {
			json_close(&l->json);
			json_close(&l->json);
			return false;
		}
		one_host(&l->json, l->view, s, &l->answering);
	}
	return true;
}

static void go_on(void *ctx, struct rest_reply *reply)
{
	struct listing *l = ctx;
	bool more;
	do {
		more = put_names(l);
		if (!rest_stream_write(reply, buf_slice(&l->out)))
			return; /* on_gone() comes */
		buf_clear(&l->out);
	} while (more && rest_stream_backlog(reply) == 0); /* a HEAD: nothing is to be drained */
	if (more)
		return; /* again once it has left */
	rest_stream_end(reply);
	end(l);
}

static void all_names(struct proxy *p, const struct resolv_conf *conf, struct rest_reply *reply)
{
	struct listing *l = mem_new(sizeof(*l));
	l->view = view_get(p->view);
	l->of[0] = view_services(l->view, &l->n[0]);
	l->of[1] = view_entries(l->view, &l->n[1]);
	buf_init(&l->out, OUT_BYTES);
	json_out_init(&l->json, &l->out);
	json_open_object(&l->json, NULL);
	settings(&l->json, conf);
	json_open_array(&l->json, "names");
	rest_reply_begin_stream(reply, 200, "application/json");
	rest_reply_on_gone(reply, on_gone, l);
	rest_reply_on_drained(reply, go_on, l);
	go_on(l, reply);
}

/* As the proxy would answer it, with the search domains. */
static void one_name(struct json_out *j, const struct view *v, struct slice name,
		     const struct resolv_conf *conf)
{
	struct answering *a = mem_new(sizeof(*a));
	struct view_searches searches = {a->searches, conf->n_searches};
	struct view_name found = {0};
	char text[ADDR_TEXT];
	bool known = false;
	for (unsigned i = 0; i < conf->n_searches; i++)
		a->searches[i] = resolv_conf_search(conf, i);
	json_open_object(j, NULL);
	json_slice(j, "name", name);
	json_open_array(j, "addresses");
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		known = view_name(v, name, &searches, f, a->ips, VIEW_NAME_IPS, &found);
		for (size_t i = 0; known && i < found.n; i++)
			json_cstr(j, NULL, ip_text(&a->ips[i], text));
	}
	json_close(j);
	json_cstr(j, "alias_of", known ? found.alias : NULL);
	json_cstr(j, "answered_by",
		  known && !found.alias ? "mesh"
		  : known               ? "alias"
					: "nameservers");
	json_close(j);
	free(a);
}

void list_names(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	struct slice name = rest_query(req, "name");
	struct resolv_conf conf;
	struct buf out;
	struct json_out j;
	if (!p->dns) {
		rest_reply_text(reply, 404, "the DNS proxy is off");
		return;
	}
	if (!p->view) {
		rest_reply_text(reply, 503, "no configuration yet");
		return;
	}
	dns_proxy_conf(p->dns, &conf);
	if (!name.at) {
		all_names(p, &conf, reply);
		return;
	}
	buf_init(&out, TURN_BYTES); /* 8,192 addresses in text are 400 KiB at most */
	json_out_init(&j, &out);
	one_name(&j, p->view, name, &conf);
	rest_reply_full(reply, 200, "application/json", buf_slice(&out));
	buf_fini(&out);
}
