#include "detect/first_word.h"

#include "base/err.h"
#include "base/mem.h"

static struct fw_answer decide(struct first_word *fw, struct fw_answer a)
{
	a.what = FW_DECIDED;
	a.who = fw->first;
	fw->last = a;
	return a;
}

static struct fw_answer decided(struct first_word *fw, enum fw_verdict verdict, enum fw_reason why)
{
	return decide(fw, (struct fw_answer){.verdict = verdict, .reason = why});
}

/* Waiting */

/* A client with a sidecar says its ClientHello before anything else, and what the app has said by
 * then could not be delivered to it anyway: nothing is gained by connecting before that. */
static bool early_possible(const struct fw_config *cfg)
{
	bool mesh = cfg->tls_possible && cfg->source == FW_SOURCE_MESH;
	return cfg->mode == FW_BOTH_ENDS && cfg->early_allowed && !mesh;
}

static uint64_t open_at_us(const struct fw_config *cfg)
{
	switch (cfg->learned) {
	case FW_LEARNED_NOTHING:
		break;
	case FW_LEARNED_SERVER_FIRST:
		return 0;
	case FW_LEARNED_CLIENT_FIRST:
		return (uint64_t)cfg->head_start_us * FW_CLIENT_FIRST_FACTOR;
	}
	return cfg->head_start_us;
}

/* May a ClientHello of the mesh still come, so that the server's word has to be held back? */
static bool hello_may_come(const struct first_word *fw, uint64_t now_us)
{
	if (!fw->cfg.tls_possible || fw->cfg.source == FW_SOURCE_PLAIN)
		return false;
	if (fw->client == FW_CLIENT_BEGAN)
		return fw->client_hello;
	return fw->cfg.source == FW_SOURCE_MESH || now_us < fw->cfg.window_us;
}

static enum fw_reason wait_reason(const struct first_word *fw)
{
	if (fw->client == FW_CLIENT_BEGAN)
		return FW_REASON_WAIT_REST;
	switch (fw->upstream) {
	case FW_UPSTREAM_UNOPENED:
		if (early_possible(&fw->cfg))
			return FW_REASON_WAIT_HEAD_START;
		return fw->cfg.tls_possible && fw->cfg.source == FW_SOURCE_MESH
			       ? FW_REASON_WAIT_MESH_HELLO
			       : FW_REASON_WAIT_CLIENT_ONLY;
	case FW_UPSTREAM_QUIET:
		break;
	case FW_UPSTREAM_BEGAN:
		return FW_REASON_WAIT_SERVER_REST;
	case FW_UPSTREAM_SPOKE:
		return FW_REASON_WAIT_WINDOW;
	}
	return FW_REASON_WAIT_BOTH;
}

static void sooner(uint64_t *at_us, uint64_t other_us)
{
	if (other_us < *at_us)
		*at_us = other_us;
}

/* The one timer that is needed: the soonest of the deadlines that still stand. */
static uint32_t next_timer(const struct first_word *fw, uint64_t now_us)
{
	uint64_t at_us = UINT64_MAX;
	if (fw->cfg.mode == FW_CLIENT_FIRST) {
		if (fw->cfg.detection_timeout_ms)
			at_us = (uint64_t)fw->cfg.detection_timeout_ms * 1000;
	} else {
		if (fw->client == FW_CLIENT_BEGAN)
			sooner(&at_us, fw->client_until_us);
		if (fw->upstream == FW_UPSTREAM_UNOPENED && early_possible(&fw->cfg))
			sooner(&at_us, open_at_us(&fw->cfg));
		if (fw->upstream == FW_UPSTREAM_BEGAN)
			sooner(&at_us, fw->upstream_until_us);
		if (fw->upstream == FW_UPSTREAM_SPOKE && fw->client == FW_CLIENT_SILENT &&
		    fw->cfg.source == FW_SOURCE_UNKNOWN)
			sooner(&at_us, fw->cfg.window_us);
	}
	if (at_us == UINT64_MAX)
		return 0;
	uint64_t delay_us = at_us > now_us ? at_us - now_us : 1;
	return delay_us < UINT32_MAX ? (uint32_t)delay_us : UINT32_MAX; /* early does no harm */
}

static struct fw_answer keep_waiting(struct first_word *fw, enum fw_do what, enum fw_reason why,
				     uint64_t now_us)
{
	fw->last =
		(struct fw_answer){.what = what, .reason = why, .timer_us = next_timer(fw, now_us)};
	return fw->last;
}

/* The server's word */

