/*
 * All orders of events up to length 6 through the first-word machine, in every configuration, each
 * answer held against every rule of first_word_world_test.h. And each rule held against machines
 * that break it: a rule that nothing can break would prove nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "detect/first_word_world_test.h"

enum { FAULT_DEPTH = 4 };

struct search {
	unsigned depth;
	void (*fault)(struct world *w); /* makes the answer wrong; NULL: the machine as it is */
	unsigned long n_worlds, n_decided;
	unsigned long applied[N_RULES], broken[N_RULES];
	unsigned long reasons[FW_N_REASONS];
	char report[1024]; /* of the first rule broken */
};

static void report(struct search *s, const struct world *w, enum rule r)
{
	size_t n = (size_t)snprintf(
		s->report, sizeof(s->report),
		"%s: side %d mode %d source %d tls %d learned %d early %d timeout %u, symbols",
		rule_name((enum rule)r), w->cfg.side, w->cfg.mode, w->cfg.source,
		w->cfg.tls_possible, w->cfg.learned, w->cfg.early_allowed,
		w->cfg.detection_timeout_ms);
	for (unsigned i = 0; i < w->n_path; i++)
		n += (size_t)snprintf(&s->report[n], sizeof(s->report) - n, " %d", w->path[i]);
	(void)snprintf(&s->report[n], sizeof(s->report) - n, ": does %d, %s because %s",
		       w->answer.what, fw_verdict_name(w->answer.verdict),
		       fw_reason_name(w->answer.reason)); /* cut short is fine */
}

/* W's answer is new. A fault is judged and forgotten: the world goes on as the machine said. */
static void look(struct search *s, struct world *w)
{
	struct world judged = *w;
	if (s->fault)
		s->fault(&judged);
	judged.n_open += judged.answer.what == FW_OPEN_UPSTREAM;
	w->n_open += w->answer.what == FW_OPEN_UPSTREAM;
	s->n_worlds++;
	s->reasons[judged.answer.reason]++;
	for (unsigned r = 0; r < N_RULES; r++) {
		struct finding f = rule_judge((enum rule)r, &judged);
		s->applied[r] += f.applies;
		if (f.applies && !f.holds) {
			if (s->report[0] == '\0')
				report(s, &judged, (enum rule)r);
			s->broken[r]++;
		}
	}
}

static void tell(struct world *w, enum symbol s, struct slice bytes)
{
	struct fw_input in = {.event = world_event(s),
			      .bytes = bytes,
			      .fin = s == C_HTTP_END || s == C_PART_END || s == U_WORDS_END,
			      .since_accept_us = w->now_us};
	w->before = w->answer;
	w->answer = first_word_event(&w->fw, &in);
}

/* A decision stands, whatever is told afterwards. */
static void tell_after(struct search *s, const struct world *w)
{
	for (unsigned e = 0; e < FW_N_EVENTS; e++) {
		struct world after = *w;
		struct fw_input in = {(enum fw_event)e, SLICE("x"), false, w->now_us + 1};
		after.before = w->answer;
		after.answer = first_word_event(&after.fw, &in);
		look(s, &after);
	}
}

static void explore(struct search *s, const struct world *w)
{
	if (w->answer.what == FW_DECIDED) {
		s->n_decided++;
		tell_after(s, w);
		return;
	}
	for (unsigned sym = 0; sym < N_SYMBOLS && w->n_path < s->depth; sym++) {
		enum symbol symbol = (enum symbol)sym;
		if (!world_can(w, symbol))
			continue;
		struct world next = *w;
		struct slice bytes = world_bytes(w, symbol);
		world_happens(&next, symbol);
		if (symbol != LATE) { /* which the machine does not hear of */
			tell(&next, symbol, bytes);
			look(s, &next);
		}
		explore(s, &next);
	}
}

