/*
 * Which texts Kubernetes takes as names.
 *
 *   if (!name_ok(NAME_PORT, slice)) ... name_rule(NAME_PORT) says what is allowed
 *
 * The limits and alphabets are those of the API's validation (RFC 1123, RFC 1035, RFC 6335 for
 * ports).
 */
#pragma once
#include "base/slice.h"

enum name_kind {
	NAME_LABEL,       /* RFC 1123 label: namespaces, containers, volumes, ports of Services */
	NAME_SUBDOMAIN,   /* RFC 1123 subdomain: most resources */
	NAME_LABEL_1035,  /* begins with a letter: Services */
	NAME_PORT,        /* RFC 6335: ports of containers, targetPort */
	NAME_QUALIFIED,   /* "[prefix/]name": keys of labels and annotations */
	NAME_LABEL_VALUE, /* may be empty */
	NAME_CONFIG_KEY,  /* keys of a ConfigMap, also file names */
	NAME_ENV,
};

bool name_ok(enum name_kind kind, struct slice name);
const char *name_rule(enum name_kind kind); /* what is allowed, for people */
