#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/reader.h"
#include "tls/inside.h"

size_t tls_alpn_wire(const char *list, uint8_t out[TLS_MAX_ALPN])
{
	size_t n = 0;
	for (struct slice rest = slice_of(list), one; rest.len > 0; n += one.len) {
		one = slice_cut(&rest, ',');
		if (one.len == 0 || n + 1 + one.len > TLS_MAX_ALPN)
			return 0;
		out[n++] = (uint8_t)one.len;
		memcpy(&out[n], one.at, one.len);
	}
	return n;
}

/* "h2,http/1.1" from the wire, for logs and decisions. */
static char *readable(struct slice wire)
{
	char *text = mem_new(wire.len + 1);
	size_t n = 0;
	for (struct reader r = reader_of(wire); !reader_done(&r);) {
		struct slice one = read_bytes(&r, read_u8(&r));
		if (n > 0)
			text[n++] = ',';
		memcpy(&text[n], one.at, one.len);
		n += one.len;
	}
	return text;
}

/*
 * The server's choice, by our own order. RFC 7301 3.2 would have us refuse when nothing is in
 * common; sidecars go on without: `istio` is offered to be seen, not to be selected.
 */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len, void *arg)
{
	(void)arg;
	struct tls *t = SSL_get_app_data(ssl);
	struct slice offered = {(const char *)in, in_len};
	free(t->offered);
	t->offered = readable(offered);
	for (struct slice rest = slice_of(t->start.alpn); rest.len > 0;) {
		struct slice mine = slice_cut(&rest, ',');
		for (struct reader r = reader_of(offered); !reader_done(&r);) {
			struct slice theirs = read_bytes(&r, read_u8(&r));
			if (mine.len == 0 || !slice_eq(mine, theirs))
				continue;
			*out = (const unsigned char *)theirs.at; /* OpenSSL copies it */
			*out_len = (unsigned char)theirs.len;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_NOACK;
}

void tls_alpn_setup(struct tls_context *c)
{
	if (c->role == TLS_SERVER)
		SSL_CTX_set_alpn_select_cb(c->ssl, select_alpn, NULL);
}
