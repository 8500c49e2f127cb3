/* What a view knows of one host of ServiceEntries: all entries of one namespace that have it count
 * together, the oldest first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/annotations.h"
#include "model/object_set.h"
#include "model/view_inside.h"

/* A name that has to be resolved for a host. */
struct need {
	const char *name;
	const struct ip *ips;
	size_t n;
	bool known;
};

/* A host as it is being made. */
struct making {
	const struct view_frame *frame;
	struct hosts *hosts;
	struct service_part *part;
	struct arena *arena;
	const char *host;
	struct view_entry *entry;
	struct need *needs; /* each name once */
	size_t n_needs, size_needs;
	bool indexed; /* there may be many */
	struct index by_name;
	struct view_endpoint *found; /* of the port at hand, as they come */
	size_t n_found, size_found;
	struct index seen;     /* among them, by address */
	struct arena *scratch; /* ends with the making */
};

enum { FEW = 16 }; /* are looked through one after the other */

static int by_age(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;
	return object_older(*x, *y) ? -1 : object_older(*y, *x);
}

/* Those of ALL that count, the oldest first, into OUT: what the own namespace has, else that of the
 * oldest. */
static size_t choose(const struct view_frame *frame, const char *host, struct object *const *all,
		     size_t n, const struct object **out)
{
	size_t n_visible = 0, n_chosen = 0;
	for (size_t i = 0; i < n; i++)
		if (scope_has_entry(frame->scope, all[i], host))
			out[n_visible++] = all[i];
	qsort(out, n_visible, sizeof(struct object *), by_age);
	const char *ns = n_visible ? out[0]->meta.ns : "";
	for (size_t i = 0; i < n_visible; i++)
		if (strcmp(out[i]->meta.ns, frame->self_ns) == 0)
			ns = frame->self_ns;
	for (size_t i = 0; i < n_visible; i++)
		if (strcmp(out[i]->meta.ns, ns) == 0)
			out[n_chosen++] = out[i];
	return n_chosen;
}

/* Endpoints */

static bool is_found(const struct making *m, const struct addr *at)
{
	for (size_t i = 0; i < m->n_found && i < FEW; i++)
		if (addr_eq(&m->found[i].at, at))
			return true;
	if (m->n_found <= FEW)
		return false;
	for (struct index_walk w = index_find(&m->seen, at, sizeof(*at)); index_next(&m->seen, &w);)
		if (addr_eq(&m->found[w.i].at, at))
			return true;
	return false;
}

/* All of `found` but the first few are in `seen`, which has room for as many as `found` has. */
static void make_room(struct making *m)
{
	if (m->n_found < m->size_found)
		return;
	m->size_found = m->size_found ? 2 * m->size_found : FEW;
	m->found = mem_grow(m->found, m->size_found, sizeof(*m->found));
	index_init(&m->seen, m->scratch, m->size_found);
	for (size_t i = FEW; i < m->n_found; i++)
		index_add(&m->seen, &m->found[i].at, sizeof(struct addr), i);
}

static void add_endpoint(struct making *m, const struct ip *ip, uint16_t port,
			 const struct view_peer *peer, uint32_t weight)
{
	struct addr at = {.ip = *ip, .port = port};
	if (is_found(m, &at))
		return;
	make_room(m);
	if (m->n_found >= FEW)
		index_add(&m->seen, &at, sizeof(at), m->n_found);
	m->found[m->n_found++] =
		(struct view_endpoint){.at = at, .ready = true, .peer = peer, .weight = weight};
}

/* The own Pod has no way to addresses of a family that it lacks. */
static bool reachable(const struct making *m, const struct ip *ip)
{
	const struct object *self = m->frame->self;
	if (!self || (!self->pod->has_ip[IP_V4] && !self->pod->has_ip[IP_V6]))
		return true;
	return self->pod->has_ip[ip_is_v4(ip) ? IP_V4 : IP_V6];
}

