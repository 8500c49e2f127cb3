/*
 * A Service of the mesh itself: something that the node serves on its gateway addresses, made known
 * like any other Service, so that sidecars, virtual IPs and DNS treat it as one.
 *
 *   own_service_write(store, node, &(struct own_service){.ns = "kube-system", .name = "kube-dns",
 *                             .ports = json_pack(...), .number = 10}, &err);
 *
 * Its Namespace is made where it is missing; one that a person declared stays as it is.
 */
#pragma once
#include <jansson.h>

#include "model/store.h"
#include "sandbox/node.h"

struct own_service {
	const char *ns, *name;
	json_t *ports;   /* as in spec.ports; the reference is taken over */
	unsigned number; /* of its addresses in the ranges of virtual IPs; 0: any free ones */
};

struct ip own_service_ip(const struct node *node, unsigned number, enum ip_family f);
bool own_service_write(struct store *store, const struct node *node, const struct own_service *s,
		       struct err *err) MUST_CHECK;