/* WORD is the answer to what the server said: now, or when no ClientHello can come any more. */
static struct fw_answer server_said(struct first_word *fw, struct fw_answer word, uint64_t now_us)
{
	if (!hello_may_come(fw, now_us))
		return decide(fw, word);
	fw->upstream = FW_UPSTREAM_SPOKE;
	fw->held = word;
	return keep_waiting(fw, FW_WAIT, wait_reason(fw), now_us);
}

/* ENDED: a FIN came with the words or right behind them. */
static struct fw_answer words_mean(const struct first_word *fw, struct greet g, bool ended)
{
	struct fw_answer word = {.verdict = FW_PASS_ON, .protocol = g.protocol};
	if (ended && g.kind != GREET_HTTP1)
		g.refusal = true;
	switch (g.refusal ? GREET_WORDS : g.kind) {
	case GREET_HTTP2:
		word.verdict = FW_HTTP2;
		word.reason = FW_REASON_SERVER_HTTP2;
		return word;
	case GREET_HTTP1:
		word.reason = FW_REASON_SERVER_HTTP1;
		return word;
	case GREET_MORE: /* has stalled or ended there: then it is what it is */
	case GREET_WORDS:
		break;
	}
	if (g.refusal) {
		word.reason = FW_REASON_SERVER_REFUSAL;
		return word;
	}
	bool guessed = fw->cfg.tls_possible && fw->cfg.source == FW_SOURCE_UNKNOWN;
	word.verdict = FW_SERVER_FIRST;
	word.reason = guessed ? FW_REASON_SERVER_WINDOW : FW_REASON_SERVER_GREETED;
	if (fw->first == FW_SERVER)
		word.teach = FW_TEACH_SERVER_FIRST;
	return word;
}

/* Deadlines that have passed, then what is left to wait for. */
static struct fw_answer settle(struct first_word *fw, uint64_t now_us)
{
	const struct fw_config *cfg = &fw->cfg;
	if (cfg->mode == FW_CLIENT_FIRST) {
		uint64_t timeout_us = (uint64_t)cfg->detection_timeout_ms * 1000;
		if (timeout_us && now_us >= timeout_us)
			return decided(fw, FW_OPAQUE, FW_REASON_DETECTION_TIMEOUT);
		return keep_waiting(fw, FW_WAIT, wait_reason(fw), now_us);
	}
	if (fw->client == FW_CLIENT_BEGAN && now_us >= fw->client_until_us)
		return decided(fw, FW_OPAQUE, FW_REASON_CLIENT_STALLED);
	if (fw->upstream == FW_UPSTREAM_BEGAN && now_us >= fw->upstream_until_us) {
		struct greet stalled = {GREET_WORDS, GREET_IS_UNKNOWN, false};
		return server_said(fw, words_mean(fw, stalled, false), now_us);
	}
	if (fw->upstream == FW_UPSTREAM_SPOKE && !hello_may_come(fw, now_us))
		return decide(fw, fw->held);
	if (fw->upstream == FW_UPSTREAM_UNOPENED && early_possible(cfg) &&
	    now_us >= open_at_us(cfg)) {
		fw->upstream = FW_UPSTREAM_QUIET;
		return keep_waiting(fw, FW_OPEN_UPSTREAM, FW_REASON_HEAD_START_OVER, now_us);
	}
	return keep_waiting(fw, FW_WAIT, wait_reason(fw), now_us);
}

static struct fw_answer on_upstream_bytes(struct first_word *fw, const struct fw_input *in)
{
	if (in->bytes.len == 0)
		return settle(fw, in->since_accept_us);
	if (fw->first == FW_NOBODY)
		fw->first = FW_SERVER;
	struct greet g = greet_server(in->bytes);
	if (g.kind == GREET_MORE && !in->fin) {
		if (fw->upstream == FW_UPSTREAM_QUIET) {
			fw->upstream = FW_UPSTREAM_BEGAN;
			fw->upstream_until_us = in->since_accept_us + FW_GREET_PARTIAL_US;
		}
		return settle(fw, in->since_accept_us);
	}
	return server_said(fw, words_mean(fw, g, in->fin), in->since_accept_us);
}