static struct need *find_need(const struct making *m, const char *name)
{
	struct need *found = NULL;
	if (m->indexed)
		for (struct index_walk w = index_find(&m->by_name, name, strlen(name));
		     !found && index_next(&m->by_name, &w);)
			found = strcmp(m->needs[w.i].name, name) == 0 ? &m->needs[w.i] : NULL;
	for (size_t i = 0; !m->indexed && !found && i < m->n_needs; i++)
		found = strcmp(m->needs[i].name, name) == 0 ? &m->needs[i] : NULL;
	return found;
}

/* What NAME resolves to; it is asked for once, however many ports and endpoints have it. */
static const struct need *need(struct making *m, const char *name)
{
	struct need *x = find_need(m, name);
	if (x)
		return x;
	MUST(m->n_needs < m->size_needs);
	x = &m->needs[m->n_needs];
	*x = (struct need){.name = name};
	x->known = hosts_resolve(m->hosts, name, m->host, &x->ips, &x->n);
	if (m->indexed)
		index_add(&m->by_name, name, strlen(name), m->n_needs);
	m->n_needs++;
	return x;
}

/* All addresses of NAME; with FIRST_ONLY the first of each family. */
static void add_resolved(struct making *m, const struct need *x, uint16_t port, bool first_only,
			 const struct view_peer *peer, uint32_t weight)
{
	bool had[N_IP_FAMILIES] = {false};
	for (size_t i = 0; i < x->n; i++) {
		bool *family = &had[ip_is_v4(&x->ips[i]) ? IP_V4 : IP_V6];
		if (!reachable(m, &x->ips[i]) || (first_only && *family))
			continue;
		*family = true;
		add_endpoint(m, &x->ips[i], port, peer, weight);
	}
}

static uint16_t port_at(const struct workload_entry *e, const struct entry_port *p)
{
	for (size_t i = 0; i < e->n_ports; i++)
		if (strcmp(e->ports[i].name, p->name) == 0)
			return e->ports[i].port;
	return p->target_port ? p->target_port : p->number;
}

const struct view_peer *workload_entry_peer(struct arena *a, const struct workload_entry *e,
					    const struct pairs *labels, const char *ns)
{
	const char *mode = labels ? pairs_get(labels, LABEL_TLS_MODE) : NULL;
	if (!mode)
		mode = pairs_get(&e->labels, LABEL_TLS_MODE);
	bool mesh_tls = mode ? strcmp(mode, "istio") == 0 : e->service_account[0] != '\0';
	if (!mesh_tls)
		return NULL;
	struct view_peer *peer = arena_alloc(a, sizeof(*peer));
	*peer = (struct view_peer){arena_dup(a, slice_of(ns)),
				   arena_dup(a, slice_of(e->service_account)), true};
	return peer;
}

static void add_workload(struct making *m, const struct service_entry *s,
			 const struct entry_port *p, const struct workload_entry *e,
			 const struct view_peer *peer)
{
	bool dns = s->resolution == RESOLUTION_DNS || s->resolution == RESOLUTION_DNS_ROUND_ROBIN;
	if (e->has_ip)
		add_endpoint(m, &e->ip, port_at(e, p), peer, e->weight);
	else if (e->address[0] && dns)
		add_resolved(m, need(m, e->address), port_at(e, p),
			     s->resolution == RESOLUTION_DNS_ROUND_ROBIN, peer, e->weight);
}

bool workload_is_selected(const struct pairs *selector, const struct object *o)
{
	for (size_t i = 0; i < selector->n; i++) {
		const char *key = selector->at[i].key, *value = pairs_get(&o->meta.labels, key);
		if (!value && o->kind == KIND_WORKLOAD_ENTRY)
			value = pairs_get(&o->workload_entry->labels, key);
		if (!value || strcmp(value, selector->at[i].value) != 0)
			return false;
	}
	return selector->n > 0;
}

