#include "detect/greet.h"

#include "base/mem.h"
#include "base/reader.h"

/* What looks the same in every greeting of a protocol. The first row that fits wins. */
/* clang-format off */
static const struct {
	struct slice begins;
	enum greet_protocol protocol;
	bool refusal;
} openings[] = {
	{SLICE("SSH-"),                        GREET_IS_SSH,         false}, /* RFC 4253 4.2 */
	{SLICE("Exceeded MaxStartups"),        GREET_IS_SSH,         true},  /* OpenSSH */
	{SLICE("Not allowed at this time"),    GREET_IS_SSH,         true},  /* OpenSSH, PerSourcePenalties */
	{SLICE("* OK"),                        GREET_IS_IMAP,        false}, /* RFC 9051 7.1 */
	{SLICE("* PREAUTH"),                   GREET_IS_IMAP,        false},
	{SLICE("* BYE"),                       GREET_IS_IMAP,        true},
	{SLICE("+OK"),                         GREET_IS_POP3,        false}, /* RFC 1939 4 */
	{SLICE("-ERR max number of clients"),  GREET_IS_REDIS,       true},
	{SLICE("-DENIED"),                     GREET_IS_REDIS,       true},  /* protected mode */
	{SLICE("-ERR '"),                      GREET_IS_NATS,        true},
	{SLICE("-ERR"),                        GREET_IS_POP3,        true},
	{SLICE("INFO {"),                      GREET_IS_NATS,        false},
	{SLICE("RFB 0"),                       GREET_IS_RFB,         false}, /* RFC 6143 7.1.1 */
	{SLICE("@RSYNCD: "),                   GREET_IS_RSYNC,       false},
	{SLICE("@ERROR"),                      GREET_IS_RSYNC,       true},
	{SLICE("\"IMPLEMENTATION\""),          GREET_IS_MANAGESIEVE, false}, /* RFC 5804 1.7 */
	{SLICE("\xff\xfb"),                    GREET_IS_TELNET,      false}, /* IAC WILL, WONT, DO, DONT; RFC 854 */
	{SLICE("\xff\xfc"),                    GREET_IS_TELNET,      false},
	{SLICE("\xff\xfd"),                    GREET_IS_TELNET,      false},
	{SLICE("\xff\xfe"),                    GREET_IS_TELNET,      false},
	{SLICE("( success ( "),                GREET_IS_SVN,         false},
	{SLICE("NOTICE AUTH :"),               GREET_IS_IRC,         false},
	{SLICE("ERROR :"),                     GREET_IS_IRC,         true},
	{SLICE("OK MPD "),                     GREET_IS_MPD,         false},
	{SLICE("+HI {"),                       GREET_IS_FAKTORY,     false},
	{SLICE("Asterisk Call Manager/"),      GREET_IS_ASTERISK,    false},
	{SLICE("ceph v"),                      GREET_IS_CEPH,        false},
	{SLICE("\xff\0\0\0\0\0\0\0\1\x7f"),    GREET_IS_ZMTP,        false}, /* ZMTP 3.0, 2.0: the signature */
	{SLICE("NBDMAGIC"),                    GREET_IS_NBD,         false},
	{SLICE("AMQP"),                        GREET_IS_AMQP,        true},  /* AMQP 0-9-1 2.2.4: not your version */
	{SLICE("# munin node at "),            GREET_IS_MUNIN,       false},
	{SLICE("{\"QMP\": "),                  GREET_IS_QMP,         false},
	{SLICE("\5\0\0\0\x0b\x08\5\x1a\0"),    GREET_IS_MYSQLX,      false}, /* a notice: server hello */
};

/* Protocols that open with three digits. NEEDS: text anywhere in the first line, any case, looked for
 * when the line is whole: a host name may say `mail` before the server says FTP. */
