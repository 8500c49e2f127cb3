/*
 * The world around the first-word machine, for the test of all orders of events: what can happen,
 * and the rules that every answer must obey. The rules know nothing of how the machine works.
 *
 * The world is what can really be: an upstream speaks only after it was connected to, bytes only
 * grow, nothing comes after an end. Time stands still but for two symbols: the timer fires, or its
 * time passes and something else is told first.
 */
#pragma once
#include "detect/first_word.h"

enum { DEPTH = 6, WINDOW_US = 4000, TIMEOUT_MS = 1500 };

enum symbol {
	C_HTTP,      /* a whole request line */
	C_HTTP_END,  /* and the client's end with it */
	C_H2,        /* the whole preface */
	C_TLS,       /* a whole ClientHello */
	C_OPAQUE,    /* bytes that are nothing we know */
	C_PART_HTTP, /* a beginning of HTTP, once more: a longer one */
	C_PART_TLS,  /* a beginning of a ClientHello, the same */
	C_PART_END,  /* a beginning of HTTP, and the client's end with it */
	C_END,
	C_RESET,
	U_OPEN,
	U_WORDS,     /* a greeting */
	U_WORDS_END, /* and the server's end with it */
	U_PART,      /* what may become SETTINGS */
	U_SETTINGS,
	U_HTTP1,
	U_REFUSAL, /* words that refuse */
	U_END,
	U_REFUSED,
	U_RESET,
	TIMER, /* fires when it is due */
	EARLY, /* fires before it is due */
	LATE,  /* its time passes, and it does not fire yet */
	N_SYMBOLS
};

struct world {
	struct fw_config cfg;
	struct first_word fw;
	enum symbol path[DEPTH];
	unsigned n_path;
	uint64_t now_us;
	struct fw_answer answer, before;
	/* what has been seen to happen */
	unsigned n_open;
	bool open, up_over;
	unsigned n_parts, n_up_parts;
	bool part_tls;    /* what the client began is a ClientHello */
	enum word word;   /* the client's whole word; WORD_MORE: none yet */
	bool client_over; /* its end or its reset came */
	bool up_whole;    /* the server said something whole */
	bool refusal;     /* that, in words that refuse */
	enum fw_first first;
	enum symbol last;
};

bool world_can(const struct world *w, enum symbol s);           /* may S happen now? */
struct slice world_bytes(const struct world *w, enum symbol s); /* all that side has said with S */
enum fw_event world_event(enum symbol s);
/* Writes down that S happened, before the machine hears of it. */
void world_happens(struct world *w, enum symbol s);
/* Nobody has said, ended or refused anything. */
bool world_silent(const struct world *w);

#define RULES(X)                                                                                   \
	X(waiting_has_no_verdict)                                                                  \
	X(decided_has_a_verdict_and_no_timer)                                                      \
	X(nothing_new_after_a_decision)                                                            \
	X(opens_once)                                                                              \
	X(opens_only_where_allowed)                                                                \
	X(opens_not_before_the_head_start)                                                         \
	X(silence_decides_nothing)                                                                 \
	X(time_decides_only_in_a_named_window)                                                     \
	X(a_whole_word_decides_at_once)                                                            \
	X(the_clients_word_is_the_verdict)                                                         \
	X(a_greeting_decides_at_once)                                                              \
	X(the_servers_verdicts_need_the_server)                                                    \
	X(mesh_gets_no_greeting)                                                                   \
	X(unknown_gets_no_greeting_in_the_window)                                                  \
	X(a_begun_hello_holds_the_greeting)                                                        \
	X(refused_only_after_refused_or_reset)                                                     \
	X(closed_only_when_the_client_is_gone)                                                     \
	X(client_first_listens_to_the_client_alone)                                                \
	X(guesses_and_refusals_teach_nothing)                                                      \
	X(mesh_tls_teaches_nothing)                                                                \
	X(a_lesson_is_of_who_spoke_first)                                                          \
	X(who_spoke_first_is_told)                                                                 \
	X(both_silent_needs_no_timer)                                                              \
	X(whatever_is_begun_has_a_timer)

enum rule {
#define X(name) RULE_##name,
	RULES(X)
#undef X
		N_RULES
};

/* APPLIES: the rule has something to say here. HOLDS: the answer obeys it. */
struct finding {
	bool applies, holds;
};

struct finding rule_judge(enum rule r, const struct world *w);
const char *rule_name(enum rule r);
