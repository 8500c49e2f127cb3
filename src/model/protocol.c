#include "model/protocol.h"

static const struct {
	const char *word; /* in resources, any case; also what metrics and people read */
	enum proto_class class;
} protocols[N_PROTOCOLS] = {
	/* clang-format off */
	[PROTO_AUTO]       = {"auto",       CLASS_AUTO}, /* not a word: nobody can declare it */
	[PROTO_HTTP]       = {"http",       CLASS_HTTP},
	[PROTO_HTTP2]      = {"http2",      CLASS_HTTP},
	[PROTO_GRPC]       = {"grpc",       CLASS_HTTP},
	[PROTO_GRPC_WEB]   = {"grpc-web",   CLASS_HTTP},
	[PROTO_HTTP_PROXY] = {"http_proxy", CLASS_HTTP},
	[PROTO_HTTPS]      = {"https",      CLASS_TCP},
	[PROTO_TLS]        = {"tls",        CLASS_TCP},
	[PROTO_TCP]        = {"tcp",        CLASS_TCP},
	[PROTO_MONGO]      = {"mongo",      CLASS_TCP},
	[PROTO_MYSQL]      = {"mysql",      CLASS_TCP},
	[PROTO_REDIS]      = {"redis",      CLASS_TCP},
	[PROTO_UDP]        = {"udp",        CLASS_NONE},
	/* clang-format on */
};

enum proto_class protocol_class(enum protocol p)
{
	return protocols[p].class;
}

bool protocol_names_host(enum protocol p)
{
	return p == PROTO_TLS || p == PROTO_HTTPS || protocol_class(p) == CLASS_HTTP ||
	       protocol_class(p) == CLASS_AUTO;
}

const char *protocol_name(enum protocol p)
{
	return protocols[p].word;
}

enum protocol protocol_parse(struct slice word)
{
	for (enum protocol p = PROTO_AUTO + 1; p < N_PROTOCOLS; p++)
		if (slice_eq_nocase(word, slice_of(protocols[p].word)))
			return p;
	return PROTO_AUTO;
}

/* The prefixed values of appProtocol that Kubernetes standardised: exact, case counts. */
static enum protocol kubernetes_protocol(struct slice app_protocol)
{
	static const struct {
		const char *word;
		enum protocol protocol;
	} words[] = {
		{"kubernetes.io/h2c", PROTO_HTTP2},
		{"kubernetes.io/ws", PROTO_HTTP},
		{"kubernetes.io/wss", PROTO_HTTPS},
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_is(app_protocol, words[i].word))
			return words[i].protocol;
	return PROTO_AUTO;
}

/* What a text before its first '-' declares; "grpc-web" is the exception, a plain prefix. */
static enum protocol text_protocol(struct slice text)
{
	if (slice_starts_nocase(text, SLICE("grpc-web")))
		return PROTO_GRPC_WEB;
	return protocol_parse(slice_cut(&text, '-'));
}

/* By the Service's port, not the target's; for both directions. Not extensible: a longer list would
 * change what existing declarations mean, and hark needs none. */
static bool is_well_known_tcp(uint16_t port)
{
	return port == 25 || port == 53 || port == 3306 || port == 27017;
}

enum protocol protocol_of_service_port(const struct service_port *port, enum protocol_why *why)
{
	if (port->protocol == L4_UDP) {
		*why = WHY_PROTOCOL_UDP;
		return PROTO_UDP;
	}
	/* An appProtocol replaces the name, also when it is a word that nobody knows. */
	struct slice text = slice_of(port->app_protocol ? port->app_protocol : port->name);
	enum protocol p = port->app_protocol ? kubernetes_protocol(text) : PROTO_AUTO;
	if (p == PROTO_AUTO)
		p = text_protocol(text);
	if (p != PROTO_AUTO) {
		*why = port->app_protocol ? WHY_APP_PROTOCOL : WHY_NAME;
		return p;
	}
	if (is_well_known_tcp(port->port)) {
		*why = WHY_WELL_KNOWN_PORT;
		return PROTO_TCP;
	}
	*why = port->app_protocol ? WHY_APP_PROTOCOL_UNKNOWN : WHY_UNDECLARED;
	return PROTO_AUTO;
}

enum protocol protocol_of_word(const char *word, enum protocol_why *why)
{
	enum protocol p = protocol_parse(slice_of(word));
	*why = !word[0] ? WHY_UNDECLARED : p == PROTO_AUTO ? WHY_ENTRY_UNKNOWN : WHY_ENTRY;
	return p;
}