static void explore_all(struct search *s)
{
	enum {
		ONLY = 2,
		SIDES = 2,
		MODES = 2,
		TLS = 2,
		SOURCES = 3,
		LEARNED = 3,
		EARLY_ALLOWED = 2,
		TIMEOUTS = 2
	};
	unsigned n = ONLY * SIDES * MODES * TLS * SOURCES * LEARNED * EARLY_ALLOWED * TIMEOUTS;
	for (unsigned i = 0; i < n; i++) {
		unsigned rest = i;
		struct fw_config cfg = {.head_start_us = FW_HEAD_START_US,
					.window_us = WINDOW_US,
					.partial_ms = FW_PARTIAL_MS};
		cfg.tls_only = rest % ONLY;
		rest /= ONLY;
		cfg.side = (enum fw_side)(rest % SIDES);
		rest /= SIDES;
		cfg.mode = (enum fw_mode)(rest % MODES);
		rest /= MODES;
		cfg.tls_possible = rest % TLS;
		rest /= TLS;
		cfg.source = (enum fw_source)(rest % SOURCES);
		rest /= SOURCES;
		cfg.learned = (enum fw_learned)(rest % LEARNED);
		rest /= LEARNED;
		cfg.early_allowed = rest % EARLY_ALLOWED;
		rest /= EARLY_ALLOWED;
		cfg.detection_timeout_ms = rest ? TIMEOUT_MS : 0;
		/* What the configuration cannot look at is not varied. */
		if ((cfg.side == FW_OUTBOUND && cfg.tls_possible) ||
		    (!cfg.tls_possible && (cfg.tls_only || cfg.source != FW_SOURCE_PLAIN)) ||
		    (cfg.mode == FW_BOTH_ENDS && cfg.detection_timeout_ms) ||
		    (cfg.mode == FW_CLIENT_FIRST && cfg.learned != FW_LEARNED_NOTHING))
			continue;
		struct world w = {.cfg = cfg, .last = N_SYMBOLS};
		w.answer = first_word_start(&w.fw, &cfg, 0);
		look(s, &w);
		explore(s, &w);
	}
}

static void every_order_obeys_every_rule(void **state)
{
	(void)state; /* none */
	static struct search s = {.depth = DEPTH};
	explore_all(&s);
	print_message("%lu worlds, %lu decided\n", s.n_worlds, s.n_decided);
	if (s.report[0])
		fail_msg("%s", s.report);
	for (unsigned r = 0; r < N_RULES; r++)
		if (s.applied[r] == 0)
			fail_msg("%s never had anything to say", rule_name((enum rule)r));
	for (unsigned r = FW_REASON_NONE + 1; r < FW_N_REASONS; r++)
		if (s.reasons[r] == 0)
			fail_msg("reason %s is never given", fw_reason_name((enum fw_reason)r));
}

/* Machines that are wrong in one way each, and the rule that has to notice. */

static void verdict(struct world *w, enum fw_verdict v, enum fw_reason why)
{
	w->answer = (struct fw_answer){
		.what = FW_DECIDED, .verdict = v, .reason = why, .who = w->first};
}

static void f_verdict_while_waiting(struct world *w)
{
	if (w->answer.what == FW_WAIT)
		w->answer.verdict = FW_OPAQUE;
}

static void f_timer_after_decision(struct world *w)
{
	if (w->answer.what == FW_DECIDED)
		w->answer.timer_us = 1;
}

static void f_changes_its_mind(struct world *w)
{
	if (w->before.what == FW_DECIDED)
		w->answer.verdict = FW_CLOSE;
}

static void f_opens_again(struct world *w)
{
	if (w->last == U_OPEN)
		w->answer.what = FW_OPEN_UPSTREAM;
}

static void f_opens_at_once(struct world *w)
{
	if (w->n_path == 0)
		w->answer.what = FW_OPEN_UPSTREAM;
}

static void f_decides_on_silence(struct world *w)
{
	if (w->last == TIMER && world_silent(w))
		verdict(w, FW_OPAQUE, FW_REASON_CLIENT_OPAQUE);
}

static void f_decides_by_time(struct world *w)
{
	if (w->last == TIMER && w->n_parts)
		verdict(w, FW_OPAQUE, FW_REASON_CLIENT_OPAQUE);
}

static void f_waits_for_more(struct world *w)
{
	if (w->last == C_OPAQUE && w->answer.what == FW_DECIDED)
		w->answer = (struct fw_answer){.reason = FW_REASON_WAIT_REST, .timer_us = 1};
}

static void f_takes_h2_for_opaque(struct world *w)
{
	if (w->last == C_H2)
		w->answer.verdict = FW_OPAQUE;
}

