#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "detect/greet.h"

/* clang-format off */
static const struct {
	const char *rule;
	struct slice bytes;
	enum greet_kind kind;
	const char *protocol;
	bool refusal;
} cases[] = {
	{"nothing yet",                           SLICE(""),                                   GREET_MORE,  "tcp",   false},
	{"SETTINGS, empty",                       SLICE("\0\0\0\4\0\0\0\0\0"),                 GREET_HTTP2, "http2", false},
	{"SETTINGS with three values",            SLICE("\0\0\x12\4\0\0\0\0\0\0\3"),           GREET_HTTP2, "http2", false},
	{"SETTINGS cut short",                    SLICE("\0\0\x12\4\0"),                       GREET_MORE,  "tcp",   false},
	{"a length that is no multiple of 6",     SLICE("\0\0\7\4\0\0\0\0\0"),                 GREET_WORDS, "tcp",   false},
	{"a frame over 16384",                    SLICE("\0\x40\2\4\0\0\0\0\0"),               GREET_WORDS, "tcp",   false},
	{"another frame type",                    SLICE("\0\0\6\0\0\0\0\0\0"),                 GREET_WORDS, "tcp",   false},
	{"an acknowledgement",                    SLICE("\0\0\0\4\1\0\0\0\0"),                 GREET_WORDS, "tcp",   false},
	{"SETTINGS on a stream",                  SLICE("\0\0\0\4\0\0\0\0\1"),                 GREET_WORDS, "tcp",   false},
	{"an HTTP/1 response",                    SLICE("HTTP/1.1 408 Request Timeout\r\n"),   GREET_HTTP1, "http",  false},
	{"an HTTP/1.0 response",                  SLICE("HTTP/1.0 400 Bad request\r\n"),       GREET_HTTP1, "http",  false},
	{"an HTTP response cut short",            SLICE("HTT"),                                GREET_MORE,  "tcp",   false},
	{"H, and something else",                 SLICE("Hello\n"),                            GREET_WORDS, "tcp",   false},
	{"time: four bytes, and no more",         SLICE("\xec\xaa\xbb\xcc"),                   GREET_WORDS, "tcp",   false},
	{"daytime",                               SLICE("20 NOV 2026 16:40:00 UTC\r\n"),       GREET_WORDS, "tcp",   false},
	{"MySQL",                                 SLICE("\x4a\0\0\0\x0a" "8.0.36\0"),          GREET_WORDS, "mysql", false},
	{"MySQL's header alone",                  SLICE("\x4a\0\0\0"),                         GREET_WORDS, "tcp",   false},
	{"MySQL: a handshake of another sequence", SLICE("\x4a\0\0\1\x0a" "8.0.36\0"),         GREET_WORDS, "tcp",   false},
	{"MySQL refuses the host",                SLICE("\x45\0\0\0\xff\x6a\x04Host"),         GREET_WORDS, "mysql", true},
	{"MySQL refuses, sequence 2",             SLICE("\x17\0\0\2\xff\x10\x04Too"),          GREET_WORDS, "mysql", true},
	{"MySQL X",                               SLICE("\5\0\0\0\x0b\x08\5\x1a\0"),           GREET_WORDS, "mysqlx", false},
	{"SMTP",                                  SLICE("220 mail.a ESMTP Postfix\r\n"),       GREET_WORDS, "smtp",  false},
	{"SMTP that only says mail",              SLICE("220 a Mail server ready\r\n"),        GREET_WORDS, "smtp",  false},
	{"SMTP in many lines",                    SLICE("220-a ESMTP\r\n220 b\r\n"),           GREET_WORDS, "smtp",  false},
	{"LMTP",                                  SLICE("220 a LMTP ready\r\n"),               GREET_WORDS, "lmtp",  false},
	{"FTP",                                   SLICE("220 (vsFTPd 3.0.3)\r\n"),             GREET_WORDS, "ftp",   false},
	{"FTP on a host called mail",             SLICE("220 mail.a FTP server ready\r\n"),    GREET_WORDS, "ftp",   false},
	{"220 that does not say which",           SLICE("220 Welcome\r\n"),                    GREET_WORDS, "smtp-or-ftp", false},
	{"220 before its line is whole",          SLICE("220 mail.a"),                         GREET_WORDS, "smtp-or-ftp", false},
	{"220 cut short",                         SLICE("220"),                                GREET_WORDS, "tcp",   false},
	{"2200 is no reply",                      SLICE("2200 x\r\n"),                         GREET_WORDS, "tcp",   false},
	{"DICT",                                  SLICE("220 a dictd 1.13 <auth>\r\n"),        GREET_WORDS, "dict",  false},
	{"FTP has no room",                       SLICE("421 Too many FTP users\r\n"),         GREET_WORDS, "ftp",   true},
	{"SMTP has no room",                      SLICE("421 4.3.2 a ESMTP not now\r\n"),      GREET_WORDS, "smtp",  true},
	{"421 that does not say who",             SLICE("421 try later\r\n"),                  GREET_WORDS, "smtp-or-ftp", true},
	{"SMTP does not serve",                   SLICE("554 no SMTP service here\r\n"),       GREET_WORDS, "smtp",  true},
	{"vsftpd cannot start",                   SLICE("500 OOPS: cannot locate user\r\n"),   GREET_WORDS, "ftp",   true},
	{"500 of somebody else",                  SLICE("500 what\r\n"),                       GREET_WORDS, "tcp",   false},
	{"SSH",                                   SLICE("SSH-2.0-OpenSSH_9.2\r\n"),            GREET_WORDS, "ssh",   false},
	{"SSH has too many starting",             SLICE("Exceeded MaxStartups\r\n"),           GREET_WORDS, "ssh",   true},
	{"IMAP",                                  SLICE("* OK ready\r\n"),                     GREET_WORDS, "imap",  false},
	{"IMAP knows us already",                 SLICE("* PREAUTH you\r\n"),                  GREET_WORDS, "imap",  false},
	{"IMAP says good-bye",                    SLICE("* BYE too many\r\n"),                 GREET_WORDS, "imap",  true},
	{"POP3",                                  SLICE("+OK ready\r\n"),                      GREET_WORDS, "pop3",  false},
	{"POP3 refuses",                          SLICE("-ERR not now\r\n"),                   GREET_WORDS, "pop3",  true},
	{"Redis has no room",                     SLICE("-ERR max number of clients reached\r\n"), GREET_WORDS, "redis", true},
	{"-ERR: POP3, Redis or NATS",             SLICE("-ERR"),                               GREET_WORDS, "tcp",   false},
	{"Redis is protected",                    SLICE("-DENIED Redis is running\r\n"),       GREET_WORDS, "redis", true},
	{"NATS",                                  SLICE("INFO {\"server_id\":\"N\"}\r\n"),     GREET_WORDS, "nats",  false},
	{"NATS has no room",                      SLICE("-ERR 'maximum connections exceeded'\r\n"), GREET_WORDS, "nats", true},
	{"RFB",                                   SLICE("RFB 003.008\n"),                      GREET_WORDS, "rfb",   false},
	{"rsync",                                 SLICE("@RSYNCD: 31.0\n"),                    GREET_WORDS, "rsync", false},
	{"rsync has no room",                     SLICE("@ERROR: max connections (1)\n"),      GREET_WORDS, "rsync", true},
	{"NNTP",                                  SLICE("200 news.a ready\r\n"),               GREET_WORDS, "nntp",  false},
	{"NNTP without posting",                  SLICE("201 news.a ready\r\n"),               GREET_WORDS, "nntp",  false},
	{"NNTP is down",                          SLICE("400 not now\r\n"),                    GREET_WORDS, "nntp",  true},
	{"leafnode is not set up",                SLICE("503 Unable to read\r\n"),             GREET_WORDS, "nntp",  true},
	{"telnet",                                SLICE("\xff\xfd\x18"),                       GREET_WORDS, "telnet", false},
	{"ManageSieve",                           SLICE("\"IMPLEMENTATION\" \"x\"\r\n"),       GREET_WORDS, "managesieve", false},
	{"Subversion",                            SLICE("( success ( 2 2 ( ) ( ) ) ) "),       GREET_WORDS, "svn",   false},
	{"IRC",                                   SLICE(":irc.a NOTICE * :*** Looking up\r\n"), GREET_WORDS, "irc",  false},
	{"IRC refuses",                           SLICE("ERROR :Closing Link\r\n"),            GREET_WORDS, "irc",   true},
	{"MPD",                                   SLICE("OK MPD 0.23.5\n"),                    GREET_WORDS, "mpd",   false},
	{"Faktory",                               SLICE("+HI {\"v\":2}\r\n"),                  GREET_WORDS, "faktory", false},
	{"Asterisk",                              SLICE("Asterisk Call Manager/5.0.2\r\n"),    GREET_WORDS, "asterisk-ami", false},
	{"Ceph",                                  SLICE("ceph v027"),                          GREET_WORDS, "ceph",  false},
	{"ZMTP",                                  SLICE("\xff\0\0\0\0\0\0\0\1\x7f\3"),         GREET_WORDS, "zmtp",  false},
	{"OpenWire",                              SLICE("\0\0\1\x40\1" "ActiveMQ\0\0\0\x0c"),  GREET_WORDS, "openwire", false},
	{"NBD",                                   SLICE("NBDMAGICIHAVEOPT"),                   GREET_WORDS, "nbd",   false},
	{"AMQP wants another version",            SLICE("AMQP\0\0\x09\1"),                     GREET_WORDS, "amqp",  true},
	{"PostgreSQL refuses",                    SLICE("E\0\0\0\x2aSFATAL\0C08P01\0"),       GREET_WORDS, "postgresql", true},
	{"E, and no length of an error",          SLICE("Enough said\n"),                      GREET_WORDS, "tcp",   false},
	{"Munin",                                 SLICE("# munin node at a\n"),                GREET_WORDS, "munin", false},
	{"QEMU",                                  SLICE("{\"QMP\": {\"version\""),             GREET_WORDS, "qmp",   false},
};
/* clang-format on */