static void add_pod(struct making *m, const struct object *pod, const struct entry_port *p)
{
	const struct pod *spec = pod->pod;
	if (!spec->ready || pod->meta.deletion_ns || !workload_is_addressed(pod))
		return;
	for (int f = 0; f < N_IP_FAMILIES; f++)
		if (spec->has_ip[f])
			add_endpoint(m, &spec->ip[f], p->target_port ? p->target_port : p->number,
				     NULL, 0);
}

static void add_selected(struct making *m, const struct object *entry, const struct entry_port *p)
{
	const struct object_set *sets[] = {m->hosts->pods, m->hosts->workloads};
	const char *ns = entry->meta.ns;
	for (size_t k = 0; k < N_ELEMS(sets); k++) {
		size_t at = 0;
		(void)object_set_find(sets[k], ns, "", &at); /* where the namespace begins */
		for (; at < sets[k]->n && strcmp(sets[k]->at[at]->meta.ns, ns) == 0; at++) {
			const struct object *o = sets[k]->at[at];
			if (!workload_is_selected(&entry->service_entry->selector, o))
				continue;
			if (o->kind == KIND_POD)
				add_pod(m, o, p);
			else
				add_workload(m, entry->service_entry, p, o->workload_entry,
					     workload_entry_peer(m->arena, o->workload_entry,
								 &o->meta.labels, ns));
		}
	}
}

/* What stands behind port P of ENTRY. */
static void add_endpoints(struct making *m, const struct object *entry, const struct entry_port *p)
{
	const struct service_entry *s = entry->service_entry;
	bool dns = s->resolution == RESOLUTION_DNS || s->resolution == RESOLUTION_DNS_ROUND_ROBIN;
	if (s->resolution == RESOLUTION_NONE)
		return; /* wherever the client dials */
	if (s->has_selector)
		add_selected(m, entry, p);
	for (size_t i = 0; i < s->n_endpoints; i++)
		add_workload(m, s, p, &s->endpoints[i],
			     workload_entry_peer(m->arena, &s->endpoints[i], NULL, entry->meta.ns));
	if (!s->has_selector && s->n_endpoints == 0 && dns && m->host[0] != '*')
		add_resolved(m, need(m, m->host), p->target_port ? p->target_port : p->number,
			     s->resolution == RESOLUTION_DNS_ROUND_ROBIN, NULL, 0);
}

static uint32_t weight_of(const struct view_endpoint *ep)
{
	return ep->weight ? ep->weight : 1;
}

void view_port_weigh(struct arena *a, struct view_port *port)
{
	bool differ = false;
	for (size_t i = 1; i < port->n_endpoints; i++)
		differ = differ || weight_of(&port->endpoints[i]) != weight_of(&port->endpoints[0]);
	if (!differ)
		return;
	uint64_t *upto = arena_array(a, port->n_endpoints, sizeof(*upto)), sum = 0;
	for (size_t i = 0; i < port->n_endpoints; i++) {
		if (i == port->n_v4)
			sum = 0;
		upto[i] = sum += weight_of(&port->endpoints[i]);
	}
	port->weight_upto = upto;
}

/* What was found becomes PORT's, IPv4 first. */
static void take_endpoints(struct making *m, struct view_port *port)
{
	struct view_endpoint *all = arena_array(m->arena, m->n_found, sizeof(*all));
	struct live *live = m->frame->live;
	size_t n = 0;
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < m->n_found; i++) {
			if (ip_is_v4(&m->found[i].at.ip) == (v6 != 0))
				continue;
			all[n] = m->found[i];
			all[n].live = live ? live_endpoint_get(live, &all[n].at) : NULL;
			n++;
		}
		if (!v6)
			port->n_v4 = n;
	}
	port->endpoints = all;
	port->n_endpoints = port->n_known = n;
	view_port_weigh(m->arena, port);
	if (m->n_found > FEW)
		index_init(&m->seen, m->scratch, m->size_found);
	m->n_found = 0;
}

/* Ports */

