/*
 * /etc/resolv.conf, as much of it as a forwarder needs: resolv.conf(5).
 *
 *   struct resolv_conf conf;
 *   resolv_conf_read("/etc/resolv.conf", &conf);          // what is not there is as resolv.conf(5) says
 *   conf.servers[0 .. conf.n_servers], conf.search        // the first search domain, "" for none
 */
#pragma once
#include "base/slice.h"
#include "net/addr.h"

enum { RESOLV_SERVERS = 3 /* MAXNS of resolv.conf(5) */, RESOLV_SEARCH_LEN = 256 };

struct resolv_conf {
	struct ip servers[RESOLV_SERVERS];
	unsigned n_servers;
	bool said;                      /* it names servers; else the one is 127.0.0.1 */
	char search[RESOLV_SEARCH_LEN]; /* lower case, no dot at the end */
};

void resolv_conf_parse(struct slice text, struct resolv_conf *out);
void resolv_conf_read(const char *path, struct resolv_conf *out);
