#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "model/sidecar.h"
#include "proxy/proxy.h"

static const char *api, *pod, *ns, *listen_on, *to, *level, *access_log;
static const char *tls, *ca_addr, *ca_host, *ca_root, *token, *cert_dir;
static unsigned workers, uid, admin_port;
static bool detect, no_resumption, dns;

static const struct arg_row rows[] = {
	{0, "api", "BASE", "who serves the configuration (unix:/run/hark/api.sock)", ARG_TEXT,
	 &api},
	{0, "pod", "NAME", "whose sidecar this is ($POD_NAME)", ARG_TEXT, &pod},
	{0, "namespace", "NAME", "and in which namespace ($POD_NAMESPACE)", ARG_TEXT, &ns},
	{0, "ca", "ADDR:PORT", "the certificate authority ($CA_ADDR)", ARG_TEXT, &ca_addr},
	{0, "ca-host", "NAME", "whose certificate it has ($ISTIOD_SAN)", ARG_TEXT, &ca_host},
	{0, "ca-root", "FILE", "who vouches for it (/var/run/secrets/istio/root-cert.pem)",
	 ARG_TEXT, &ca_root},
	{0, "token", "FILE", "who we are (/var/run/secrets/tokens/istio-token)", ARG_TEXT, &token},
	{0, "cert-dir", "DIR",
	 "instead of an authority: cert-chain.pem, key.pem and root-cert.pem in there", ARG_TEXT,
	 &cert_dir},
	{0, "workers", "N", "threads (one per core)", ARG_NUMBER, &workers},
	{0, "uid", "UID", "user to become once the ports are open", ARG_NUMBER, &uid},
	{0, "dns", NULL, "answer DNS on port 15053 of loopback ($" SIDECAR_DNS_ENV "=true)",
	 ARG_FLAG, &dns},
	{0, "log-level", "LEVEL", "debug, info, warn or error (info)", ARG_TEXT, &level},
	{0, "listen", "ADDR:PORT", "with --to: where to listen", ARG_TEXT, &listen_on},
	{0, "to", "ADDR:PORT", "one fixed destination: no capture, no configuration", ARG_TEXT,
	 &to},
	{0, "detect", NULL, "with --to: listen to both ends for the first word", ARG_FLAG, &detect},
	{0, "tls", "SIDE", "with --to: mesh TLS towards the \"server\", or from the \"client\"",
	 ARG_TEXT, &tls},
	{0, "no-resumption", NULL, "with --tls: a full handshake for each connection", ARG_FLAG,
	 &no_resumption},
	{0, "access-log", "FILE", "with --to: a line per connection (none)", ARG_TEXT, &access_log},
	{0, "admin-port", "PORT", "with --to: admin endpoints on loopback (none)", ARG_NUMBER,
	 &admin_port},
};

/* One fixed destination: for trying out and for measuring. */
static int fixed(struct proxy_config *cfg)
{
	if (!listen_on || !to)
		return args_bad(&cmd_proxy, "--listen and --to belong together");
	if (!addr_parse(slice_of(listen_on), &cfg->listen) || cfg->listen.port == 0)
		return args_bad(&cmd_proxy, "--listen: expected ADDRESS:PORT, got \"%s\"",
				listen_on);
	if (!addr_parse(slice_of(to), &cfg->to) || cfg->to.port == 0)
		return args_bad(&cmd_proxy, "--to: expected ADDRESS:PORT, got \"%s\"", to);
	if (admin_port > UINT16_MAX)
		return args_bad(&cmd_proxy, "--admin-port: %u is no port", admin_port);
	if (tls && strcmp(tls, "client") != 0 && strcmp(tls, "server") != 0)
		return args_bad(&cmd_proxy, "--tls: expected client or server, got \"%s\"", tls);
	if (tls && !own_cert_wanted(&cfg->cert))
		return args_bad(&cmd_proxy, "--tls needs a certificate: --cert-dir or --ca");
	if (no_resumption && !tls)
		return args_bad(&cmd_proxy, "--no-resumption is about --tls");
	cfg->tls_server = tls && strcmp(tls, "client") == 0; /* it speaks TLS to us */
	cfg->tls_client = tls && !cfg->tls_server;
	cfg->no_resumption = no_resumption;
	cfg->detect = detect;
	cfg->access_log = access_log;
	cfg->admin_port = (uint16_t)admin_port;
	cfg->metrics_port = cfg->health_port = cfg->prometheus_port = 0;
	return 0;
}

static int run_proxy(char **operands, unsigned n)
{
	(void)operands; /* takes none */
	(void)n;        /* as above */
	struct proxy_config cfg;
	enum log_level least;
	proxy_config_default(&cfg);
	if (level && !log_level_parse(level, &least))
		return args_bad(&cmd_proxy, "--log-level: there is no level \"%s\"", level);
	if (level)
		log_set_level(least);
	cfg.api = api ? api : cfg.api;
	cfg.pod = pod ? pod : cfg.pod;
	cfg.ns = ns ? ns : cfg.ns;
	cfg.cert.ca_addr = ca_addr ? ca_addr : cfg.cert.ca_addr;
	cfg.cert.ca_host = ca_host ? ca_host : cfg.cert.ca_host;
	cfg.cert.ca_roots = ca_root ? ca_root : cfg.cert.ca_roots;
	cfg.cert.token = token ? token : cfg.cert.token;
	cfg.cert.cert_dir = cert_dir ? cert_dir : cfg.cert.cert_dir;
	cfg.workers = workers;
	cfg.dns = cfg.dns || dns;
	cfg.uid = uid;
	if (listen_on || to) {
		int bad = fixed(&cfg);
		if (bad)
			return bad;
	} else if (!*cfg.pod) {
		return args_bad(&cmd_proxy,
				"whose sidecar? --pod NAME, or POD_NAME in the environment");
	}
	return proxy_run(&cfg);
}

const struct command cmd_proxy = {
	.name = "proxy",
	.operands = "",
	.summary = "the sidecar: takes captured connections and relays them",
	.detail =
		"The sidecar of a Pod. It takes what capture redirects to ports 15001 (outbound) "
		"and "
		"15006 (inbound),\nfinds out what each connection speaks and passes it on; its "
		"configuration comes from the API at --api.\nSIGTERM drains it: it goes on serving "
		"until the last connection has ended or the mesh's\nterminationDrain is over.\n\n"
		"With --listen and --to it relays to one address, without capture or "
		"configuration.",
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.run = run_proxy,
};
