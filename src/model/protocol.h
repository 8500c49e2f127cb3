/*
 * Which protocol a port declares, exactly as Istio reads it (protocol selection: name, appProtocol,
 * well-known ports).
 *
 *   enum protocol p = protocol_of_service_port(&port, &why);      // PROTO_MYSQL, WHY_NAME
 *   protocol_class(p) == CLASS_AUTO       // nobody declared it: listen to both ends
 */
#pragma once
#include "model/kinds.h"

enum protocol {
	PROTO_AUTO, /* "unsupported" in Istio's code: nothing declared, or a word it does not know
		     */
	PROTO_HTTP,
	PROTO_HTTP2,
	PROTO_GRPC,
	PROTO_GRPC_WEB,
	PROTO_HTTP_PROXY,
	PROTO_HTTPS,
	PROTO_TLS,
	PROTO_TCP,
	PROTO_MONGO,
	PROTO_MYSQL,
	PROTO_REDIS,
	PROTO_UDP,
	N_PROTOCOLS,
};

enum proto_class { CLASS_AUTO, CLASS_HTTP, CLASS_TCP, CLASS_NONE /* UDP: not proxied */ };

enum protocol_why {
	WHY_PROTOCOL_UDP,
	WHY_APP_PROTOCOL,
	WHY_APP_PROTOCOL_UNKNOWN,
	WHY_NAME,
	WHY_WELL_KNOWN_PORT,
	WHY_ENTRY, /* a ServiceEntry's port says so: app_protocol is its word; or a Sidecar's */
	WHY_ENTRY_UNKNOWN, /* or says what nobody knows */
	WHY_UNDECLARED
};

enum protocol protocol_of_service_port(const struct service_port *port, enum protocol_why *why);
/* WORD: of a port of a ServiceEntry or Sidecar; "" is none. */
enum protocol protocol_of_word(const char *word, enum protocol_why *why);
enum proto_class protocol_class(enum protocol p);
/* What its clients say first may name the host that they mean: TLS, HTTP, and what is not declared. */
bool protocol_names_host(enum protocol p);
const char *protocol_name(enum protocol p); /* "mysql"; "auto" for PROTO_AUTO */
/* The words of ServiceEntry, Sidecar and Gateway ports: exact, any case, no suffix, no well-known
 * ports. */
enum protocol protocol_parse(struct slice word);
