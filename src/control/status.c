#include "control/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json_out.h"
#include "base/mem.h"

static const char *reason_of(unsigned code)
{
	static const struct {
		unsigned code;
		const char *reason;
	} reasons[] = {
		{400, "BadRequest"},
		{404, "NotFound"},
		{405, "MethodNotAllowed"},
		{409, "Conflict"},
		{410, "Expired"},
		{413, "RequestEntityTooLarge"},
		{415, "UnsupportedMediaType"},
		{422, "Invalid"},
	};
	for (size_t i = 0; i < N_ELEMS(reasons); i++)
		if (reasons[i].code == code)
			return reasons[i].reason;
	return "InternalError";
}

static void send_status(struct rest_reply *reply, unsigned code, const char *status,
			const char *reason, const char *message)
{
	struct buf b;
	struct json_out j;
	buf_init(&b, 64 << 10);
	json_out_init(&j, &b);
	json_open_object(&j, NULL);
	json_cstr(&j, "kind", "Status");
	json_cstr(&j, "apiVersion", "v1");
	json_open_object(&j, "metadata");
	json_close(&j);
	json_cstr(&j, "status", status);
	if (message)
		json_cstr(&j, "message", message);
	if (reason)
		json_cstr(&j, "reason", reason);
	json_u64(&j, "code", code);
	json_close(&j);
	rest_reply_full(reply, code, "application/json", buf_slice(&b));
	buf_fini(&b);
}

void status_reply(struct rest_reply *reply, unsigned code, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* may be cut */
	va_end(args);
	send_status(reply, code, "Failure", reason_of(code), text);
}

void status_reply_err(struct rest_reply *reply, const struct err *err, bool creating)
{
	switch (err->kind) {
	case ERR_BAD_INPUT:
		status_reply(reply, 422, "%s", err->text);
		return;
	case ERR_NOT_FOUND:
		status_reply(reply, 404, "%s", err->text);
		return;
	case ERR_CONFLICT:
		send_status(reply, 409, "Failure", creating ? "AlreadyExists" : "Conflict",
			    err->text);
		return;
	case ERR_NOT_NOW:
		status_reply(reply, 409, "%s", err->text);
		return;
	case ERR_LIMIT:
		status_reply(reply, 413, "%s", err->text);
		return;
	case ERR_NONE:
	case ERR_SYS:
		status_reply(reply, 500, "%s", err->text);
		return;
	}
}

void status_reply_done(struct rest_reply *reply, const char *kind, const char *name)
{
	char text[512];
	(void)snprintf(text, sizeof(text), "%s %s is deleted", kind, name); /* may be cut */
	send_status(reply, 200, "Success", NULL, text);
}