static void f_holds_every_greeting(struct world *w)
{
	if (w->last == U_WORDS)
		w->answer = (struct fw_answer){.reason = FW_REASON_WAIT_WINDOW, .timer_us = 1};
}

static void f_server_first_unheard(struct world *w)
{
	if (w->last == U_OPEN)
		verdict(w, FW_SERVER_FIRST, FW_REASON_SERVER_GREETED);
}

static void f_greets_everybody(struct world *w)
{
	if (w->answer.what == FW_WAIT)
		verdict(w, FW_SERVER_FIRST, FW_REASON_SERVER_GREETED);
}

static void f_refuses_after_a_close(struct world *w)
{
	if (w->last == U_END)
		w->answer.verdict = FW_REFUSED;
}

static void f_closes_after_a_close(struct world *w)
{
	if (w->last == U_END)
		w->answer.verdict = FW_CLOSE;
}

static void f_learns_from_everything(struct world *w)
{
	if (w->answer.what == FW_DECIDED)
		w->answer.teach = FW_TEACH_SERVER_FIRST;
}

static void f_says_the_client_was_first(struct world *w)
{
	if (w->answer.what == FW_DECIDED)
		w->answer.who = FW_CLIENT;
}

static void f_polls(struct world *w)
{
	if (w->answer.what != FW_DECIDED)
		w->answer.timer_us = 1000;
}

static void f_forgets_the_timer(struct world *w)
{
	w->answer.timer_us = 0;
}

static const struct {
	enum rule rule;
	void (*fault)(struct world *w);
} faults[] = {
	{RULE_waiting_has_no_verdict, f_verdict_while_waiting},
	{RULE_decided_has_a_verdict_and_no_timer, f_timer_after_decision},
	{RULE_nothing_new_after_a_decision, f_changes_its_mind},
	{RULE_opens_once, f_opens_again},
	{RULE_opens_only_where_allowed, f_opens_at_once},
	{RULE_opens_not_before_the_head_start, f_opens_at_once},
	{RULE_silence_decides_nothing, f_decides_on_silence},
	{RULE_time_decides_only_in_a_named_window, f_decides_by_time},
	{RULE_a_whole_word_decides_at_once, f_waits_for_more},
	{RULE_the_clients_word_is_the_verdict, f_takes_h2_for_opaque},
	{RULE_a_greeting_decides_at_once, f_holds_every_greeting},
	{RULE_the_servers_verdicts_need_the_server, f_server_first_unheard},
	{RULE_mesh_gets_no_greeting, f_greets_everybody},
	{RULE_unknown_gets_no_greeting_in_the_window, f_greets_everybody},
	{RULE_a_begun_hello_holds_the_greeting, f_greets_everybody},
	{RULE_refused_only_after_refused_or_reset, f_refuses_after_a_close},
	{RULE_closed_only_when_the_client_is_gone, f_closes_after_a_close},
	{RULE_client_first_listens_to_the_client_alone, f_greets_everybody},
	{RULE_guesses_and_refusals_teach_nothing, f_learns_from_everything},
	{RULE_mesh_tls_teaches_nothing, f_learns_from_everything},
	{RULE_a_lesson_is_of_who_spoke_first, f_learns_from_everything},
	{RULE_who_spoke_first_is_told, f_says_the_client_was_first},
	{RULE_both_silent_needs_no_timer, f_polls},
	{RULE_whatever_is_begun_has_a_timer, f_forgets_the_timer},
};

static void every_rule_can_be_broken(void **state)
{
	(void)state; /* none */
	bool covered[N_RULES] = {0};
	for (size_t i = 0; i < N_ELEMS(faults); i++) {
		static struct search s;
		s = (struct search){.depth = FAULT_DEPTH, .fault = faults[i].fault};
		explore_all(&s);
		if (s.broken[faults[i].rule] == 0)
			fail_msg("%s does not notice", rule_name(faults[i].rule));
		covered[faults[i].rule] = true;
	}
	for (unsigned r = 0; r < N_RULES; r++)
		if (!covered[r])
			fail_msg("no machine breaks %s", rule_name((enum rule)r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_obeys_every_rule),
		cmocka_unit_test(every_rule_can_be_broken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
