/*
 * Contexts for TLS that is no mesh TLS: what a DestinationRule of mode SIMPLE or MUTUAL asks for, made
 * of the files that it names.
 *
 *   struct tls_context *ctx = origin_context(&w->origins, rule, clock_ns(), &err);   // borrowed
 *
 * A context is kept per set of files and made anew when one of them has changed; files are looked at
 * once a second at most. Files that are missing or no good are tried again as often; meanwhile the last
 * good context stays in force, and where there never was one the answer is what was wrong. That is
 * logged once, not per connection. A few small files are read on the worker's thread, where a
 * connection waits for them. Bounded. Of one worker.
 *
 * Istio: without caCertificates the roots of the operating system count; at a sidecar credentialName
 * needs a Secret, which is not to be had here.
 */
#pragma once
#include "base/table.h"
#include "model/kinds.h"
#include "tls/tls.h"

enum { ORIGINS_MAX = 64, ORIGIN_FILES = 3 };
#define ORIGIN_SYSTEM_ROOTS "/etc/ssl/certs/ca-certificates.crt"

struct origin;
struct origin_cache {
	struct origin *by_key;
};

void origin_cache_fini(struct origin_cache *c);
/* Borrowed until the next call. NULL with ERR: which file, and what is wrong with it. NOW_NS is of a
 * clock that never goes back. */
struct tls_context *origin_context(struct origin_cache *c, const struct client_tls *rule,
				   uint64_t now_ns, struct err *err) MUST_CHECK;
