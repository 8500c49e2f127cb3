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
#include "decide/tls_plan.h"
#include "detect/first_word.h"
#include "model/live.h"

enum fw_learned learn_state(const struct live_port *live);
/* Every word that came was the client's and neither HTTP nor TLS: whatever comes, it goes where an
 * early connection goes. */
bool learn_only_opaque(const struct live_port *live);
void learn_teach(struct live_port *live, enum fw_teach teach, enum greet_protocol greeted);
/* The appProtocol that says what was learnt, static text; NULL when nothing, or contradictions. */
const char *learn_suggest(const struct live_port *live);

/* How TLS began with the port's servers, where that is worth knowing: N_TLS_BEGINS where nothing is known. */
enum tls_begin learn_tls(const struct live_port *live);
void learn_tls_begun(struct live_port *live, enum tls_begin begin); /* N_TLS_BEGINS: forget it */
/* A rule wants TLS with the port's servers, and one spoke PROTOCOL, in clear; taken back by TLS that was made. */
void learn_in_clear(struct live_port *live, enum greet_protocol protocol);
void learn_tls_made(struct live_port *live);

/* A copy of the counters, for those who print them. */
struct learned {
	unsigned server_first, client_http, client_tls, client_opaque, contradicted;
	enum greet_protocol greeting;
	enum tls_begin tls_begins; /* N_TLS_BEGINS: not known */
	bool spoke_in_clear;       /* where a rule wants TLS */
	enum greet_protocol in_clear;
};
void learn_read(const struct live_port *live, struct learned *out);
/* Members for the object that is open: "learned" ("nothing", "server-first", "client-first"), the
 * counters, "greeting", "app_protocol" (learn_suggest()), "tls_begins" and "in_clear". */
void learn_json(const struct live_port *live, struct json_out *out);
