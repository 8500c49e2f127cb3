/*
 * Errors of the API: a JSON object of kind Status with reason and code.
 *
 *   status_reply(reply, 404, "Pod shop/db is not there");
 *   status_reply_err(reply, &err, false);       // by the kind of the error
 */
#pragma once
#include "rest/server.h"

/* The reason follows from CODE. */
void status_reply(struct rest_reply *reply, unsigned code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* CREATING: a conflict means that the object exists. */
void status_reply_err(struct rest_reply *reply, const struct err *err, bool creating);
/* 200, status Success: what was asked (a deletion) is done. */
void status_reply_done(struct rest_reply *reply, const char *kind, const char *name);
