#include "detect/first_word_world_test.h"

#include "base/mem.h"

static bool decided(const struct world *w)
{
	return w->answer.what == FW_DECIDED;
}

static bool verdict_is(const struct world *w, enum fw_verdict v)
{
	return decided(w) && w->answer.verdict == v;
}

static bool from_server(const struct world *w)
{
	static const bool reasons[FW_N_REASONS] = {
		[FW_REASON_SERVER_GREETED] = true, [FW_REASON_SERVER_WINDOW] = true,
		[FW_REASON_SERVER_HTTP2] = true,   [FW_REASON_SERVER_HTTP1] = true,
		[FW_REASON_SERVER_REFUSAL] = true, [FW_REASON_SERVER_CLOSED] = true,
	};
	return decided(w) && reasons[w->answer.reason];
}

static bool mesh(const struct world *w)
{
	return w->cfg.tls_possible && w->cfg.source == FW_SOURCE_MESH;
}

static bool unknown(const struct world *w)
{
	return w->cfg.tls_possible && w->cfg.source == FW_SOURCE_UNKNOWN;
}

static bool by_time(const struct world *w)
{
	return w->last == TIMER || w->last == EARLY || w->last == LATE || w->n_path == 0;
}

static uint64_t head_start(const struct world *w)
{
	uint64_t us = w->cfg.head_start_us;
	return w->cfg.learned == FW_LEARNED_SERVER_FIRST   ? 0
	       : w->cfg.learned == FW_LEARNED_CLIENT_FIRST ? us * FW_CLIENT_FIRST_FACTOR
							   : us;
}

static bool same(const struct fw_answer *a, const struct fw_answer *b)
{
	return a->what == b->what && a->verdict == b->verdict && a->reason == b->reason &&
	       a->teach == b->teach && a->who == b->who && a->protocol == b->protocol &&
	       a->timer_us == b->timer_us;
}

static struct finding judge_shape(const struct world *w, enum rule r)
{
	const struct fw_answer *a = &w->answer;
	switch (r) {
	case RULE_waiting_has_no_verdict:
		return (struct finding){!decided(w),
					a->verdict == FW_UNDECIDED && a->teach == FW_TEACH_NOTHING};
	case RULE_decided_has_a_verdict_and_no_timer:
		return (struct finding){decided(w), a->verdict != FW_UNDECIDED && a->timer_us == 0};
	case RULE_nothing_new_after_a_decision:
		return (struct finding){w->before.what == FW_DECIDED, same(&w->before, a)};
	case RULE_opens_once:
		return (struct finding){w->n_open > 0, w->n_open == 1};
	case RULE_opens_only_where_allowed:
		return (struct finding){a->what == FW_OPEN_UPSTREAM, w->cfg.mode == FW_BOTH_ENDS &&
									     w->cfg.early_allowed &&
									     !mesh(w)};
	case RULE_opens_not_before_the_head_start:
		return (struct finding){a->what == FW_OPEN_UPSTREAM, w->now_us >= head_start(w)};
	default:
		return (struct finding){false, true};
	}
}

static struct finding judge_verdict(const struct world *w, enum rule r)
{
	const struct fw_answer *a = &w->answer;
	bool both = w->cfg.mode == FW_BOTH_ENDS;
	bool named = a->reason == FW_REASON_CLIENT_STALLED ||
		     a->reason == FW_REASON_DETECTION_TIMEOUT ||
		     (w->n_up_parts > 0 && from_server(w)) || (unknown(w) && from_server(w));
	static const enum fw_verdict verdicts[] = {[WORD_HTTP1] = FW_HTTP1,
						   [WORD_HTTP2] = FW_HTTP2,
						   [WORD_TLS] = FW_TLS,
						   [WORD_OPAQUE] = FW_OPAQUE};
	bool whole = w->last < C_PART_HTTP; /* and of the five bytes that Istio wants to see */
	switch (r) {
	case RULE_silence_decides_nothing:
		return (struct finding){world_silent(w),
					!decided(w) || a->reason == FW_REASON_DETECTION_TIMEOUT};
	case RULE_time_decides_only_in_a_named_window:
		return (struct finding){by_time(w) && decided(w) && w->before.what != FW_DECIDED,
					named};
	case RULE_a_whole_word_decides_at_once:
		return (struct finding){whole && w->n_path > 0, decided(w)};
	case RULE_the_clients_word_is_the_verdict:
		return (struct finding){
			whole && w->n_path > 0 && decided(w) && w->before.what != FW_DECIDED,
			a->verdict == (w->cfg.tls_only && w->word != WORD_TLS ? FW_OPAQUE
									      : verdicts[w->word])};
	case RULE_a_greeting_decides_at_once:
		return (struct finding){w->up_whole && both && !mesh(w) && !unknown(w), decided(w)};
	case RULE_the_servers_verdicts_need_the_server:
		return (struct finding){from_server(w) || verdict_is(w, FW_SERVER_FIRST) ||
						verdict_is(w, FW_PASS_ON),
					w->up_whole || w->n_up_parts > 0 || w->up_over};
	case RULE_refused_only_after_refused_or_reset:
		return (struct finding){verdict_is(w, FW_REFUSED),
					w->last == U_REFUSED || w->last == U_RESET};
	case RULE_closed_only_when_the_client_is_gone:
		return (struct finding){verdict_is(w, FW_CLOSE),
					w->last == C_RESET ||
						((!both || mesh(w)) && w->client_over)};
	case RULE_client_first_listens_to_the_client_alone:
		return (struct finding){!both, w->n_open == 0 && !from_server(w) &&
						       a->reason != FW_REASON_CLIENT_STALLED};
	default:
		return (struct finding){false, true};
	}
}