/* The end of what the server says; what it said before, if anything, was a refusal. */
static struct fw_answer on_upstream_end(struct first_word *fw, uint64_t now_us)
{
	struct fw_answer word = {.verdict = FW_PASS_ON, .reason = FW_REASON_SERVER_CLOSED};
	switch (fw->upstream) {
	case FW_UPSTREAM_UNOPENED: /* not without an early connection: first_word_event() */
	case FW_UPSTREAM_QUIET:
		break;
	case FW_UPSTREAM_BEGAN:
		word.reason = FW_REASON_SERVER_REFUSAL;
		break;
	case FW_UPSTREAM_SPOKE:
		word = fw->held;
		if (word.verdict == FW_SERVER_FIRST || word.verdict == FW_HTTP2) {
			word.verdict = FW_PASS_ON;
			word.reason = FW_REASON_SERVER_REFUSAL;
			word.teach = FW_TEACH_NOTHING;
		}
		break;
	}
	return server_said(fw, word, now_us);
}

/* The client's word */

/* Istio's TLS inspector looks at nothing below five bytes. It stands on every outbound port that is
 * detected, and inbound where TLS may come. */
static bool istio_still_waits(const struct fw_config *cfg, struct slice bytes)
{
	enum { RECORD_HEADER = 5 };
	return cfg->mode == FW_CLIENT_FIRST && (cfg->side == FW_OUTBOUND || cfg->tls_possible) &&
	       bytes.len < RECORD_HEADER;
}

/* An empty line ends it; a bare LF ends a line, too (RFC 9112 2.2). */
static bool has_whole_head(struct slice bytes)
{
	return slice_contains(bytes, SLICE("\n\r\n")) || slice_contains(bytes, SLICE("\n\n")) ||
	       bytes.len >= CLASSIFY_MAX_PEEK;
}

static enum word look_at(const struct fw_config *cfg, struct slice bytes, struct classify *c)
{
	*c = (struct classify){.word = WORD_MORE};
	if (bytes.len == 0 || istio_still_waits(cfg, bytes))
		return WORD_MORE;
	enum word word = classify_client(bytes, c);
	if (cfg->whole_head && word == WORD_HTTP1 && !has_whole_head(bytes))
		return WORD_MORE;
	return cfg->tls_only && word != WORD_TLS && !c->may_be_hello ? WORD_OPAQUE : word;
}

static struct fw_answer client_said(struct first_word *fw, enum word word)
{
	/* Where a mesh ClientHello may come, TLS says who the client is and nothing about the app:
	 * what is inside teaches. */
	bool mesh = fw->cfg.tls_possible;
	static const struct {
		enum fw_verdict verdict;
		enum fw_reason reason;
		enum fw_teach teach;
	} means[] = {
		[WORD_HTTP1] = {FW_HTTP1, FW_REASON_CLIENT_HTTP1, FW_TEACH_HTTP},
		[WORD_HTTP2] = {FW_HTTP2, FW_REASON_CLIENT_HTTP2, FW_TEACH_HTTP},
		[WORD_TLS] = {FW_TLS, FW_REASON_CLIENT_TLS, FW_TEACH_TLS},
		[WORD_OPAQUE] = {FW_OPAQUE, FW_REASON_CLIENT_OPAQUE, FW_TEACH_CLIENT_OPAQUE},
	};
	struct fw_answer a = {.verdict = means[word].verdict, .reason = means[word].reason};
	bool server_too = fw->upstream == FW_UPSTREAM_BEGAN || fw->upstream == FW_UPSTREAM_SPOKE;
	if (fw->first == FW_CLIENT && !server_too && !(word == WORD_TLS && mesh))
		a.teach = means[word].teach;
	return decide(fw, a);
}

/* No more comes from the client; BYTES is all it said, or empty; HELLO: it can only have begun a
 * ClientHello. */
static struct fw_answer on_client_end(struct first_word *fw, struct slice bytes, bool hello)
{
	if (fw->cfg.mode == FW_CLIENT_FIRST) /* Istio closes, and the app never hears of it */
		return decided(fw, FW_CLOSE, FW_REASON_CLIENT_CLOSED);
	if (fw->upstream == FW_UPSTREAM_SPOKE)
		return decide(fw, fw->held); /* no ClientHello comes from here any more */
	bool began = bytes.len > 0 || fw->client == FW_CLIENT_BEGAN;
	if ((!began || hello) && fw->cfg.tls_possible && fw->cfg.source == FW_SOURCE_MESH)
		/* Its ClientHello was waited for: what the app would say is not for the wire. */
		return decided(fw, FW_CLOSE,
			       began ? FW_REASON_CLIENT_CUT : FW_REASON_CLIENT_CLOSED);
	return decided(fw, FW_OPAQUE, began ? FW_REASON_CLIENT_CUT : FW_REASON_CLIENT_ENDED);
}

