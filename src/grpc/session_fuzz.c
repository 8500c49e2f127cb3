/*
 * A peer that sends what it likes. The first byte picks the game:
 *   bit 0  0: a server hears it, 1: a client does
 *   bit 1  0: a preface comes first, 1: not even that
 *   bit 2  whether our output is taken away in between, as from a peer that reads
 * The second says where the bytes are cut in two. Frames in the rest have it easy: what follows the
 * type is used as it is, but a length that reaches beyond the end is cut to it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grpc/client_session.h"
#include "grpc/frames.h"
#include "grpc/h2.h"
#include "grpc/server_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENT = 1, NO_PREFACE = 2, READS = 4, FRAME_HEAD = 9 };

static void on_say(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	(void)ctx;
	struct slice fail = grpc_metadata(q, "x-fail");
	if (fail.at)
		grpc_reply_error(reply, GRPC_UNKNOWN, "%.*s", SLICE_FMT(fail));
	else
		grpc_reply_ok(reply, q->message);
}

static struct server_shared shared = {.streams = 4, .message_bytes = 100, .held_max = 300};

static void prepare(void)
{
	shared.methods.rows = mem_array(1, sizeof(*shared.methods.rows));
	shared.methods.rows[0] = (struct grpc_method){"/s", on_say, NULL};
	shared.methods.n = 1;
}

/* Lengths that fit, so that most inputs are frames. */
static void mend(struct buf *b, size_t from)
{
	size_t len = buf_len(b);
	char *at = &b->bytes[b->start];
	while (len - from >= FRAME_HEAD) {
		size_t left = len - from - FRAME_HEAD, says = (uint8_t)at[from + 2];
		says = says < left ? says : left;
		at[from] = at[from + 1] = 0;
		at[from + 2] = (char)says;
		from += FRAME_HEAD + says;
	}
}

static void hear_server(struct slice bytes, size_t cut, bool reads)
{
	struct err err = {0};
	struct buf out;
	struct server_session *s =
		server_session_new(&(struct server_session_config){.shared = &shared});
	buf_init(&out, GRPC_H2_OUT);
	bool ok = server_session_feed(s, slice_sub(bytes, 0, cut), &err);
	if (reads)
		ok = ok && server_session_fill(s, &out, &err);
	ok = ok && server_session_feed(s, slice_sub(bytes, cut, bytes.len), &err);
	while (ok) {
		buf_clear(&out);
		ok = server_session_fill(s, &out, &err) && buf_len(&out) > 0;
	}
	MUST(shared.held <= shared.held_max && server_session_calls(s) <= shared.streams);
	(void)server_session_over(s);
	server_session_free(s);
	MUST(shared.held == 0);
	buf_fini(&out);
}

static void hear_client(struct slice bytes, size_t cut, bool reads)
{
	static const struct grpc_ask ask = {
		.host = "h", .method = "/s", .message = {"hello", 5}, .answer_bytes = 100};
	struct err err = {0};
	struct buf out;
	struct client_session *s = client_session_new(&ask, &err);
	MUST(s);
	buf_init(&out, GRPC_H2_OUT);
	bool ok = client_session_fill(s, &out, &err) &&
		  client_session_feed(s, slice_sub(bytes, 0, cut), &err);
	buf_clear(&out);
	if (reads)
		ok = ok && client_session_fill(s, &out, &err);
	ok = ok && client_session_feed(s, slice_sub(bytes, cut, bytes.len), &err);
	while (ok) {
		buf_clear(&out);
		ok = client_session_fill(s, &out, &err) && buf_len(&out) > 0;
	}
	if (client_session_over(s)) {
		struct grpc_answer answer;
		client_session_answer(s, &answer);
		MUST(answer.status < GRPC_N_STATUSES && strlen(answer.text) < 1024);
		MUST(answer.status != GRPC_OK || answer.message.len <= 100);
	}
	client_session_free(s);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf bytes;
	if (!shared.methods.rows)
		prepare();
	if (size < 2 || size > 100000)
		return 0;
	bool client = data[0] & CLIENT, reads = data[0] & READS;
	struct slice rest = slice_sub((struct slice){(const char *)data, size}, 2, size);
	buf_init(&bytes, 1 << 20);
	if (!(data[0] & NO_PREFACE) && client)
		frames_server_preface(&bytes);
	else if (!(data[0] & NO_PREFACE))
		frames_client_preface(&bytes);
	size_t from = buf_len(&bytes);
	MUST(buf_append(&bytes, rest));
	if (!(data[0] & NO_PREFACE))
		mend(&bytes, from);
	size_t cut = buf_len(&bytes) * data[1] / 256;
	if (client)
		hear_client(buf_slice(&bytes), cut, reads);
	else
		hear_server(buf_slice(&bytes), cut, reads);
	buf_fini(&bytes);
	return 0;
}
