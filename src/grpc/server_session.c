#include "grpc/server_session.h"

#include <bsd/sys/queue.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grpc/h2.h"
#include "grpc/message.h"
#include "grpc/text.h"

enum {
	MAX_ACKS = 100,    /* answers to PING and SETTINGS that wait for the peer to read */
	RESETS = 100,      /* calls that a client may take back at once, and */
	RESETS_PER_S = 33, /* for how long */
	MAX_SETTINGS = 32, /* entries of one SETTINGS frame */
	MAX_CONTINUATIONS = 8,
};

enum call_state {
	CALL_HEAD,
	CALL_BODY,
	CALL_ANSWERED,
};

struct field {
	nghttp2_rcbuf *name, *value;
};

/* One call, from its HEADERS to the end of its stream. */
struct grpc_reply {
	TAILQ_ENTRY(grpc_reply) link;
	struct server_session *session;
	int32_t stream;
	enum call_state state;
	bool whole; /* the client has ended its side */
	bool head_too_large;
	size_t head_bytes;
	unsigned n_fields;
	struct field fields[GRPC_MAX_FIELDS];
	struct grpc_method method; /* its row, which may move */
	struct grpc_message in;
	size_t held; /* our part of shared->held */
	struct buf out;
};

struct server_session {
	nghttp2_session *h2;
	struct server_session_config config;
	TAILQ_HEAD(, grpc_reply) calls;
	unsigned n_calls;
	uint64_t progress;
	const char *invalid; /* the last frame that was */
	const char *fault;
};

/* ---- calls ------------------------------------------------------------------------------------ */

static struct grpc_reply *call_new(struct server_session *s, int32_t stream)
{
	struct grpc_reply *r = mem_new(sizeof(*r));
	r->session = s;
	r->stream = stream;
	grpc_message_init(&r->in, s->config.shared->message_bytes);
	TAILQ_INSERT_TAIL(&s->calls, r, link);
	if (s->n_calls++ == 0)
		s->progress++;
	return r;
}

static void drop_request(struct grpc_reply *r)
{
	grpc_message_fini(&r->in);
	r->session->config.shared->held -= r->held;
	r->held = 0;
}

static void call_free(struct grpc_reply *r)
{
	struct server_session *s = r->session;
	TAILQ_REMOVE(&s->calls, r, link);
	s->n_calls--;
	s->progress++;
	drop_request(r);
	for (unsigned i = 0; i < r->n_fields; i++) {
		nghttp2_rcbuf_decref(r->fields[i].name);
		nghttp2_rcbuf_decref(r->fields[i].value);
	}
	buf_fini(&r->out);
	free(r);
}

static struct slice field_of(const struct grpc_reply *r, const char *name)
{
	for (unsigned i = 0; i < r->n_fields; i++)
		if (slice_is(grpc_h2_slice(r->fields[i].name), name))
			return grpc_h2_slice(r->fields[i].value);
	return (struct slice){0};
}

struct slice grpc_metadata(const struct grpc_request *q, const char *name)
{
	return field_of(q->reply, name);
}

/* ---- answers ---------------------------------------------------------------------------------- */

static void answered(struct grpc_reply *r, enum grpc_status status)
{
	struct server_shared *shared = r->session->config.shared;
	MUST(r->state != CALL_ANSWERED); /* exactly once */
	r->state = CALL_ANSWERED;
	shared->calls++;
	if (status != GRPC_OK)
		shared->errors++;
}

static ssize_t read_answer(nghttp2_session *h2, int32_t stream, uint8_t *to, size_t len,
			   uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	(void)ctx;
	struct grpc_reply *r = source->ptr;
	struct slice some = slice_sub(buf_slice(&r->out), 0, len);
	memcpy(to, some.at, some.len);
	buf_consume(&r->out, some.len);
	if (buf_len(&r->out) == 0) {
		const nghttp2_nv trailer = grpc_h2_nv("grpc-status", SLICE("0"));
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(h2, stream, &trailer, 1) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
	}
	return (ssize_t)some.len;
}

void grpc_reply_ok(struct grpc_reply *r, struct slice message)
{
	const nghttp2_nv head[] = {
		grpc_h2_nv(":status", SLICE("200")),
		grpc_h2_nv("content-type", SLICE("application/grpc")),
	};
	const nghttp2_data_provider body = {.source.ptr = r, .read_callback = read_answer};
	answered(r, GRPC_OK);
	buf_init(&r->out, message.len + GRPC_PREFIX);
	MUST(grpc_message_prefix(&r->out, message.len) && buf_append(&r->out, message));
	MUST(nghttp2_submit_response(r->session->h2, r->stream, head, N_ELEMS(head), &body) == 0);
}