static const struct {
	struct slice code;
	struct slice needs;
	enum greet_protocol protocol;
	bool refusal;
} replies[] = {
	{SLICE("220"), SLICE(" dictd "), GREET_IS_DICT,        false}, /* RFC 2229 3.1 */
	{SLICE("220"), SLICE("LMTP"),    GREET_IS_LMTP,        false}, /* RFC 2033 4.1 */
	{SLICE("220"), SLICE("SMTP"),    GREET_IS_SMTP,        false}, /* RFC 5321 4.2 */
	{SLICE("220"), SLICE("FTP"),     GREET_IS_FTP,         false}, /* RFC 959 5.4 */
	{SLICE("220"), SLICE("Dovecot"), GREET_IS_SMTP,        false}, /* submission and LMTP in the same words */
	{SLICE("220"), SLICE("mail"),    GREET_IS_SMTP,        false},
	{SLICE("220"), SLICE(""),        GREET_IS_SMTP_OR_FTP, false},
	{SLICE("421"), SLICE("SMTP"),    GREET_IS_SMTP,        true},
	{SLICE("421"), SLICE("FTP"),     GREET_IS_FTP,         true},
	{SLICE("421"), SLICE("mail"),    GREET_IS_SMTP,        true},
	{SLICE("421"), SLICE(""),        GREET_IS_SMTP_OR_FTP, true},
	{SLICE("554"), SLICE(""),        GREET_IS_SMTP,        true},  /* RFC 5321 3.1 */
	{SLICE("120"), SLICE(""),        GREET_IS_FTP,         false}, /* ready in n minutes */
	{SLICE("500"), SLICE("OOPS"),    GREET_IS_FTP,         true},  /* vsftpd: cannot start */
	{SLICE("530"), SLICE(""),        GREET_IS_FTP,         true},
	{SLICE("200"), SLICE(""),        GREET_IS_NNTP,        false}, /* RFC 3977 5.1 */
	{SLICE("201"), SLICE(""),        GREET_IS_NNTP,        false},
	{SLICE("400"), SLICE(""),        GREET_IS_NNTP,        true},
	{SLICE("502"), SLICE(""),        GREET_IS_NNTP,        true},
	{SLICE("503"), SLICE(""),        GREET_IS_NNTP,        true},  /* leafnode: not configured */
};
/* clang-format on */

static bool contains_nocase(struct slice s, struct slice what)
{
	for (size_t i = 0; i + what.len <= s.len; i++)
		if (slice_eq_nocase(slice_sub(s, i, what.len), what))
			return true;
	return false;
}

/* `220 text` or `220-text`. */
static bool greet_reply(struct slice bytes, struct greet *g)
{
	struct slice rest = bytes;
	struct slice line = slice_cut(&rest, '\n');
	bool whole = line.len < bytes.len || bytes.len == GREET_ENOUGH;
	if (line.len < 4 || (line.at[3] != ' ' && line.at[3] != '-'))
		return false;
	struct slice text = slice_sub(line, 3, line.len);
	for (size_t i = 0; i < N_ELEMS(replies); i++)
		if (slice_starts(line, replies[i].code) && (whole || replies[i].needs.len == 0) &&
		    contains_nocase(text, replies[i].needs)) {
			g->protocol = replies[i].protocol;
			g->refusal = replies[i].refusal;
			return true;
		}
	return false;
}

/* `len3 seq` and then the handshake (protocol version 10, 9 long ago) or an error packet: MySQL
 * Client/Server Protocol, Connection Phase. */
static bool greet_mysql(struct slice bytes, struct greet *g)
{
	struct reader r = reader_of(bytes);
	uint32_t len = read_u24_le(&r);
	uint8_t seq = read_u8(&r);
	uint8_t first = read_u8(&r);
	if (r.bad || len < 3 || len > GREET_ENOUGH)
		return false;
	bool refusal = first == 0xff;
	if (refusal ? seq > 2 : seq != 0 || (first != 10 && first != 9))
		return false;
	g->protocol = GREET_IS_MYSQL;
	g->refusal = refusal;
	return true;
}

/* `E`, a length, and the severity as the first field: an ErrorResponse to what was no StartupMessage, as
 * PgBouncer says it. */
