/*
 * What a server's first bytes are, when it speaks before the client does.
 *
 *   struct greet g = greet_server(peeked);       // all bytes peeked so far, from the first
 *   if (g.kind == GREET_WORDS)
 *           use(greet_name(g.protocol));          // "mysql", "smtp", ...; "tcp" when unknown
 *
 * Only the kind decides anything. The protocol is for telemetry, a best answer for the bytes that
 * are there: it may be GREET_IS_UNKNOWN for a short prefix and better a moment later, and nobody
 * waits for it. Pure, no allocation, any thread.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum greet_kind {
	GREET_MORE,  /* could become one of the next two; ask again, but not for ever: FW_TIMER */
	GREET_HTTP2, /* a SETTINGS frame: an HTTP/2 server, whose client's preface is on its way */
	GREET_HTTP1, /* an HTTP/1 response that nobody asked for: the server gives up waiting */
	GREET_WORDS, /* anything else: a greeting */
};

/*      name           as telemetry says it */
#define GREET_PROTOCOLS(X)                                                                         \
	X(UNKNOWN, "tcp")                                                                          \
	X(HTTP1, "http")                                                                           \
	X(HTTP2, "http2")                                                                          \
	X(MYSQL, "mysql")                                                                          \
	X(MYSQLX, "mysqlx")                                                                        \
	X(SMTP, "smtp")                                                                            \
	X(LMTP, "lmtp")                                                                            \
	X(FTP, "ftp")                                                                              \
	X(SMTP_OR_FTP, "smtp-or-ftp") /* a 220 that does not say which */                          \
	X(SSH, "ssh")                                                                              \
	X(IMAP, "imap")                                                                            \
	X(POP3, "pop3")                                                                            \
	X(MANAGESIEVE, "managesieve")                                                              \
	X(NNTP, "nntp")                                                                            \
	X(NATS, "nats")                                                                            \
	X(RFB, "rfb")                                                                              \
	X(RSYNC, "rsync")                                                                          \
	X(TELNET, "telnet")                                                                        \
	X(REDIS, "redis") /* greets only to refuse */                                              \
	X(SVN, "svn")                                                                              \
	X(IRC, "irc")                                                                              \
	X(MPD, "mpd")                                                                              \
	X(DICT, "dict")                                                                            \
	X(FAKTORY, "faktory")                                                                      \
	X(ASTERISK, "asterisk-ami")                                                                \
	X(CEPH, "ceph")                                                                            \
	X(ZMTP, "zmtp")                                                                            \
	X(OPENWIRE, "openwire")                                                                    \
	X(NBD, "nbd")                                                                              \
	X(AMQP, "amqp")             /* greets only to refuse a version */                          \
	X(POSTGRESQL, "postgresql") /* greets only to refuse */                                    \
	X(MUNIN, "munin")                                                                          \
	X(QMP, "qmp")

enum SMALL_ENUM greet_protocol {
#define X(name, text) GREET_IS_##name,
	GREET_PROTOCOLS(X)
#undef X
		N_GREET_PROTOCOLS
};

struct greet {
	enum greet_kind kind;
	enum greet_protocol protocol;
	bool refusal; /* the words say that this server will not serve now: teaches nothing */
};

enum { GREET_ENOUGH = 512 }; /* bytes past these change no answer */

struct greet greet_server(struct slice bytes);
const char *greet_name(enum greet_protocol p);
