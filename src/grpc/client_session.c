#include "grpc/client_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grpc/h2.h"
#include "grpc/message.h"
#include "grpc/text.h"

enum {
	MAX_METADATA = 32,
	OWN_FIELDS = 9,
	DEFAULT_ANSWER = 64 << 10,
	MAX_ACKS = 100, /* answers to PING and SETTINGS that wait for the server to read */
};

struct client_session {
	nghttp2_session *h2;
	int32_t stream;
	struct buf out; /* the request's message in its frame */
	struct grpc_message in;
	size_t head_bytes;
	unsigned http; /* status; 0: no head came */
	bool is_grpc;  /* content-type says so */
	bool has_status;
	const char *invalid; /* the last frame that was */
	bool over;
	enum grpc_status status;
	char text[GRPC_TEXT_MAX];
};

/* ---- the answer ------------------------------------------------------------------------------- */

static void end_with(struct client_session *s, enum grpc_status status, const char *text)
{
	if (s->over)
		return;
	s->over = true;
	s->status = status;
	(void)snprintf(s->text, sizeof(s->text), "%s", text);
}

/* The stream ended in order. */
static void judge(struct client_session *s)
{
	char text[64];
	const char *why;
	if (s->has_status && s->status != GRPC_OK) {
		s->over = true; /* with the server's own words */
	} else if (!s->has_status && s->http != 200) {
		(void)snprintf(text, sizeof(text), "the server answered HTTP %u", s->http);
		end_with(s, grpc_status_of_http(s->http), text);
	} else if (!s->has_status) {
		end_with(s, GRPC_UNKNOWN,
			 s->is_grpc ? "the server gave no grpc-status"
				    : "the server does not speak gRPC");
	} else {
		enum grpc_status status = grpc_message_end(&s->in, &why);
		end_with(s, status, status == GRPC_OK ? "" : why);
	}
}

void client_session_answer(const struct client_session *s, struct grpc_answer *out)
{
	MUST(s->over);
	*out = (struct grpc_answer){.status = s->status, .text = s->text};
	if (s->status == GRPC_OK)
		out->message = buf_slice(&s->in.bytes);
}

bool client_session_over(const struct client_session *s)
{
	return s->over;
}

/* ---- what nghttp2 tells ----------------------------------------------------------------------- */

static void take_field(struct client_session *s, struct slice name, struct slice value)
{
	uint64_t http;
	if (slice_is(name, ":status") && slice_to_u64(value, 999, &http)) {
		s->http = (unsigned)http;
	} else if (slice_is(name, "content-type")) {
		s->is_grpc = grpc_content_type(value);
	} else if (slice_is(name, "grpc-status")) {
		s->has_status = true;
		if (!grpc_status_parse(value, &s->status))
			s->status = GRPC_UNKNOWN;
	} else if (slice_is(name, "grpc-message")) {
		grpc_text_decode(value, s->text);
	}
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, nghttp2_rcbuf *name,
		     nghttp2_rcbuf *value, uint8_t flags, void *ctx)
{
	(void)h2, (void)flags;
	struct client_session *s = ctx;
	if (s->over || frame->hd.stream_id != s->stream)
		return 0;
	s->head_bytes += grpc_h2_slice(name).len + grpc_h2_slice(value).len + GRPC_FIELD_OVERHEAD;
	if (s->head_bytes > GRPC_HEADER_LIST)
		end_with(s, GRPC_RESOURCE_EXHAUSTED, "the metadata of the answer is too large");
	else
		take_field(s, grpc_h2_slice(name), grpc_h2_slice(value));
	return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *bytes,
		   size_t len, void *ctx)
{
	(void)h2, (void)flags;
	struct client_session *s = ctx;
	const char *why;
	if (s->over || stream != s->stream || !s->is_grpc)
		return 0;
	enum grpc_status status =
		grpc_message_take(&s->in, (struct slice){(const char *)bytes, len}, &why);
	if (status != GRPC_OK)
		end_with(s, status, why);
	return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
	(void)h2;
	struct client_session *s = ctx;
	bool is_ours = frame->hd.stream_id == s->stream &&
		       (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA);
	if (!s->over && is_ours && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		judge(s);
	return 0;
}

/* Before the server's END_STREAM: by RST_STREAM, or by a GOAWAY that leaves our stream out. */
static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t error, void *ctx)
{
	(void)h2;
	struct client_session *s = ctx;
	char text[96];
	if (s->over || stream != s->stream)
		return 0;
	if (error == NGHTTP2_REFUSED_STREAM)
		(void)snprintf(text, sizeof(text), "the server takes no call now");
	else
		(void)snprintf(text, sizeof(text), "the server reset the call: %s",
			       nghttp2_http2_strerror(error));
	end_with(s, grpc_status_of_reset(error), text);
	return 0;
}

static int on_invalid_frame(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *ctx)
{
	(void)h2, (void)frame;
	struct client_session *s = ctx;
	s->invalid = nghttp2_strerror(error);
	return 0;
}

/* nghttp2 gives the connection up. */
static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
	(void)h2;
	struct client_session *s = ctx;
	char text[160];
	if (frame->hd.type != NGHTTP2_GOAWAY || frame->goaway.error_code == NGHTTP2_NO_ERROR)
		return 0;
	(void)snprintf(text, sizeof(text), "the server broke HTTP/2: %s",
		       s->invalid ? s->invalid : nghttp2_http2_strerror(frame->goaway.error_code));
	end_with(s, GRPC_UNAVAILABLE, text);
	return 0;
}

/* ---- the request ------------------------------------------------------------------------------ */

