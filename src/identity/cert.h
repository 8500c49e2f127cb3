/*
 * What a certificate says, for people and for the clockwork of rotation.
 *
 *   struct cert_facts f;
 *   for (unsigned i = 0; cert_nth(chain_pem, i, arena, &f, &err); i++) ...
 *
 * All text is in the arena.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"

struct cert_facts {
	const char *subject, *issuer; /* RFC 2253, "" for an empty name */
	const char *serial;           /* hex */
	const char *uri;              /* the first URI among its names, "" none */
	const char *names;            /* all URI and DNS names, comma-separated */
	const char *key;              /* "EC P-256", "RSA 2048" */
	int64_t not_before_s, not_after_s;
	bool is_ca, self_signed;
	char sha256[65]; /* of the DER, lower hex */
	const char *pem;
};

/* The certificate number N of the PEM texts in CHAIN, from 0; false with ERR_NOT_FOUND behind the
 * last, with ERR_BAD_INPUT for a broken one. */
bool cert_nth(struct slice chain, unsigned n, struct arena *arena, struct cert_facts *out,
	      struct err *err) MUST_CHECK;

/* CHAIN, leaf first, leads to one of ROOTS at NOW_S, give or take SKEW_S. PEM texts. */
bool cert_leads_to(struct slice chain, struct slice roots, int64_t now_s, int64_t skew_s,
		   struct err *err) MUST_CHECK;