static struct fw_answer on_client_bytes(struct first_word *fw, const struct fw_input *in)
{
	bool ended = in->fin || in->event == FW_CLIENT_END;
	struct classify c;
	if (in->bytes.len && fw->first == FW_NOBODY)
		fw->first = FW_CLIENT;
	enum word word = look_at(&fw->cfg, in->bytes, &c);
	if (word != WORD_MORE)
		return client_said(fw, word);
	if (ended)
		return on_client_end(fw, in->bytes, c.may_be_hello);
	if (in->bytes.len > fw->client_len) { /* it stalls from its last byte, not from its first */
		fw->client = FW_CLIENT_BEGAN;
		fw->client_hello = c.may_be_hello;
		fw->client_len = in->bytes.len;
		fw->client_until_us = in->since_accept_us + (uint64_t)fw->cfg.partial_ms * 1000;
	}
	return settle(fw, in->since_accept_us);
}

/* Events */

struct fw_answer first_word_start(struct first_word *fw, const struct fw_config *cfg,
				  uint64_t since_accept_us)
{
	*fw = (struct first_word){.cfg = *cfg};
	return settle(fw, since_accept_us);
}

struct fw_answer first_word_event(struct first_word *fw, const struct fw_input *in)
{
	if (fw->last.what == FW_DECIDED)
		return fw->last;
	bool opened = fw->upstream != FW_UPSTREAM_UNOPENED;
	switch (in->event) {
	case FW_CLIENT_BYTES:
	case FW_CLIENT_END:
		return on_client_bytes(fw, in);
	case FW_CLIENT_RESET:
		return decided(fw, FW_CLOSE, FW_REASON_CLIENT_RESET);
	case FW_UPSTREAM_OPEN:
		MUST(opened);
		return settle(fw, in->since_accept_us);
	case FW_UPSTREAM_BYTES:
		MUST(opened);
		return on_upstream_bytes(fw, in);
	case FW_UPSTREAM_END:
		MUST(opened);
		return on_upstream_end(fw, in->since_accept_us);
	case FW_UPSTREAM_REFUSED:
		MUST(opened);
		return decided(fw, FW_REFUSED, FW_REASON_UPSTREAM_REFUSED);
	case FW_UPSTREAM_RESET:
		MUST(opened);
		return decided(fw, FW_REFUSED, FW_REASON_UPSTREAM_RESET);
	case FW_TIMER:
		return settle(fw, in->since_accept_us);
	case FW_N_EVENTS:
		break;
	}
	MUST(!"an event of enum fw_event");
	return fw->last;
}

/* Names */

const char *fw_reason_name(enum fw_reason r)
{
	static const char *const names[] = {
#define X(name, label, text) [FW_REASON_##name] = label,
		FW_REASONS(X)
#undef X
	};
	return (unsigned)r < N_ELEMS(names) ? names[r] : "?";
}

const char *fw_reason_text(enum fw_reason r)
{
	static const char *const texts[] = {
#define X(name, label, text) [FW_REASON_##name] = text,
		FW_REASONS(X)
#undef X
	};
	return (unsigned)r < N_ELEMS(texts) ? texts[r] : "?";
}

const char *fw_verdict_name(enum fw_verdict v)
{
	static const char *const names[] = {
		[FW_UNDECIDED] = "undecided", [FW_HTTP1] = "http1",
		[FW_HTTP2] = "http2",         [FW_TLS] = "tls",
		[FW_OPAQUE] = "opaque",       [FW_SERVER_FIRST] = "server-first",
		[FW_PASS_ON] = "pass-on",     [FW_REFUSED] = "refused",
		[FW_CLOSE] = "close",
	};
	return (unsigned)v < N_ELEMS(names) ? names[v] : "?";
}

const char *fw_event_name(enum fw_event e)
{
	static const char *const names[] = {
		[FW_CLIENT_BYTES] = "client-bytes",
		[FW_CLIENT_END] = "client-end",
		[FW_CLIENT_RESET] = "client-reset",
		[FW_UPSTREAM_OPEN] = "upstream-open",
		[FW_UPSTREAM_BYTES] = "upstream-bytes",
		[FW_UPSTREAM_END] = "upstream-end",
		[FW_UPSTREAM_REFUSED] = "upstream-refused",
		[FW_UPSTREAM_RESET] = "upstream-reset",
		[FW_TIMER] = "timer",
	};
	return (unsigned)e < N_ELEMS(names) ? names[e] : "?";
}

const char *fw_first_name(enum fw_first who)
{
	static const char *const names[] = {
		[FW_NOBODY] = "nobody", [FW_CLIENT] = "client", [FW_SERVER] = "server"};
	return (unsigned)who < N_ELEMS(names) ? names[who] : "?";
}