static bool greet_postgres(struct slice bytes, struct greet *g)
{
	struct reader r = reader_of(bytes);
	bool error = read_u8(&r) == 'E';
	uint32_t len = read_u32(&r);
	if (read_u8(&r) != 'S' || r.bad || !error || len > 1024)
		return false;
	g->protocol = GREET_IS_POSTGRESQL;
	g->refusal = true;
	return true;
}

/* ActiveMQ: a length, WIREFORMAT_INFO, the magic. */
static bool greet_openwire(struct slice bytes, struct greet *g)
{
	struct reader r = reader_of(bytes);
	read_skip(&r, 4);
	if (read_u8(&r) != 1 || !slice_is(read_bytes(&r, 8), "ActiveMQ"))
		return false;
	g->protocol = GREET_IS_OPENWIRE;
	return true;
}

/* `:server NOTICE ...` */
static bool greet_irc(struct slice bytes, struct greet *g)
{
	struct slice line = slice_cut(&bytes, '\n');
	if (line.len == 0 || line.at[0] != ':' || !slice_contains(line, SLICE(" NOTICE ")))
		return false;
	g->protocol = GREET_IS_IRC;
	return true;
}

static void recognise(struct slice bytes, struct greet *g)
{
	for (size_t i = 0; i < N_ELEMS(openings); i++) {
		if (slice_starts(bytes, openings[i].begins)) {
			g->protocol = openings[i].protocol;
			g->refusal = openings[i].refusal;
			return;
		}
		if (slice_starts(openings[i].begins, bytes))
			return; /* could become this row: a later, shorter one would be a guess */
	}
	(void)(greet_reply(bytes, g) || greet_mysql(bytes, g) || greet_openwire(bytes, g) ||
	       greet_irc(bytes, g) ||
	       greet_postgres(bytes, g)); /* none of them: GREET_IS_UNKNOWN */
}

/* RFC 9113 3.4 and 6.5: the first frame is SETTINGS on stream 0, not an acknowledgement, its length
 * a multiple of 6; 4.2: at most 16384, for nobody can have allowed more yet. */
static enum greet_kind settings_frame(struct slice bytes)
{
	static const uint8_t tail[6] = {4, 0, 0, 0, 0, 0}; /* type, flags, stream */
	struct reader r = reader_of(slice_sub(bytes, 0, 3 + sizeof(tail)));
	uint32_t len = 0;
	for (unsigned shift = 24; shift > 0 && !reader_done(&r);) {
		shift -= 8;
		len |= (uint32_t)read_u8(&r) << shift;
	}
	if (len > 16384 || (bytes.len >= 3 && len % 6 != 0))
		return GREET_WORDS;
	for (size_t i = 0; !reader_done(&r); i++)
		if (read_u8(&r) != tail[i])
			return GREET_WORDS;
	return bytes.len >= 3 + sizeof(tail) ? GREET_HTTP2 : GREET_MORE;
}

static enum greet_kind http1_response(struct slice bytes)
{
	struct slice name = SLICE("HTTP/1.");
	if (slice_starts(bytes, name))
		return GREET_HTTP1;
	return slice_starts(name, bytes) ? GREET_MORE : GREET_WORDS;
}

struct greet greet_server(struct slice bytes)
{
	struct greet g = {GREET_MORE, GREET_IS_UNKNOWN, false};
	if (bytes.len == 0)
		return g;
	g.kind = settings_frame(bytes);
	if (g.kind == GREET_WORDS)
		g.kind = http1_response(bytes);
	if (g.kind == GREET_HTTP2)
		g.protocol = GREET_IS_HTTP2;
	else if (g.kind == GREET_HTTP1)
		g.protocol = GREET_IS_HTTP1;
	else if (g.kind == GREET_WORDS)
		recognise(slice_sub(bytes, 0, GREET_ENOUGH), &g);
	return g;
}

const char *greet_name(enum greet_protocol p)
{
	static const char *const names[] = {
#define X(name, text) [GREET_IS_##name] = text,
		GREET_PROTOCOLS(X)
#undef X
	};
	return (unsigned)p < N_ELEMS(names) ? names[p] : names[GREET_IS_UNKNOWN];
}
