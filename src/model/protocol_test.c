#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/protocol.h"

/* clang-format off */
static const struct {
	const char *rule;
	enum protocol_l4 l4;
	uint16_t port;
	const char *name, *app_protocol;
	enum protocol protocol;
	enum proto_class class;
	enum protocol_why why;
} cases[] = {
	{"no name, no number that is known",      L4_TCP, 3307,  "",            NULL,    PROTO_AUTO,     CLASS_AUTO, WHY_UNDECLARED},
	{"http",                                  L4_TCP, 80,    "http",        NULL,    PROTO_HTTP,     CLASS_HTTP, WHY_NAME},
	{"http2",                                 L4_TCP, 80,    "http2",       NULL,    PROTO_HTTP2,    CLASS_HTTP, WHY_NAME},
	{"grpc",                                  L4_TCP, 80,    "grpc",        NULL,    PROTO_GRPC,     CLASS_HTTP, WHY_NAME},
	{"grpc-web is a prefix",                  L4_TCP, 80,    "grpc-web",    NULL,    PROTO_GRPC_WEB, CLASS_HTTP, WHY_NAME},
	{"grpc-web with more behind it",          L4_TCP, 80,    "gRPC-WebFoo", NULL,    PROTO_GRPC_WEB, CLASS_HTTP, WHY_NAME},
	{"grpc-x is grpc",                        L4_TCP, 80,    "grpc-x",      NULL,    PROTO_GRPC,     CLASS_HTTP, WHY_NAME},
	{"http_proxy",                            L4_TCP, 80,    "http_proxy",  NULL,    PROTO_HTTP_PROXY, CLASS_HTTP, WHY_NAME},
	{"https",                                 L4_TCP, 443,   "https",       NULL,    PROTO_HTTPS,    CLASS_TCP,  WHY_NAME},
	{"tls",                                   L4_TCP, 443,   "tls-x",       NULL,    PROTO_TLS,      CLASS_TCP,  WHY_NAME},
	{"tcp",                                   L4_TCP, 99,    "tcp",         NULL,    PROTO_TCP,      CLASS_TCP,  WHY_NAME},
	{"tcp with a suffix",                     L4_TCP, 99,    "tcp-anything", NULL,   PROTO_TCP,      CLASS_TCP,  WHY_NAME},
	{"mongo",                                 L4_TCP, 99,    "mongo",       NULL,    PROTO_MONGO,    CLASS_TCP,  WHY_NAME},
	{"mysql",                                 L4_TCP, 99,    "mysql-main",  NULL,    PROTO_MYSQL,    CLASS_TCP,  WHY_NAME},
	{"redis",                                 L4_TCP, 99,    "redis",       NULL,    PROTO_REDIS,    CLASS_TCP,  WHY_NAME},
	{"udp by name",                           L4_TCP, 99,    "udp",         NULL,    PROTO_UDP,      CLASS_NONE, WHY_NAME},
	{"protocol UDP beats the name",           L4_UDP, 53,    "http",        "http",  PROTO_UDP,      CLASS_NONE, WHY_PROTOCOL_UDP},
	{"case does not count",                   L4_TCP, 99,    "MySQL-x",     NULL,    PROTO_MYSQL,    CLASS_TCP,  WHY_NAME},
	{"the word must come first",              L4_TCP, 99,    "web-http",    NULL,    PROTO_AUTO,     CLASS_AUTO, WHY_UNDECLARED},
	{"the word must end at the dash",         L4_TCP, 99,    "mysqlx",      NULL,    PROTO_AUTO,     CLASS_AUTO, WHY_UNDECLARED},
	{"auto is no word",                       L4_TCP, 99,    "auto",        NULL,    PROTO_AUTO,     CLASS_AUTO, WHY_UNDECLARED},
	{"appProtocol replaces the name",         L4_TCP, 99,    "tcp-x",       "http",  PROTO_HTTP,     CLASS_HTTP, WHY_APP_PROTOCOL},
	{"an unknown appProtocol as well",        L4_TCP, 99,    "tcp-x",       "foo",   PROTO_AUTO,     CLASS_AUTO, WHY_APP_PROTOCOL_UNKNOWN},
	{"an empty appProtocol as well",          L4_TCP, 99,    "tcp-x",       "",      PROTO_AUTO,     CLASS_AUTO, WHY_APP_PROTOCOL_UNKNOWN},
	{"appProtocol is cut at the dash too",    L4_TCP, 99,    "",            "mysql-8", PROTO_MYSQL,  CLASS_TCP,  WHY_APP_PROTOCOL},
	{"kubernetes.io/h2c",                     L4_TCP, 99,    "",            "kubernetes.io/h2c", PROTO_HTTP2, CLASS_HTTP, WHY_APP_PROTOCOL},
	{"kubernetes.io/ws",                      L4_TCP, 99,    "",            "kubernetes.io/ws",  PROTO_HTTP,  CLASS_HTTP, WHY_APP_PROTOCOL},
	{"kubernetes.io/wss",                     L4_TCP, 99,    "",            "kubernetes.io/wss", PROTO_HTTPS, CLASS_TCP,  WHY_APP_PROTOCOL},
	{"those count their case",                L4_TCP, 99,    "",            "kubernetes.io/H2C", PROTO_AUTO,  CLASS_AUTO, WHY_APP_PROTOCOL_UNKNOWN},
	{"those do not count as a name",          L4_TCP, 99,    "kubernetes.io/h2c", NULL, PROTO_AUTO,  CLASS_AUTO, WHY_UNDECLARED},
	{"well known: 25",                        L4_TCP, 25,    "",            NULL,    PROTO_TCP,      CLASS_TCP,  WHY_WELL_KNOWN_PORT},
	{"well known: 53",                        L4_TCP, 53,    "dns",         NULL,    PROTO_TCP,      CLASS_TCP,  WHY_WELL_KNOWN_PORT},
	{"well known: 3306",                      L4_TCP, 3306,  "db",          NULL,    PROTO_TCP,      CLASS_TCP,  WHY_WELL_KNOWN_PORT},
	{"well known: 27017",                     L4_TCP, 27017, "",            NULL,    PROTO_TCP,      CLASS_TCP,  WHY_WELL_KNOWN_PORT},
	{"well known, with an unknown appProtocol", L4_TCP, 3306, "",           "foo",   PROTO_TCP,      CLASS_TCP,  WHY_WELL_KNOWN_PORT},
	{"a declaration beats the number",        L4_TCP, 3306,  "http",        NULL,    PROTO_HTTP,     CLASS_HTTP, WHY_NAME},
};
/* clang-format on */

static void declared(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		/* The target's number says nothing. */
		struct service_port port = {cases[i].name,
					    cases[i].l4,
					    cases[i].port,
					    {"", 3306},
					    cases[i].app_protocol};
		enum protocol_why why = WHY_UNDECLARED;
		enum protocol got = protocol_of_service_port(&port, &why);
		if (got != cases[i].protocol || why != cases[i].why ||
		    protocol_class(got) != cases[i].class)
			fail_msg("%s: %s, why %d", cases[i].rule, protocol_name(got), (int)why);
	}
}

static void words(void **state)
{
	(void)state;
	assert_int_equal(protocol_parse(SLICE("TCP")), PROTO_TCP);
	assert_int_equal(protocol_parse(SLICE("Mongo")), PROTO_MONGO);
	assert_int_equal(protocol_parse(SLICE("GRPC-Web")), PROTO_GRPC_WEB);
	assert_int_equal(protocol_parse(SLICE("tcp-x")), PROTO_AUTO); /* no suffix there */
	assert_int_equal(protocol_parse(SLICE("auto")), PROTO_AUTO);
	assert_int_equal(protocol_parse(SLICE("")), PROTO_AUTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(declared),
		cmocka_unit_test(words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
