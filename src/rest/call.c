/* The blocking calls: a client and a loop of their own, run until the answer is here. */
#include <unistd.h>

#include "rest/client.h"

struct call {
	struct rest_client *client;
	struct buf *out;
	bool (*chunk)(void *ctx, struct slice bytes);
	void *chunk_ctx;
	unsigned status;
	bool over, ok;
	struct err *err;
};

static void on_head(void *ctx, const struct rest_response *res)
{
	((struct call *)ctx)->status = res->status;
}

static void stop(struct call *call, bool ok)
{
	rest_client_cancel(call->client);
	call->over = true;
	call->ok = ok;
}

static void on_body(void *ctx, struct slice bytes)
{
	struct call *call = ctx;
	if (call->chunk && call->status / 100 == 2) {
		if (!call->chunk(call->chunk_ctx, bytes))
			stop(call, true);
	} else if (call->out && !buf_append(call->out, bytes)) {
		stop(call, err_set(call->err, ERR_LIMIT, "the response is longer than %zu bytes",
				   call->out->max));
	}
}

static void on_end(void *ctx, const struct err *err)
{
	struct call *call = ctx;
	call->over = true;
	call->ok = !err;
	if (err && call->err)
		*call->err = *err;
}

static bool run(struct loop *loop, struct call *call, const struct rest_ask *ask, struct err *err)
{
	static const struct rest_events events = {on_head, on_body, on_end};
	call->err = err;
	rest_client_send(call->client, ask, &events, call);
	while (!call->over)
		if (!loop_turn(loop, -1, err))
			return false;
	return call->ok;
}

bool rest_call_stream(const char *base, int fd, const struct rest_ask *ask,
		      bool (*chunk)(void *ctx, struct slice bytes), void *ctx, unsigned *status,
		      struct buf *out, struct err *err)
{
	struct call call = {.out = out, .chunk = chunk, .chunk_ctx = ctx};
	bool ok = false;
	*status = 0;
	if (fd < 0 && !base)
		return err_set(err, ERR_NOT_NOW, "no connection");
	struct loop *loop = loop_new(err);
	if (!loop) {
		if (fd >= 0)
			(void)close(fd); /* taken over, and nothing was written to it */
		return false;
	}
	call.client = fd >= 0 ? rest_client_new_fd(loop, fd) : rest_client_new(loop, base, err);
	if (call.client) {
		ok = run(loop, &call, ask, err);
		*status = call.status;
	}
	if (!ok && base)
		(void)err_wrap(err, "%s", base); /* false again */
	rest_client_free(call.client);
	loop_free(loop);
	return ok;
}

bool rest_call(const char *base, const struct rest_ask *ask, unsigned *status, struct buf *out,
	       struct err *err)
{
	return rest_call_stream(base, -1, ask, NULL, NULL, status, out, err);
}

bool rest_call_fd(int fd, const struct rest_ask *ask, unsigned *status, struct buf *out,
		  struct err *err)
{
	return rest_call_stream(NULL, fd, ask, NULL, NULL, status, out, err);
}