static void fill_port(struct making *m, struct view_port *vp, const struct entry_port *p)
{
	const struct view_frame *frame = m->frame;
	struct service_port *port = arena_alloc(m->arena, sizeof(*port));
	struct detection_words words = {frame->mesh->detection, "",
					frame->mesh->protocol_detection_timeout_ms};
	*port = (struct service_port){
		.name = p->name,
		.protocol = L4_TCP,
		.port = p->number,
		.target_port = {"", p->target_port},
		.app_protocol = p->protocol[0] ? p->protocol : NULL,
	};
	detection_lay(&words, m->arena, m->part->service.object, p->number);
	vp->service = &m->part->service;
	vp->port = port;
	vp->protocol = protocol_of_word(p->protocol, &vp->why);
	vp->detection = words.detection;
	vp->detection_from = words.from;
	vp->detection_timeout_ms = words.timeout_ms;
	vp->tls = rule_tls(m->part->service.rule, p->number);
	vp->hidden =
		!scope_has_port(frame->scope, m->part->service.object->meta.ns, m->host, p->number);
	if (frame->live)
		vp->live = live_port_get(frame->live, LIVE_OUTBOUND, m->host, p->number);
}

static const struct entry_port *port_of(const struct service_entry *s, uint16_t number)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].number == number)
			return &s->ports[i];
	return NULL;
}

/* The ports of all entries, each number once and as the oldest says. */
static struct view_port *add_ports(struct making *m)
{
	const struct view_entry *entry = m->entry;
	struct view_service *s = &m->part->service;
	size_t room = 0;
	for (size_t i = 0; i < entry->n_objects; i++)
		room += entry->objects[i]->service_entry->n_ports;
	struct view_port *ports = arena_array(m->arena, room, sizeof(*ports));
	for (size_t i = 0; i < entry->n_objects; i++) {
		const struct service_entry *e = entry->objects[i]->service_entry;
		for (size_t k = 0; k < e->n_ports; k++) {
			const struct entry_port *p = &e->ports[k];
			bool is_new =
				protocol_class(protocol_parse(slice_of(p->protocol))) != CLASS_NONE;
			for (size_t j = 0; j < s->n_ports; j++)
				is_new = is_new && ports[j].port->port != p->number;
			if (is_new)
				fill_port(m, &ports[s->n_ports++], p);
		}
	}
	s->ports = ports;
	return ports;
}

/* What stands behind PORTS, which are those of add_ports(). */
static void add_servers(struct making *m, struct view_port *ports)
{
	const struct view_entry *entry = m->entry;
	for (size_t j = 0; j < m->part->service.n_ports; j++) {
		for (size_t i = 0; i < entry->n_objects; i++) {
			const struct entry_port *p =
				port_of(entry->objects[i]->service_entry, ports[j].port->port);
			if (p)
				add_endpoints(m, entry->objects[i], p);
		}
		take_endpoints(m, &ports[j]);
	}
}

/* A port that nobody declares leads to the host's own address, where virtual IPs hide that. */
static void add_other(struct making *m)
{
	struct view_entry *entry = m->entry;
	if (!entry->given)
		return;
	static const struct service_port none = {.name = "", .target_port = {"", 0}};
	struct view_port *other = arena_alloc(m->arena, sizeof(*other));
	*other = (struct view_port){.service = &m->part->service,
				    .port = &none,
				    .why = WHY_UNDECLARED,
				    .detection = m->frame->mesh->detection,
				    .detection_from = ""};
	struct entry_name *own = arena_alloc(m->arena, sizeof(*own));
	struct need self = {.name = m->host};
	self.known = hosts_resolve(m->hosts, m->host, m->host, &self.ips, &self.n);
	add_resolved(m, &self, 0, false, NULL, 0);
	*own = (struct entry_name){m->host, self.known};
	entry->own = own;
	take_endpoints(m, other);
	if (m->frame->live)
		other->live = live_port_get(m->frame->live, LIVE_OUTBOUND, m->host, 0);
	entry->other = other;
}

/* Addresses */