/* Trailers-Only: the whole answer is one HEADERS frame. HTTP is 200 wherever the request was gRPC
 * at all. */
static void reply_status(struct grpc_reply *r, const char *http, enum grpc_status status,
			 const char *text)
{
	char number[16], encoded[3 * GRPC_TEXT_MAX];
	(void)snprintf(number, sizeof(number), "%u", (unsigned)status); /* fits */
	grpc_text_encode(text, encoded);
	const nghttp2_nv head[] = {
		grpc_h2_nv(":status", slice_of(http)),
		grpc_h2_nv("content-type", SLICE("application/grpc")),
		grpc_h2_nv("grpc-status", slice_of(number)),
		grpc_h2_nv("grpc-message", slice_of(encoded)),
		grpc_h2_nv("grpc-accept-encoding", SLICE("identity")),
	};
	answered(r, status);
	MUST(nghttp2_submit_response(r->session->h2, r->stream, head, N_ELEMS(head), NULL) == 0);
	drop_request(r);
}

void grpc_reply_error(struct grpc_reply *r, enum grpc_status status, const char *fmt, ...)
{
	char text[GRPC_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut where it is too long */
	va_end(args);
	MUST(status != GRPC_OK && status < GRPC_N_STATUSES);
	reply_status(r, "200", status, text);
}

/* ---- requests --------------------------------------------------------------------------------- */

static bool find_method(struct grpc_reply *r)
{
	const struct grpc_methods *methods = &r->session->config.shared->methods;
	struct slice path = field_of(r, ":path");
	for (size_t i = 0; i < methods->n; i++)
		if (slice_is(path, methods->rows[i].name)) {
			r->method = methods->rows[i];
			return true;
		}
	return false;
}

/* What a head may be refused for; PROTOCOL-HTTP2.md "Requests". A grpc-encoding is none of it: its
 * messages may still be uncompressed, each says so. */
static void head_done(struct grpc_reply *r)
{
	if (r->head_too_large)
		reply_status(r, "200", GRPC_RESOURCE_EXHAUSTED, "the metadata is too large");
	else if (!slice_is(field_of(r, ":method"), "POST"))
		reply_status(r, "405", GRPC_INTERNAL, "gRPC calls are POST requests");
	else if (!grpc_content_type(field_of(r, "content-type")))
		reply_status(r, "415", GRPC_INVALID_ARGUMENT,
			     "the content-type is not application/grpc");
	else if (!find_method(r))
		reply_status(r, "200", GRPC_UNIMPLEMENTED, "no such method");
	else
		r->state = CALL_BODY;
}

static void request_done(struct grpc_reply *r)
{
	const char *why;
	enum grpc_status status = grpc_message_end(&r->in, &why);
	if (status != GRPC_OK) {
		reply_status(r, "200", status, why);
		return;
	}
	const struct grpc_request q = {
		.method = r->method.name,
		.message = buf_slice(&r->in.bytes),
		.peer = r->session->config.peer,
		.from = r->session->config.from,
		.reply = r,
	};
	r->method.handler(r->method.ctx, &q, r);
	MUST(r->state == CALL_ANSWERED); /* handlers answer before they return */
	drop_request(r);
}

static void body_came(struct grpc_reply *r, struct slice bytes)
{
	struct server_shared *shared = r->session->config.shared;
	const char *why = "the server holds too many unfinished requests";
	enum grpc_status status = GRPC_RESOURCE_EXHAUSTED;
	if (bytes.len <= shared->held_max - shared->held) {
		r->held += bytes.len;
		shared->held += bytes.len;
		status = grpc_message_take(&r->in, bytes, &why);
	}
	if (status != GRPC_OK)
		reply_status(r, "200", status, why);
}

/* ---- what nghttp2 tells ----------------------------------------------------------------------- */

static struct grpc_reply *call_of(nghttp2_session *h2, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(h2, stream);
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct grpc_reply *r = call_new(ctx, frame->hd.stream_id);
	MUST(nghttp2_session_set_stream_user_data(h2, r->stream, r) == 0);
	return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, nghttp2_rcbuf *name,
		     nghttp2_rcbuf *value, uint8_t flags, void *ctx)
{
	(void)flags, (void)ctx;
	struct grpc_reply *r = call_of(h2, frame->hd.stream_id);
	if (!r || r->state != CALL_HEAD)
		return 0; /* trailers of a request mean nothing in gRPC */
	r->head_bytes += grpc_h2_slice(name).len + grpc_h2_slice(value).len + GRPC_FIELD_OVERHEAD;
	if (r->head_bytes > GRPC_HEADER_LIST || r->n_fields == GRPC_MAX_FIELDS) {
		r->head_too_large = true;
		return 0;
	}
	nghttp2_rcbuf_incref(name);
	nghttp2_rcbuf_incref(value);
	r->fields[r->n_fields++] = (struct field){name, value};
	return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *bytes,
		   size_t len, void *ctx)
{
	(void)flags, (void)ctx;
	struct grpc_reply *r = call_of(h2, stream);
	if (r && r->state == CALL_BODY)
		body_came(r, (struct slice){(const char *)bytes, len});
	return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
	(void)ctx;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	struct grpc_reply *r = call_of(h2, frame->hd.stream_id);
	if (!r)
		return 0;
	if (r->state == CALL_HEAD)
		head_done(r);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		r->whole = true;
		if (r->state == CALL_BODY)
			request_done(r);
	}
	return 0;
}

