/*
 * Waits until every Pod of a mesh is ready, telling on standard error how far it is.
 *
 *   if (!wait_for_pods(client.base, 120, &err)) ...       // said which are not and why
 *
 *   struct waiting w;                                      // the same in pieces, for a loop
 *   waiting_init(&w);  waiting_bytes(&w, bytes);  ... w.result
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum wait_result { WAIT_RUNNING, WAIT_READY, WAIT_FAILED, WAIT_TIMEOUT };

/* Reads what /hark/v1/wait says (local/mesh.h) and prints it. */
struct waiting {
	struct buf line;
	enum wait_result result;
	unsigned n_total; /* Pods */
};

void waiting_init(struct waiting *w);
void waiting_fini(struct waiting *w);
void waiting_bytes(struct waiting *w, struct slice bytes);
/* Into OUT (at least 64 bytes). */
const char *waiting_path(unsigned timeout_s, char *out, size_t out_len);

bool wait_for_pods(const char *base, unsigned timeout_s, struct err *err) MUST_CHECK;