/* What is said of a prefix may become more exact and never something else. */
static bool refines(const char *early, const char *late)
{
	if (strcmp(early, late) == 0 || strcmp(early, "tcp") == 0)
		return true;
	static const char *const replies[] = {"smtp", "ftp", "lmtp", "dict"};
	for (size_t i = 0; i < N_ELEMS(replies); i++)
		if (strcmp(early, "smtp-or-ftp") == 0 && strcmp(late, replies[i]) == 0)
			return true;
	return false;
}

static void rules(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct greet g = greet_server(cases[i].bytes);
		if (g.kind != cases[i].kind || g.refusal != cases[i].refusal ||
		    strcmp(greet_name(g.protocol), cases[i].protocol) != 0)
			fail_msg("%s: kind %d, %s, refusal %d", cases[i].rule, g.kind,
				 greet_name(g.protocol), g.refusal);
		for (size_t cut = 0; cut < cases[i].bytes.len; cut++) {
			struct greet early = greet_server(slice_sub(cases[i].bytes, 0, cut));
			if ((early.kind != GREET_MORE && early.kind != g.kind) ||
			    !refines(greet_name(early.protocol), cases[i].protocol) ||
			    (early.refusal && !g.refusal))
				fail_msg("%s: cut at %zu: kind %d, %s", cases[i].rule, cut,
					 early.kind, greet_name(early.protocol));
		}
	}
}

static void more_ends_with_the_ninth_byte(void **state)
{
	(void)state; /* none: no server can keep the answer waiting for longer */
	char bytes[9];
	for (unsigned fill = 0; fill < 256; fill++) {
		memset(bytes, (int)fill, sizeof(bytes));
		assert_int_not_equal(greet_server((struct slice){bytes, sizeof(bytes)}).kind,
				     GREET_MORE);
	}
	assert_int_equal(greet_server(SLICE("\0\0\0\4\0\0\0\0")).kind, GREET_MORE);
}

static void every_protocol_has_a_name_and_a_case(void **state)
{
	(void)state; /* none */
	for (unsigned p = 0; p < N_GREET_PROTOCOLS; p++) {
		bool seen = false;
		for (size_t i = 0; i < N_ELEMS(cases); i++)
			seen |= strcmp(cases[i].protocol, greet_name((enum greet_protocol)p)) == 0;
		if (!seen)
			fail_msg("no case says %s", greet_name((enum greet_protocol)p));
	}
	assert_string_equal(greet_name((enum greet_protocol)999), "tcp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(more_ends_with_the_ninth_byte),
		cmocka_unit_test(every_protocol_has_a_name_and_a_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