static ssize_t read_request(nghttp2_session *h2, int32_t stream, uint8_t *to, size_t len,
			    uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	(void)h2, (void)stream, (void)source;
	struct client_session *s = ctx;
	struct slice some = slice_sub(buf_slice(&s->out), 0, len);
	memcpy(to, some.at, some.len);
	buf_consume(&s->out, some.len);
	if (buf_len(&s->out) == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)some.len;
}

/* Values stay out of texts: they may be tokens. */
static bool is_metadata(const struct grpc_pair *p, struct err *err)
{
	struct slice name = slice_of(p->name), value = slice_of(p->value);
	if (!nghttp2_check_header_name((const uint8_t *)name.at, name.len) || name.at[0] == ':' ||
	    slice_starts(name, SLICE("grpc-")))
		return err_set(err, ERR_BAD_INPUT, "\"%s\" cannot be the name of metadata",
			       p->name);
	if (!nghttp2_check_header_value_rfc9113((const uint8_t *)value.at, value.len))
		return err_set(err, ERR_BAD_INPUT,
			       "the value of metadata \"%s\" has characters "
			       "that no header may have",
			       p->name);
	return true;
}

static bool is_call(const struct grpc_ask *ask, struct err *err)
{
	struct slice host = slice_of(ask->host), method = slice_of(ask->method);
	if (!host.len || !nghttp2_check_authority((const uint8_t *)host.at, host.len))
		return err_set(err, ERR_BAD_INPUT, "\"%s\" is no host", ask->host);
	if (!slice_starts(method, SLICE("/")) ||
	    !nghttp2_check_path((const uint8_t *)method.at, method.len))
		return err_set(err, ERR_BAD_INPUT, "\"%s\" is no method", ask->method);
	if (ask->n_metadata > MAX_METADATA)
		return err_set(err, ERR_LIMIT, "more than %d metadata", MAX_METADATA);
	for (size_t i = 0; i < ask->n_metadata; i++)
		if (!is_metadata(&ask->metadata[i], err))
			return false;
	return ask->message.len <= UINT32_MAX ||
	       err_set(err, ERR_LIMIT, "the message is too large");
}

static void submit(struct client_session *s, const struct grpc_ask *ask)
{
	char timeout[16];
	grpc_timeout_text(ask->timeout_ms, timeout);
	nghttp2_nv head[OWN_FIELDS + MAX_METADATA] = {
		grpc_h2_nv(":method", SLICE("POST")),
		grpc_h2_nv(":scheme", ask->tls ? SLICE("https") : SLICE("http")),
		grpc_h2_nv(":path", slice_of(ask->method)),
		grpc_h2_nv(":authority", slice_of(ask->host)),
		grpc_h2_nv("te", SLICE("trailers")),
		grpc_h2_nv("grpc-timeout", slice_of(timeout)),
		grpc_h2_nv("content-type", SLICE("application/grpc")),
		grpc_h2_nv("user-agent", SLICE("grpc-c-hark")),
		grpc_h2_nv("grpc-accept-encoding", SLICE("identity")),
	};
	for (size_t i = 0; i < ask->n_metadata; i++) {
		nghttp2_nv *nv = &head[OWN_FIELDS + i];
		*nv = grpc_h2_nv(ask->metadata[i].name, slice_of(ask->metadata[i].value));
		nv->flags = NGHTTP2_NV_FLAG_NO_INDEX; /* tokens: RFC 7541 7.1.3 */
	}
	const nghttp2_data_provider body = {.read_callback = read_request};
	s->stream = nghttp2_submit_request(s->h2, NULL, head, OWN_FIELDS + ask->n_metadata, &body,
					   NULL);
	MUST(s->stream > 0);
}

/* ---- the session ------------------------------------------------------------------------------ */

static void new_h2(struct client_session *s)
{
	nghttp2_session_callbacks *c;
	nghttp2_option *o;
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADER_LIST},
	};
	MUST(nghttp2_session_callbacks_new(&c) == 0 && nghttp2_option_new(&o) == 0);
	nghttp2_session_callbacks_set_on_header_callback2(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_option_set_max_outbound_ack(o, MAX_ACKS);
	MUST(nghttp2_session_client_new3(&s->h2, c, s, o, &grpc_h2_mem) == 0);
	MUST(nghttp2_submit_settings(s->h2, NGHTTP2_FLAG_NONE, settings, N_ELEMS(settings)) == 0);
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(c);
}

struct client_session *client_session_new(const struct grpc_ask *ask, struct err *err)
{
	if (!is_call(ask, err))
		return NULL;
	struct client_session *s = mem_new(sizeof(*s));
	buf_init(&s->out, ask->message.len + GRPC_PREFIX);
	MUST(grpc_message_prefix(&s->out, ask->message.len) && buf_append(&s->out, ask->message));
	grpc_message_init(&s->in, ask->answer_bytes ? ask->answer_bytes : DEFAULT_ANSWER);
	new_h2(s);
	submit(s, ask);
	return s;
}

void client_session_free(struct client_session *s)
{
	if (!s)
		return;
	nghttp2_session_del(s->h2);
	grpc_message_fini(&s->in);
	buf_fini(&s->out);
	free(s);
}

bool client_session_feed(struct client_session *s, struct slice bytes, struct err *err)
{
	return grpc_h2_feed(s->h2, bytes, err);
}

bool client_session_fill(struct client_session *s, struct buf *out, struct err *err)
{
	if (!grpc_h2_fill(s->h2, out, err))
		return false;
	if (!nghttp2_session_want_read(s->h2) && !nghttp2_session_want_write(s->h2))
		end_with(s, GRPC_UNAVAILABLE, "the server takes no call now");
	return true;
}

void client_session_go_away(struct client_session *s)
{
	MUST(nghttp2_session_terminate_session(s->h2, NGHTTP2_NO_ERROR) == 0);
}
