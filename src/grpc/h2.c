#include "grpc/h2.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- memory ----------------------------------------------------------------------------------- */

static void *h2_malloc(size_t len, void *ctx)
{
	(void)ctx;
	return mem_new(len ? len : 1);
}

static void *h2_calloc(size_t n, size_t size, void *ctx)
{
	(void)ctx;
	return mem_array(n ? n : 1, size ? size : 1);
}

static void h2_free(void *p, void *ctx)
{
	(void)ctx;
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *h2_realloc(void *old, size_t len, void *ctx)
{
	void *p = h2_malloc(len, ctx);
	size_t had = old ? malloc_usable_size(old) : 0;
	if (had > 0)
		memcpy(p, old, had < len ? had : len);
	h2_free(old, ctx);
	return p;
}

nghttp2_mem grpc_h2_mem = {NULL, h2_malloc, h2_free, h2_calloc, h2_realloc};

/* ---- fields ----------------------------------------------------------------------------------- */

nghttp2_nv grpc_h2_nv(const char *name, struct slice value)
{
	/* nghttp2 copies both; its struct is older than const. */
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
			    .value = (uint8_t *)(uintptr_t)value.at,
			    .namelen = strlen(name),
			    .valuelen = value.len,
			    .flags = NGHTTP2_NV_FLAG_NONE};
}

struct slice grpc_h2_slice(nghttp2_rcbuf *b)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(b);
	return (struct slice){(const char *)v.base, v.len};
}

/* ---- bytes ------------------------------------------------------------------------------------ */

bool grpc_h2_fill(nghttp2_session *s, struct buf *out, struct err *err)
{
	while (buf_len(out) < GRPC_H2_FILL) {
		const uint8_t *bytes;
		ssize_t n = nghttp2_session_mem_send(s, &bytes);
		if (n == 0)
			return true;
		if (n < 0)
			return err_set(err, ERR_BAD_INPUT, "HTTP/2: %s", nghttp2_strerror((int)n));
		MUST(buf_append(out, (struct slice){(const char *)bytes, (size_t)n}));
	}
	return true;
}

bool grpc_h2_feed(nghttp2_session *s, struct slice bytes, struct err *err)
{
	if (bytes.len == 0)
		return true;
	ssize_t n = nghttp2_session_mem_recv(s, (const uint8_t *)bytes.at, bytes.len);
	if (n < 0)
		return err_set(err, ERR_BAD_INPUT, "HTTP/2: %s", nghttp2_strerror((int)n));
	MUST((size_t)n == bytes.len); /* no callback of ours pauses */
	return true;
}