static bool has_ip(const struct view_entry *e, const struct ip *ip)
{
	for (size_t i = 0; i < e->n_ips; i++)
		if (ip_eq(&e->ips[i], ip))
			return true;
	return false;
}

/* A host that is an address is its own. */
static void add_written(struct making *m)
{
	struct view_entry *entry = m->entry;
	struct ip host;
	size_t room = 1;
	for (size_t i = 0; i < entry->n_objects; i++)
		room += entry->objects[i]->service_entry->n_addresses;
	struct ip *ips = arena_array(m->arena, room, sizeof(*ips));
	struct cidr *ranges = arena_array(m->arena, room, sizeof(*ranges));
	entry->ips = ips;
	entry->ranges = ranges;
	for (size_t i = 0; i < entry->n_objects; i++) {
		const struct service_entry *s = entry->objects[i]->service_entry;
		for (size_t k = 0; k < s->n_addresses; k++) {
			const struct cidr *c = &s->addresses[k];
			if (c->bits != IP_BITS)
				ranges[entry->n_ranges++] = *c;
			else if (!has_ip(entry, &c->ip))
				ips[entry->n_ips++] = c->ip;
		}
	}
	if (entry->n_ips + entry->n_ranges == 0 && ip_parse(slice_of(m->host), &host))
		ips[entry->n_ips++] = host;
}

/* The next address that ENTRY's status has for HOST from *AT on; NULL: there is none left. */
static const struct entry_vip *next_vip(const struct object *entry, const char *host, size_t *at)
{
	const struct service_entry *s = entry->service_entry;
	while (*at < s->n_vips) {
		const struct entry_vip *vip = &s->vips[(*at)++];
		if (strcmp(vip->host, host) == 0)
			return vip;
	}
	return NULL;
}

static size_t count_vips(const struct object *const *objects, size_t n, const char *host)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t at = 0; next_vip(objects[i], host, &at);)
			count++;
	return count;
}

static void add_given(struct making *m)
{
	struct view_entry *entry = m->entry;
	const struct entry_vip *vip = NULL;
	size_t room = count_vips(entry->objects, entry->n_objects, m->host);
	struct ip *ips = arena_array(m->arena, room, sizeof(*ips));
	entry->ips = ips;
	for (size_t i = 0; i < entry->n_objects; i++)
		if (entry_wants_vip(entry->objects[i], m->host))
			for (size_t at = 0; (vip = next_vip(entry->objects[i], m->host, &at));)
				if (!has_ip(entry, &vip->ip))
					ips[entry->n_ips++] = vip->ip;
	entry->given = entry->n_ips > 0;
}

bool entry_wants_vip(const struct object *entry, const char *host)
{
	const struct service_entry *s = entry->service_entry;
	const char *label = pairs_get(&entry->meta.labels, LABEL_NO_VIP);
	struct ip ip;
	return s->n_addresses == 0 && !ip_parse(slice_of(host), &ip) &&
	       s->resolution != RESOLUTION_NONE && s->resolution != RESOLUTION_DYNAMIC_DNS &&
	       host[0] != '*' && !(label && slice_eq_nocase(slice_of(label), SLICE("false")));
}

static const char *const *names_of_servers(struct arena *a, const struct object *const *objects,
					   size_t n)
{
	static const char *const none[] = {NULL};
	size_t room = 0, at = 0;
	for (size_t i = 0; i < n; i++)
		for (const char *const *s = objects[i]->service_entry->subject_alt_names; *s; s++)
			room++;
	if (room == 0)
		return none;
	const char **all = arena_array(a, room + 1, sizeof(*all));
	for (size_t i = 0; i < n; i++)
		for (const char *const *s = objects[i]->service_entry->subject_alt_names; *s; s++)
			all[at++] = arena_dup(a, slice_of(*s));
	return all;
}