static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
	struct server_session *s = ctx;
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		s->fault =
			s->invalid ? s->invalid : nghttp2_http2_strerror(frame->goaway.error_code);
	/* An answer before the request's end: the client need not send the rest, RFC 9113 8.1. */
	if (frame->hd.type != NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	const struct grpc_reply *r = call_of(h2, frame->hd.stream_id);
	if (r && !r->whole)
		MUST(nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
					       NGHTTP2_NO_ERROR) == 0);
	return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t error, void *ctx)
{
	(void)error, (void)ctx;
	struct grpc_reply *r = call_of(h2, stream);
	if (r)
		call_free(r);
	return 0;
}

static int on_invalid_frame(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *ctx)
{
	(void)h2, (void)frame;
	struct server_session *s = ctx;
	s->invalid = nghttp2_strerror(error);
	return 0;
}

/* ---- the session ------------------------------------------------------------------------------ */

static nghttp2_session_callbacks *new_callbacks(void)
{
	nghttp2_session_callbacks *c;
	MUST(nghttp2_session_callbacks_new(&c) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
	return c;
}

static nghttp2_option *new_options(void)
{
	nghttp2_option *o;
	MUST(nghttp2_option_new(&o) == 0);
	nghttp2_option_set_no_closed_streams(o, 1); /* else it keeps them for priorities */
	nghttp2_option_set_max_outbound_ack(o, MAX_ACKS);
	nghttp2_option_set_max_settings(o, MAX_SETTINGS);
	nghttp2_option_set_max_continuations(o, MAX_CONTINUATIONS);
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS, RESETS_PER_S);
	return o;
}

struct server_session *server_session_new(const struct server_session_config *config)
{
	struct server_session *s = mem_new(sizeof(*s));
	nghttp2_session_callbacks *callbacks = new_callbacks();
	nghttp2_option *options = new_options();
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, config->shared->streams},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADER_LIST},
	};
	s->config = *config;
	TAILQ_INIT(&s->calls);
	MUST(nghttp2_session_server_new3(&s->h2, callbacks, s, options, &grpc_h2_mem) == 0);
	MUST(nghttp2_submit_settings(s->h2, NGHTTP2_FLAG_NONE, settings, N_ELEMS(settings)) == 0);
	nghttp2_option_del(options);
	nghttp2_session_callbacks_del(callbacks);
	return s;
}

void server_session_free(struct server_session *s)
{
	if (!s)
		return;
	struct grpc_reply *r, *next;
	TAILQ_FOREACH_SAFE (r, &s->calls, link, next)
		call_free(r);
	nghttp2_session_del(s->h2);
	free(s);
}

bool server_session_feed(struct server_session *s, struct slice bytes, struct err *err)
{
	return grpc_h2_feed(s->h2, bytes, err);
}

bool server_session_fill(struct server_session *s, struct buf *out, struct err *err)
{
	return grpc_h2_fill(s->h2, out, err);
}

void server_session_go_away(struct server_session *s)
{
	MUST(nghttp2_session_terminate_session(s->h2, NGHTTP2_NO_ERROR) == 0);
}

bool server_session_over(struct server_session *s)
{
	return !nghttp2_session_want_read(s->h2) && !nghttp2_session_want_write(s->h2);
}

const char *server_session_fault(const struct server_session *s)
{
	return s->fault;
}

uint64_t server_session_progress(const struct server_session *s)
{
	return s->progress;
}

unsigned server_session_calls(const struct server_session *s)
{
	return s->n_calls;
}
