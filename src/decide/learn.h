/*
 * What a port taught: from the counters of its live cell to the short cut that the next connection
 * may take, and to the declaration that a person can write down.
 *
 *   learn_teach(plan->live, answer.teach, answer.protocol);  // after a connection
 *   plan.fw.learned = learn_state(plan->live);               // before the next one
 *   learn_suggest(live)                                      // "mysql": `appProtocol: mysql`
 *
 * One contradiction (client-first and server-first connections on one port) and no short cut is
 * taken any more. Any thread; LIVE may be NULL and then nothing is known or kept.
 */
#pragma once
#include "base/json_out.h"
#include "detect/first_word.h"
#include "model/live.h"

enum fw_learned learn_state(const struct live_port *live);
/* Every word that came was the client's and neither HTTP nor TLS: whatever comes, it goes where an
 * early connection goes. */
bool learn_only_opaque(const struct live_port *live);
void learn_teach(struct live_port *live, enum fw_teach teach, enum greet_protocol greeted);
/* The appProtocol that says what was learnt, static text; NULL when nothing, or contradictions. */
const char *learn_suggest(const struct live_port *live);

/* A copy of the counters, for those who print them. */
struct learned {
	unsigned server_first, client_http, client_tls, client_opaque, contradicted;
	enum greet_protocol greeting;
};
void learn_read(const struct live_port *live, struct learned *out);
/* Members for the object that is open: "learned" ("nothing", "server-first", "client-first"), the
 * counters, "greeting" and "app_protocol" (learn_suggest()). */
void learn_json(const struct live_port *live, struct json_out *out);
