#include "local/mesh.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/cluster_dns.h"
#include "local/deployments.h"
#include "local/endpoints.h"
#include "local/entry_vips.h"
#include "local/mesh_inside.h"
#include "local/own_service.h"
#include "local/service_ips.h"
#include "local/services.h"
#include "local/vips.h"
#include "net/sock.h"

enum {
	DNS_PORT = 53,
	DNS_NUMBER = 10, /* of its address in the range of virtual IPs, as Kubernetes' is */
	STOP_GRACE_S = 10,
	BODY_MAX = 64 * 1024 * 1024,
};

static void all_gone(void *ctx)
{
	struct mesh *m = ctx;
	loop_stop(m->loop);
}

static void on_signal(struct io *io, uint32_t events)
{
	struct mesh *m = CONTAINER_OF(io, struct mesh, signals);
	struct signalfd_siginfo info;
	(void)events; /* only EPOLLIN is asked for */

	while (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (m->stopping) {
			loop_stop(m->loop);
			continue;
		}
		log_info("local", "mesh stops name=%s signal=%u", m->node->cfg.name,
			 info.ssi_signo);
		m->stopping = true;
		pods_stop_all(m->pods, STOP_GRACE_S, all_gone, m);
	}
}

static bool watch_signals(struct mesh *m, struct err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, "sigprocmask");
	m->signals.on_ready = on_signal;
	m->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (m->signals.fd < 0)
		return err_sys(err, "signalfd");
	return loop_add(m->loop, &m->signals, EPOLLIN, err);
}

static json_t *dns_ports(void)
{
	return json_pack("[{s:s, s:s, s:i, s:s}, {s:s, s:s, s:i}]", "name", "dns-tcp", "protocol",
			 "TCP", "port", DNS_PORT, "appProtocol", "tcp", "name", "dns", "protocol",
			 "UDP", "port", DNS_PORT);
}

static bool start_dns(struct mesh *m, struct err *err)
{
	struct addr v4 = {.ip = m->node->gateway_v4, .port = DNS_PORT};
	struct addr v6 = {.ip = m->node->gateway_v6, .port = DNS_PORT};

	m->dns = cluster_dns_new(m->loop, m->store, MESH_ZONE);
	struct own_service dns = {.ns = "kube-system",
				  .name = "kube-dns",
				  .ports = dns_ports(),
				  .number = DNS_NUMBER};
	return own_service_write(m->store, m->node, &dns, err) &&
	       cluster_dns_listen(m->dns, &v4, err) &&
	       (!m->node->ipv6 || cluster_dns_listen(m->dns, &v6, err));
}

/* What `hark apply` checks for a batch, for one Service written through the API. */
static bool admit(void *ctx, const struct object *o, const struct object *old, struct err *err)
{
	struct mesh *m = ctx;
	struct service_ips ips;
	(void)old; /* the store is asked */

	if (o->kind != KIND_SERVICE)
		return true;
	service_ips_init(&ips, &m->node->cfg, m->node->ipv6, m->store);
	bool ok = service_ips_claim(&ips, o, err);
	service_ips_fini(&ips);
	return ok;
}

static bool delete_object(void *ctx, const struct object *o, struct err *err)
{
	struct mesh *m = ctx;
	(void)err; /* O is there, and all that can be done to it is to note that it shall go */
	apply_delete(m->store, o);
	return true;
}

static bool listen_at(struct api_server *api, const char *path, unsigned mode, struct err *err)
{
	int fd = net_listen_unix(path, mode, err);
	return fd >= 0 && rest_server_listen_fd(api_server_http(api), fd, err);
}

