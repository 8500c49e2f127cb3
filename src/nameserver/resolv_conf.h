/*
 * /etc/resolv.conf, as much of it as a forwarder needs: resolv.conf(5).
 *
 *   struct resolv_conf conf;
 *   resolv_conf_read("/etc/resolv.conf", &conf);          // what is not there is as resolv.conf(5) says
 *   conf.servers[0 .. conf.n_servers], resolv_conf_search(&conf, i)
 *
 *   struct resolv_file file = {.path = "/etc/resolv.conf"};
 *   if (resolv_file_changed(&file)) ...                    // true the first time; then read it
 *
 * Any bytes are fine: what cannot be understood is passed over.
 */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

#include "base/slice.h"
#include "net/addr.h"

enum {
	RESOLV_SERVERS = 3,         /* MAXNS of resolv.conf(5) */
	RESOLV_SEARCHES = 32,       /* as many as Kubernetes lets a Pod have, */
	RESOLV_SEARCH_BYTES = 2048, /* and as long */
};

struct resolv_conf {
	struct ip servers[RESOLV_SERVERS];
	unsigned n_servers;
	bool said; /* it names servers; else the one is 127.0.0.1 */
	unsigned n_searches;
	uint16_t search_at[RESOLV_SEARCHES + 1]; /* where each begins in `text` */
	char text[RESOLV_SEARCH_BYTES];          /* lower case, no dot at the end, end to end */
};

void resolv_conf_parse(struct slice text, struct resolv_conf *out);
void resolv_conf_read(const char *path, struct resolv_conf *out);
/* The Ith search domain; borrows from C. */
struct slice resolv_conf_search(const struct resolv_conf *c, unsigned i);

/* A file that may be written anew, or replaced by another of its name. */
struct resolv_file {
	const char *path;
	bool known;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};
/* Since it was asked last. One system call. A file that is away has not changed: what it said holds. */
bool resolv_file_changed(struct resolv_file *f);
