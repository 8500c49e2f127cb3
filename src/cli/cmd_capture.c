#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "capture/capture.h"
#include "cli/commands.h"
#include "model/sidecar.h"

enum { PRINT_MAX = 1024 * 1024 };

static const char *mode, *inbound, *not_inbound, *ranges, *not_ranges, *outbound, *not_outbound;
static const char *not_ifaces, *reroute_ifaces, *status_port;
static unsigned outbound_port = SIDECAR_OUTBOUND_PORT, inbound_port = SIDECAR_INBOUND_PORT;
static unsigned dns_port = SIDECAR_DNS_PORT, uid = SIDECAR_ID, gid = SIDECAR_ID;
static bool dns, now;
static struct arg_list dns_servers;

/* Letters are those of Istio's program where it has one. */
static const struct arg_row rows[] = {
	{'p', "outbound-port", "PORT", "where outbound connections go (15001)", ARG_NUMBER,
	 &outbound_port},
	{'z', "inbound-port", "PORT", "where inbound connections go (15006)", ARG_NUMBER,
	 &inbound_port},
	{'u', "uid", "UID", "the proxy's user, left alone (1337)", ARG_NUMBER, &uid},
	{'g', "gid", "GID", "the proxy's group, left alone (1337)", ARG_NUMBER, &gid},
	{'m', "mode", "MODE", "REDIRECT, or NONE for no rules", ARG_TEXT, &mode},
	{'b', "inbound", "PORTS", "inbound ports to capture: a list, or * (all)", ARG_TEXT,
	 &inbound},
	{'d', "exclude-inbound", "PORTS", "inbound ports to leave alone", ARG_TEXT, &not_inbound},
	{'i', "ranges", "CIDRS", "outbound addresses to capture: a list, or * (all)", ARG_TEXT,
	 &ranges},
	{'x', "exclude-ranges", "CIDRS", "outbound addresses to leave alone", ARG_TEXT,
	 &not_ranges},
	{'q', "outbound", "PORTS", "outbound ports to capture whatever the address", ARG_TEXT,
	 &outbound},
	{'o', "exclude-outbound", "PORTS", "outbound ports to leave alone", ARG_TEXT,
	 &not_outbound},
	{'c', "exclude-interfaces", "NAMES", "interfaces to leave alone", ARG_TEXT, &not_ifaces},
	{'k', "reroute-interfaces", "NAMES", "what comes in there is outbound", ARG_TEXT,
	 &reroute_ifaces},
	{0, "status-port", "PORT", "the proxy's status port, left alone (15020)", ARG_TEXT,
	 &status_port},
	{0, "dns", NULL, "send DNS to the proxy too", ARG_FLAG, &dns},
	{0, "dns-port", "PORT", "where DNS goes (15053)", ARG_NUMBER, &dns_port},
	{0, "dns-server", "ADDRESS", "only DNS to this server; may be repeated", ARG_LIST,
	 &dns_servers},
	{0, "now", NULL, "print: the rules in force, with their counters", ARG_FLAG, &now},
};

static bool set_lists(struct capture_config *cfg, struct arena *arena, struct err *err)
{
	const struct {
		const char *value, *setting, *where;
	} settings[] = {
		{mode, "interceptionMode", "--mode"},
		{inbound, "includeInboundPorts", "--inbound"},
		{not_inbound, "excludeInboundPorts", "--exclude-inbound"},
		{ranges, "includeOutboundIPRanges", "--ranges"},
		{not_ranges, "excludeOutboundIPRanges", "--exclude-ranges"},
		{outbound, "includeOutboundPorts", "--outbound"},
		{not_outbound, "excludeOutboundPorts", "--exclude-outbound"},
		{not_ifaces, "excludeInterfaces", "--exclude-interfaces"},
		{reroute_ifaces, "rerouteVirtualInterfaces", "--reroute-interfaces"},
		{status_port, "statusPort", "--status-port"},
	};
	for (size_t i = 0; i < N_ELEMS(settings); i++)
		if (settings[i].value &&
		    !capture_config_set(cfg, settings[i].setting, slice_of(settings[i].value),
					settings[i].where, arena, err))
			return false;
	return true;
}

static bool set_numbers(struct capture_config *cfg, struct arena *arena, struct err *err)
{
	const struct {
		unsigned value;
		uint16_t *to;
		const char *where;
	} ports[] = {
		{outbound_port, &cfg->outbound_port, "--outbound-port"},
		{inbound_port, &cfg->inbound_port, "--inbound-port"},
		{dns_port, &cfg->dns_port, "--dns-port"},
	};
	for (size_t i = 0; i < N_ELEMS(ports); i++) {
		if (ports[i].value == 0 || ports[i].value > UINT16_MAX)
			return err_set(err, ERR_BAD_INPUT, "%s: %u is not a port (1 to 65535)",
				       ports[i].where, ports[i].value);
		*ports[i].to = (uint16_t)ports[i].value;
	}
	cfg->uid = uid;
	cfg->gid = gid;
	cfg->dns = dns;
	struct ip *servers = arena_array(arena, dns_servers.n, sizeof(*servers));
	for (size_t i = 0; i < dns_servers.n; i++)
		if (!ip_parse(slice_of(dns_servers.at[i]), &servers[i]))
			return err_set(err, ERR_BAD_INPUT,
				       "--dns-server: \"%s\" is not an IP address",
				       dns_servers.at[i]);
	cfg->dns_servers = servers;
	cfg->n_dns_servers = dns_servers.n;
	return true;
}

static bool print_rules(const struct capture_config *cfg, struct err *err)
{
	struct buf out;
	buf_init(&out, PRINT_MAX);
	bool ok = now ? capture_print(&out, err) : capture_rules(cfg, &out, err);
	if (ok && fwrite(buf_slice(&out).at, 1, buf_len(&out), stdout) != buf_len(&out))
		ok = err_sys(err, "standard output");
	buf_fini(&out);
	return ok;
}

static int run_capture(char **operands, unsigned n)
{
	(void)n; /* exactly one, args_read saw to it */
	struct capture_config cfg;
	struct err err = {0};
	struct arena *arena = arena_new();
	capture_config_init(&cfg);
	bool ok = set_lists(&cfg, arena, &err) && set_numbers(&cfg, arena, &err);
	if (!ok)
		;
	else if (strcmp(operands[0], "apply") == 0)
		ok = capture_apply(&cfg, &err);
	else if (strcmp(operands[0], "clean") == 0)
		ok = capture_clean(&err);
	else if (strcmp(operands[0], "print") == 0)
		ok = print_rules(&cfg, &err);
	else
		ok = err_set(&err, ERR_BAD_INPUT, "\"%s\" is not apply, clean or print",
			     operands[0]);
	arena_free(arena);
	if (ok)
		return 0;
	if (err.kind == ERR_BAD_INPUT)
		return args_bad(&cmd_capture, "%s", err.text);
	fprintf(stderr, "hark capture: %s\n", err.text);
	return EXIT_FAILED;
}

const struct command cmd_capture = {
	.name = "capture",
	.operands = "apply|clean|print",
	.summary = "bring this network namespace's traffic to the sidecar",
	.detail = "apply puts the nftables rules into force, replacing those of an earlier apply "
		  "in one\n"
		  "transaction; clean removes them; print shows what apply would do, or with --now "
		  "what is\n"
		  "in force. The rules are tables hark-nat and hark-raw of family inet; each rule "
		  "carries\n"
		  "the row of Istio's rule table that it stands for. `hark up` does this for every "
		  "Pod with\n"
		  "a sidecar.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = run_capture,
};