static bool start_apis(struct mesh *m, char sidecar_socket[NODE_PATH_LEN + 16], struct err *err)
{
	struct api_options writable = {.writable = true,
				       .limits = {.body_bytes = BODY_MAX},
				       .admit = admit,
				       .remove = delete_object,
				       .ctx = m};
	struct api_options reading = {.writable = false};
	char path[NODE_PATH_LEN + 16];

	m->admin = api_server_new(m->loop, "admin", m->store, &writable);
	m->sidecars = api_server_new(m->loop, "sidecars", m->store, &reading);
	mesh_routes(m);
	snprintf(path, sizeof(path), "%s/" MESH_ADMIN_SOCKET, m->node->cfg.run_dir);
	snprintf(sidecar_socket, NODE_PATH_LEN + 16, "%s/api.sock", m->node->dir);
	return listen_at(m->admin, path, 0600, err) &&
	       listen_at(m->sidecars, sidecar_socket, 0666, err);
}

static void start_controllers(struct mesh *m, const char *sidecar_socket)
{
	const struct pods_config cfg = {.zone = MESH_ZONE,
					.api_socket = sidecar_socket,
					.dns = own_service_ip(m->node, DNS_NUMBER, IP_V4),
					.authority = m->authority};
	m->services = services_start(m->node, m->store);
	m->entry_vips = entry_vips_start(m->loop, m->store, ENTRY_VIPS_V4,
					 m->node->ipv6 ? ENTRY_VIPS_V6 : NULL);
	m->deployments = deployments_start(m->loop, m->store);
	m->endpoints = endpoints_start(m->loop, m->store);
	m->vips = vips_start(m->node, m->store, m->rules);
	m->pods = pods_start(m->node, m->store, &cfg);
}

static void stop(struct mesh *m)
{
	if (m->admin)
		api_server_free(m->admin);
	if (m->sidecars)
		api_server_free(m->sidecars);
	pods_free(m->pods);
	nft_runner_free(m->rules);
	vips_stop(m->vips);
	endpoints_stop(m->endpoints);
	deployments_stop(m->deployments);
	services_stop(m->services);
	entry_vips_stop(m->entry_vips);
	authority_stop(m->authority);
	cluster_dns_free(m->dns);
	loop_del(m->loop, &m->signals);
	(void)close(m->signals.fd); /* nothing was written to it */
}

static bool apply_first(struct mesh *m, const struct mesh_options *opt, struct err *err)
{
	struct buf report;
	struct json_out j;

	buf_init(&report, BODY_MAX);
	json_out_init(&j, &report);
	bool ok = apply_files(m->store, m->node, opt->files, opt->n_files, &j);
	if (!ok) {
		json_t *root = json_loadb(buf_slice(&report).at, buf_len(&report), 0, NULL);
		const char *messages = json_string_value(json_object_get(root, "messages"));
		ok = err_set(err, ERR_BAD_INPUT, "%s", messages ? messages : "no report");
		json_decref(root);
	}
	buf_fini(&report);
	return ok;
}

int mesh_main(struct node *node, void *arg)
{
	const struct mesh_options *opt = arg;
	struct mesh m = {.node = node};
	struct err err = {0};
	char sidecar_socket[NODE_PATH_LEN + 16];

	/* Ctrl-C is for the command in the terminal, which then asks us to stop: Pods that heard it
	 * themselves would not end in their order. A detached node leads a session already. */
	(void)setpgid(0, 0);
	m.loop = node->loop = loop_new(&err);
	m.store = store_new();
	bool ok = m.loop && (m.rules = nft_runner_new(m.loop, &err)) && watch_signals(&m, &err) &&
		  start_dns(&m, &err) && start_apis(&m, sidecar_socket, &err) &&
		  apply_first(&m, opt, &err) &&
		  (m.authority = authority_start(node, m.store, opt->ca_dir, &err));
	if (!ok) {
		fprintf(stderr, "hark up: %s\n", err.text);
		return 1; /* the end of this process is the end of all of it */
	}
	start_controllers(&m, sidecar_socket);
	if (write(opt->ready_fd, "1", 1) != 1)
		log_warn("local", "nobody waits for the mesh to start");
	(void)close(opt->ready_fd); /* one byte has gone through it */
	log_info("local", "mesh runs name=%s", node->cfg.name);
	ok = loop_run(m.loop, &err);
	if (!ok)
		log_error("local", "loop ended error=\"%s\"", err.text);
	stop(&m);
	loop_free(m.loop);
	store_free(m.store);
	return ok ? 0 : 1;
}