const char *const *entry_names_for(const struct view_frame *frame, struct arena *a,
				   const char *host, const char *ns)
{
	static const char *const none[] = {NULL};
	size_t n = 0, n_heard = 0;
	struct object *const *all = hosts_entries(frame->hosts, host, &n);
	if (n == 0)
		return none;
	const struct object **heard = mem_array(n, sizeof(struct object *));
	for (size_t i = 0; i < n; i++) {
		const char *of = all[i]->meta.ns;
		if ((strcmp(of, ns) == 0 || strcmp(of, frame->self_ns) == 0) &&
		    scope_has_entry(frame->scope, all[i], host))
			heard[n_heard++] = all[i];
	}
	const char *const *names = names_of_servers(a, heard, n_heard);
	free(heard);
	return names;
}

/* Any thread: the cells are counted with atomics. */
static void end(struct part *p)
{
	struct service_part *part = CONTAINER_OF(p, struct service_part, part);
	for (size_t i = 0; i < part->service.n_ports; i++)
		view_port_end(&part->service.ports[i]);
	if (part->service.entry->other)
		view_port_end(part->service.entry->other);
	live_host_put(part->service.entry->live);
}

static bool selects_self(const struct view_frame *frame, const struct object *entry)
{
	const struct object *self = frame->self;
	return self && entry->service_entry->has_selector &&
	       strcmp(entry->meta.ns, self->meta.ns) == 0 &&
	       workload_is_selected(&entry->service_entry->selector, self);
}

/* The own Pod is one of those that an entry selects. */
static bool is_mine(const struct view_frame *frame, const struct object *const *objects, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (selects_self(frame, objects[i]))
			return true;
	return false;
}

/* Room for all names that the host may need. */
static void begin_needs(struct making *m, const struct object *const *objects, size_t n)
{
	m->scratch = arena_new();
	m->size_needs = 1; /* the host itself */
	for (size_t i = 0; i < n; i++)
		m->size_needs +=
			objects[i]->service_entry->n_endpoints +
			(objects[i]->service_entry->has_selector ? m->hosts->workloads->n : 0);
	m->needs = arena_array(m->scratch, m->size_needs, sizeof(*m->needs));
	m->indexed = m->size_needs > FEW;
	if (m->indexed)
		index_init(&m->by_name, m->scratch, m->size_needs);
}

/* The host's own name is there already; alone, as it is with most, it takes nothing. */
static void take_names(struct making *m)
{
	m->entry->n_names = m->n_needs;
	if (m->n_needs == 1 && m->entry->own && m->needs[0].name == m->host) {
		m->entry->names = m->entry->own;
		return;
	}
	struct entry_name *names = arena_array(m->arena, m->n_needs, sizeof(*names));
	for (size_t i = 0; i < m->n_needs; i++) {
		const struct need *x = &m->needs[i];
		const char *name =
			x->name == m->host ? x->name : arena_dup(m->arena, slice_of(x->name));
		names[i] = (struct entry_name){name, x->known};
	}
	m->entry->names = names;
}

/* As the arena aligns them. */
static size_t aligned(size_t n, size_t size)
{
	return (n * size + 15) & ~(size_t)15;
}

/* What a host takes, so that its arena has no slack: there may be many of them. Of names that endpoints have nothing is
 * known yet; those take more, one address each. */
static size_t count_bytes(const struct making *m, const struct object *const *objects, size_t n)
{
	const struct ip *ips = NULL;
	size_t n_ports = 0, n_endpoints = 0, n_written = 0, n_names = 0, n_own = 0;
	size_t n_vips = count_vips(objects, n, m->host);
	(void)hosts_resolve(m->hosts, m->host, m->host, &ips, &n_own); /* only how many */
	for (size_t i = 0; i < n; i++) {
		const struct service_entry *s = objects[i]->service_entry;
		n_ports += s->n_ports;
		n_endpoints += s->n_endpoints ? s->n_endpoints : n_own;
		n_written += s->n_addresses;
		n_names += s->n_endpoints;
	}
	return aligned(1, sizeof(struct view_entry)) + aligned(strlen(m->host) + 1, 1) +
	       aligned(n_written, sizeof(struct ip)) + aligned(n_written, sizeof(struct cidr)) +
	       aligned(n_vips, sizeof(struct ip)) + aligned(n_ports, sizeof(struct view_port)) +
	       n_ports * aligned(1, sizeof(struct service_port)) +
	       n_ports * aligned(n_endpoints, sizeof(struct view_endpoint)) +
	       (n_vips ? aligned(1, sizeof(struct view_port)) +
				 aligned(n_own, sizeof(struct view_endpoint))
		       : 0) +
	       aligned(1, sizeof(struct entry_name)) + aligned(n_names, sizeof(struct entry_name));
}

