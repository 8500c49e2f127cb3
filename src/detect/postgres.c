#include "detect/postgres.h"

#include "base/reader.h"

enum {
	CANCEL_REQUEST = 80877102,
	SSL_REQUEST = 80877103,
	GSSENC_REQUEST = 80877104,
	STARTUP_MAX = 10000, /* as its server has it */
	CANCEL_MIN = 16,     /* protocol 3.2 allows longer keys */
	MAJOR_VERSION = 3,
	RECORD_ALERT = 0x15,
};

bool pg_is_named(struct slice name)
{
	struct slice first = slice_cut(&name, '-');
	return slice_eq_nocase(first, SLICE("postgres")) ||
	       slice_eq_nocase(first, SLICE("postgresql"));
}

/* A StartupMessage goes on with a parameter's name. Kafka's Metadata request has the same code in the
 * same place, and behind it a number that begins with 0. */
static enum pg_word startup(uint32_t len, struct slice rest)
{
	if (len <= PG_REQUEST_LEN)
		return PG_NOT;
	if (rest.len == 0)
		return PG_MORE;
	bool name = (rest.at[0] >= 'a' && rest.at[0] <= 'z') || rest.at[0] == '_';
	return name ? PG_STARTUP : PG_NOT;
}

enum pg_word pg_client(struct slice bytes)
{
	struct reader r = reader_of(bytes);
	if (bytes.len && bytes.at[0] != 0) /* no length so great is taken */
		return PG_NOT;
	if (bytes.len < PG_REQUEST_LEN)
		return PG_MORE;
	uint32_t len = read_u32(&r), code = read_u32(&r);
	if (len < PG_REQUEST_LEN || len > STARTUP_MAX)
		return PG_NOT;
	if (code >> 16 == MAJOR_VERSION)
		return startup(len, reader_rest(&r));
	switch (code) {
	case CANCEL_REQUEST:
		return len >= CANCEL_MIN ? PG_STARTUP : PG_NOT;
	case SSL_REQUEST:
		return len == PG_REQUEST_LEN ? PG_WANTS_TLS : PG_NOT;
	case GSSENC_REQUEST:
		return len == PG_REQUEST_LEN ? PG_WANTS_GSS : PG_NOT;
	default:
		return PG_NOT;
	}
}

enum pg_answer pg_answer(char byte)
{
	switch (byte) {
	case 'S':
		return PG_SAYS_YES;
	case 'N':
		return PG_SAYS_NO;
	case 'E':
		return PG_SAYS_ERROR;
	case RECORD_ALERT:
		return PG_SAYS_ALERT;
	default:
		return PG_SAYS_OTHER;
	}
}
