/* Answers: what handlers call. Everything only fills the connection's output; the end of the turn
 * sends it. */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "http1/write.h"
#include "rest/conn.h"

static struct rest_conn *conn_of(struct rest_reply *reply)
{
	return CONTAINER_OF(reply, struct rest_conn, reply);
}

void rest_reply_header(struct rest_reply *reply, const char *name, struct slice value)
{
	if (!http1_write_field(&reply->headers, slice_of(name), value)) /* from outside, maybe */
		log_debug(conn_of(reply)->server->name, "header left out name=%s", name);
}

/* Up to the headers that tell the body's length. OUT is unbounded: the writes hold. */
static void write_head(struct rest_conn *c, unsigned status, const char *content_type)
{
	struct rest_reply *reply = &c->reply;
	MUST(http1_write_status(&c->out, status, NULL, 1));
	if (content_type)
		MUST(http1_write_field(&c->out, SLICE("Content-Type"), slice_of(content_type)));
	MUST(buf_append(&c->out, buf_slice(&reply->headers)));
	buf_fini(&reply->headers);
	if (status == 204 || status == 304)
		reply->no_body = true;
}

static void write_end_of_head(struct rest_conn *c)
{
	if (c->last)
		MUST(http1_write_field(&c->out, SLICE("Connection"), SLICE("close")));
	MUST(http1_write_end(&c->out));
}

void rest_reply_full(struct rest_reply *reply, unsigned status, const char *content_type,
		     struct slice body)
{
	struct rest_conn *c = conn_of(reply);
	if (c->state == REST_CONN_CLOSED)
		return;
	MUST(c->state == REST_CONN_REPLY && !reply->streaming); /* answered twice */
	char length[32];
	int n = snprintf(length, sizeof(length), "%zu", body.len);
	write_head(c, status, content_type);
	if (status != 204 && status != 304)
		MUST(http1_write_field(&c->out, SLICE("Content-Length"),
				       (struct slice){length, (size_t)n}));
	write_end_of_head(c);
	if (!reply->no_body)
		MUST(buf_append(&c->out, body));
	c->state = REST_CONN_FLUSH;
	rest_conn_flush_later(c);
}

void rest_reply_text(struct rest_reply *reply, unsigned status, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text) - 1, fmt, args);
	va_end(args);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) - 2 ? (size_t)n : sizeof(text) - 2;
	text[len++] = '\n';
	rest_reply_full(reply, status, "text/plain; charset=utf-8", (struct slice){text, len});
}

void rest_reply_begin_stream(struct rest_reply *reply, unsigned status, const char *content_type)
{
	struct rest_conn *c = conn_of(reply);
	if (c->state == REST_CONN_CLOSED)
		return;
	MUST(c->state == REST_CONN_REPLY && !reply->streaming);
	write_head(c, status, content_type);
	if (reply->chunked && !reply->no_body)
		MUST(http1_write_field(&c->out, SLICE("Transfer-Encoding"), SLICE("chunked")));
	write_end_of_head(c);
	reply->streaming = true;
	rest_conn_flush_later(c);
}

bool rest_stream_write(struct rest_reply *reply, struct slice bytes)
{
	struct rest_conn *c = conn_of(reply);
	if (c->state == REST_CONN_CLOSED || c->too_slow)
		return false;
	MUST(c->state == REST_CONN_REPLY && reply->streaming);
	if (reply->no_body)
		return true;
	rest_conn_flush_later(c);
	if (buf_len(&c->out) + bytes.len > c->server->limits.backlog_bytes) {
		c->too_slow = true;
		return false;
	}
	if (reply->chunked)
		MUST(http1_write_chunk(&c->out, bytes));
	else
		MUST(buf_append(&c->out, bytes));
	return true;
}

void rest_stream_end(struct rest_reply *reply)
{
	struct rest_conn *c = conn_of(reply);
	if (c->state == REST_CONN_CLOSED)
		return;
	MUST(c->state == REST_CONN_REPLY && reply->streaming);
	if (reply->chunked && !reply->no_body)
		MUST(http1_write_last_chunk(&c->out));
	c->state = REST_CONN_FLUSH;
	rest_conn_flush_later(c);
}

size_t rest_stream_backlog(const struct rest_reply *reply)
{
	return buf_len(&CONTAINER_OF(reply, const struct rest_conn, reply)->out);
}

void rest_reply_on_gone(struct rest_reply *reply, void (*gone)(void *ctx, struct rest_reply *reply),
			void *ctx)
{
	reply->gone = gone;
	reply->gone_ctx = ctx;
}

void rest_reply_on_drained(struct rest_reply *reply,
			   void (*drained)(void *ctx, struct rest_reply *reply), void *ctx)
{
	reply->drained = drained;
	reply->drained_ctx = ctx;
}