static struct service_part *part_of(struct making *m, const struct object *const *objects, size_t n)
{
	struct service_part *part = part_new(sizeof(*part), count_bytes(m, objects, n), n);
	struct view_entry *entry = arena_alloc(part->part.arena, sizeof(*entry));
	for (size_t i = 0; i < n; i++)
		part_hold(&part->part, objects[i]);
	part->part.end = end;
	part->known = true;
	part->mine = is_mine(m->frame, objects, n);
	m->part = part;
	m->arena = part->part.arena;
	m->entry = entry;
	m->host = arena_dup(m->arena, slice_of(m->host));
	entry->objects = (const struct object *const *)part->part.held;
	entry->n_objects = n;
	entry->resolution = objects[0]->service_entry->resolution;
	entry->location = objects[0]->service_entry->location;
	part->service.object = objects[0];
	part->service.entry = entry;
	part->service.subject_alt_names = names_of_servers(m->arena, objects, n);
	part->service.host = m->host;
	part->service.rule = rules_of(m->frame->rules, &part->service);
	return part;
}

struct service_part *entry_part_new(const struct view_frame *frame, struct hosts *hosts,
				    const char *host)
{
	size_t n = 0;
	struct object *const *all = hosts_entries(hosts, host, &n);
	const struct object **objects = mem_array(n + 1, sizeof(struct object *));
	struct making m = {.frame = frame, .hosts = hosts, .host = host};
	n = choose(frame, host, all, n, objects);
	if (n == 0) {
		free(objects);
		return NULL;
	}
	struct service_part *part = part_of(&m, objects, n);
	begin_needs(&m, objects, n);
	add_written(&m);
	if (m.entry->n_ips == 0 && m.entry->n_ranges == 0)
		add_given(&m);
	/* Without the DNS proxy no client hears of a virtual IP. */
	m.entry->open = m.entry->n_ranges == 0 &&
			(m.entry->n_ips == 0 || (m.entry->given && !frame->mesh->dns_capture));
	add_servers(&m, add_ports(&m));
	add_other(&m);
	take_names(&m);
	if (frame->live && (m.entry->n_names || m.entry->own))
		m.entry->live = live_host_get(frame->live, m.host);
	arena_free(m.scratch);
	free(m.found);
	free(objects);
	return part;
}

struct service_part *entry_part_unseen(const struct view_frame *frame, struct hosts *hosts,
				       const char *host)
{
	size_t n = 0, n_own = 0;
	struct object *const *all = hosts_entries(hosts, host, &n);
	const struct object **own = mem_array(n + 1, sizeof(struct object *));
	struct view_frame unmeasured = *frame;
	unmeasured.live = NULL; /* nobody here is its client */
	struct making m = {.frame = &unmeasured, .hosts = hosts, .host = host};
	struct service_part *part = NULL;
	for (size_t i = 0; i < n; i++)
		if (selects_self(frame, all[i]) && !scope_has_entry(frame->scope, all[i], host))
			own[n_own++] = all[i];
	if (n_own) {
		qsort(own, n_own, sizeof(struct object *), by_age);
		part = part_of(&m, own, n_own);
		part->known = false;
		(void)add_ports(
			&m); /* they are the part's; what stands behind them is the own Pod */
	}
	free(own);
	return part;
}
