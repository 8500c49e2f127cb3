/*
 * Inside rest only: where a client dials.
 *
 *   struct base_url to;
 *   if (!base_url_parse("unix:/run/hark/api.sock", &to, &err)) ...
 *   int fd = base_url_dial(&to, &err);
 */
#pragma once
#include <sys/un.h>

#include "base/err.h"
#include "net/addr.h"

struct base_url {
	bool is_unix;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct addr addr;
	char host[ADDR_TEXT]; /* for the Host field */
};

bool base_url_parse(const char *text, struct base_url *out, struct err *err) MUST_CHECK;
/* A descriptor on which a connection was begun (see net_connect), or -1. */
int base_url_dial(const struct base_url *to, struct err *err);