static struct finding judge_window(const struct world *w, enum rule r)
{
	bool hello = w->part_tls && w->word == WORD_MORE && !w->client_over;
	bool quiet = w->n_parts == 0 && w->word == WORD_MORE && !w->client_over;
	switch (r) {
	case RULE_mesh_gets_no_greeting:
		return (struct finding){mesh(w),
					w->n_open == 0 && !from_server(w) &&
						w->answer.reason != FW_REASON_CLIENT_ENDED};
	case RULE_unknown_gets_no_greeting_in_the_window:
		return (struct finding){unknown(w) && quiet && w->now_us < WINDOW_US,
					!from_server(w)};
	case RULE_a_begun_hello_holds_the_greeting:
		return (struct finding){unknown(w) && hello, !from_server(w)};
	default:
		return (struct finding){false, true};
	}
}

static struct finding judge_lesson(const struct world *w, enum rule r)
{
	const struct fw_answer *a = &w->answer;
	bool guess = a->reason == FW_REASON_CLIENT_STALLED || a->reason == FW_REASON_CLIENT_CUT ||
		     a->reason == FW_REASON_CLIENT_ENDED ||
		     a->reason == FW_REASON_DETECTION_TIMEOUT || verdict_is(w, FW_PASS_ON) ||
		     verdict_is(w, FW_REFUSED) || verdict_is(w, FW_CLOSE) || w->refusal ||
		     a->reason == FW_REASON_SERVER_HTTP2;
	enum fw_first of = a->teach == FW_TEACH_SERVER_FIRST ? FW_SERVER : FW_CLIENT;
	switch (r) {
	case RULE_guesses_and_refusals_teach_nothing:
		return (struct finding){decided(w) && guess, a->teach == FW_TEACH_NOTHING};
	case RULE_mesh_tls_teaches_nothing:
		return (struct finding){verdict_is(w, FW_TLS) && w->cfg.tls_possible,
					a->teach == FW_TEACH_NOTHING};
	case RULE_a_lesson_is_of_who_spoke_first:
		return (struct finding){a->teach != FW_TEACH_NOTHING, w->first == of};
	case RULE_who_spoke_first_is_told:
		return (struct finding){decided(w) && w->before.what != FW_DECIDED,
					a->who == w->first};
	default:
		return (struct finding){false, true};
	}
}

static struct finding judge_timer(const struct world *w, enum rule r)
{
	bool both = w->cfg.mode == FW_BOTH_ENDS;
	bool held = w->up_whole && unknown(w);
	switch (r) {
	case RULE_both_silent_needs_no_timer:
		return (struct finding){both && world_silent(w) &&
						(w->open || mesh(w) || !w->cfg.early_allowed),
					w->answer.timer_us == 0};
	case RULE_whatever_is_begun_has_a_timer:
		return (struct finding){both && !decided(w) &&
						(w->n_parts > 0 || w->n_up_parts > 0 || held),
					w->answer.timer_us > 0};
	default:
		return (struct finding){false, true};
	}
}

struct finding rule_judge(enum rule r, const struct world *w)
{
	struct finding (*const judges[])(const struct world *, enum rule) = {
		judge_shape, judge_verdict, judge_window, judge_lesson, judge_timer};
	struct finding all = {false, true};
	for (size_t i = 0; i < N_ELEMS(judges); i++) {
		struct finding one = judges[i](w, r);
		all.applies |= one.applies;
		all.holds &= !one.applies || one.holds;
	}
	return all;
}

const char *rule_name(enum rule r)
{
	static const char *const names[] = {
#define X(name) #name,
		RULES(X)
#undef X
	};
	return names[r];
}
