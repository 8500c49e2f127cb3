/*
 * The first-word machine: scenarios row by row, as a reader of the design would tell them. All
 * orders of events are in first_word_all_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "detect/first_word.h"

enum { MAX_STEPS = 7, WINDOW_US = 4000, TIMEOUT_MS = 5000 };

enum place { OUT, OUT_HEAD, IN_PLAIN, IN_MESH, IN_UNKNOWN, IN_DECLARED, IN_DISABLE };

struct step {
	uint64_t at_us;
	enum fw_event event;
	const char *bytes; /* NULL: none. "\1" stands for NUL, see unpack() */
	bool fin;
};

/* clang-format off */
#define HTTP "GET / HTTP/1.1\r\n"
#define H2 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HELLO_BEGUN "\x16\x03"
#define SETTINGS "\1\1\1\4\1\1\1\1\1"
#define OPENED {2000, FW_TIMER, NULL, false}, {2100, FW_UPSTREAM_OPEN, NULL, false}

static const struct {
	const char *rule;
	enum place place;
	enum fw_learned learned;
	bool early_denied; /* policy or budget */
	bool client_first;
	unsigned timeout_ms;
	struct step steps[MAX_STEPS];
	unsigned n_open; /* how often the early connection is asked for */
	enum fw_do what;
	enum fw_verdict verdict;
	enum fw_reason reason;
	enum fw_teach teach;
	enum fw_first who;
} cases[] = {
#define R(x) FW_REASON_##x
	/* the client speaks */
	{"HTTP within the head start", OUT, 0, false, false, 0,
		{{500, FW_CLIENT_BYTES, HTTP, false}},
		0, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
	{"the HTTP/2 preface", OUT, 0, false, false, 0,
		{{500, FW_CLIENT_BYTES, H2, false}},
		0, FW_DECIDED, FW_HTTP2, R(CLIENT_HTTP2), FW_TEACH_HTTP, FW_CLIENT},
	{"one byte is enough to be opaque", OUT, 0, false, false, 0,
		{{500, FW_CLIENT_BYTES, "*", false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_OPAQUE), FW_TEACH_CLIENT_OPAQUE, FW_CLIENT},
	{"HTTP after the early connection was opened", OUT, 0, false, false, 0,
		{OPENED, {900000, FW_CLIENT_BYTES, HTTP, false}},
		1, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
	{"HTTP while the early connection is being made", OUT, 0, false, false, 0,
		{{2000, FW_TIMER, NULL, false}, {2050, FW_CLIENT_BYTES, HTTP, false}},
		1, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
	{"a request line in two pieces", OUT, 0, false, false, 0,
		{{500, FW_CLIENT_BYTES, "GET /", false}, {700, FW_CLIENT_BYTES, HTTP, false}},
		0, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
	{"bytes that came in time win over a timer that fires late", OUT, 0, false, false, 0,
		{{2500, FW_CLIENT_BYTES, HTTP, false}},
		0, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},

	/* the server speaks */
	{"a greeting", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "220 a ESMTP\r\n", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_GREETED), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"a greeting after 3 s", OUT, 0, false, false, 0,
		{OPENED, {3000000, FW_UPSTREAM_BYTES, "220 a ESMTP\r\n", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_GREETED), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"the first byte of a greeting is enough", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "2", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_GREETED), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"SETTINGS are HTTP/2 and teach nothing", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, SETTINGS, false}},
		1, FW_DECIDED, FW_HTTP2, R(SERVER_HTTP2), FW_TEACH_NOTHING, FW_SERVER},
	{"SETTINGS in two pieces", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "\1\1\1", false}, {3100, FW_UPSTREAM_BYTES, SETTINGS, false}},
		1, FW_DECIDED, FW_HTTP2, R(SERVER_HTTP2), FW_TEACH_NOTHING, FW_SERVER},
	{"what began like SETTINGS and stopped is a greeting", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "\1\1\1", false}, {23000, FW_TIMER, NULL, false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_GREETED), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"the preface comes while SETTINGS are cut short", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "\1\1\1", false}, {3100, FW_CLIENT_BYTES, H2, false}},
		1, FW_DECIDED, FW_HTTP2, R(CLIENT_HTTP2), FW_TEACH_NOTHING, FW_SERVER},
	{"HTTP/1.1 408 is passed on and teaches nothing", OUT, 0, false, false, 0,
		{OPENED, {5000000, FW_UPSTREAM_BYTES, "HTTP/1.1 408 ", false}},
		1, FW_DECIDED, FW_PASS_ON, R(SERVER_HTTP1), FW_TEACH_NOTHING, FW_SERVER},
	{"a greeting that comes with its end is a refusal", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "busy\r\n", true}},
		1, FW_DECIDED, FW_PASS_ON, R(SERVER_REFUSAL), FW_TEACH_NOTHING, FW_SERVER},
	{"a refusal in words", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "-ERR max number of clients reached\r\n", false}},
		1, FW_DECIDED, FW_PASS_ON, R(SERVER_REFUSAL), FW_TEACH_NOTHING, FW_SERVER},
	{"a close without a word is passed on", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_END, NULL, false}},
		1, FW_DECIDED, FW_PASS_ON, R(SERVER_CLOSED), FW_TEACH_NOTHING, FW_NOBODY},
	{"a connection refused", OUT, 0, false, false, 0,
		{{2000, FW_TIMER, NULL, false}, {2100, FW_UPSTREAM_REFUSED, NULL, false}},
		1, FW_DECIDED, FW_REFUSED, R(UPSTREAM_REFUSED), FW_TEACH_NOTHING, FW_NOBODY},
	{"a connection reset", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_RESET, NULL, false}},
		1, FW_DECIDED, FW_REFUSED, R(UPSTREAM_RESET), FW_TEACH_NOTHING, FW_NOBODY},

	/* silence */
	{"both silent for an hour", OUT, 0, false, false, 0,
		{OPENED, {3600000000, FW_TIMER, NULL, false}},
		1, FW_WAIT, FW_UNDECIDED, R(WAIT_BOTH), FW_TEACH_NOTHING, FW_NOBODY},
	{"both silent, then the client speaks", OUT, 0, false, false, 0,
		{OPENED, {30000000, FW_CLIENT_BYTES, "*", false}},
		1, FW_DECIDED, FW_OPAQUE, R(CLIENT_OPAQUE), FW_TEACH_CLIENT_OPAQUE, FW_CLIENT},
	{"where no early connection is allowed, the client alone is waited for", OUT, 0, true, false, 0,
		{{3600000000, FW_TIMER, NULL, false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_CLIENT_ONLY), FW_TEACH_NOTHING, FW_NOBODY},
	{"one byte, then silence: both are listened to", OUT, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, "G", false}, {2000, FW_TIMER, NULL, false}},
		1, FW_OPEN_UPSTREAM, FW_UNDECIDED, R(HEAD_START_OVER), FW_TEACH_NOTHING, FW_NOBODY},
	{"one byte, then silence: opaque in the end", OUT, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, "G", false}, {2000, FW_TIMER, NULL, false}, {1000100, FW_TIMER, NULL, false}},
		1, FW_DECIDED, FW_OPAQUE, R(CLIENT_STALLED), FW_TEACH_NOTHING, FW_CLIENT},
	{"a byte now and then is no stall", OUT, 0, false, false, 0,
		{OPENED, {900000, FW_CLIENT_BYTES, "G", false}, {1800000, FW_CLIENT_BYTES, "GE", false},
		 {2799999, FW_TIMER, NULL, false}},
		1, FW_WAIT, FW_UNDECIDED, R(WAIT_REST), FW_TEACH_NOTHING, FW_NOBODY},
	{"the same bytes again are a stall", OUT, 0, false, false, 0,
		{OPENED, {900000, FW_CLIENT_BYTES, "G", false}, {1800000, FW_CLIENT_BYTES, "G", false},
		 {1900000, FW_TIMER, NULL, false}},
		1, FW_DECIDED, FW_OPAQUE, R(CLIENT_STALLED), FW_TEACH_NOTHING, FW_CLIENT},
	{"one byte, and the server greets", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_CLIENT_BYTES, "G", false}, {4000, FW_UPSTREAM_BYTES, "220 a\r\n", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_GREETED), FW_TEACH_NOTHING, FW_CLIENT},

	/* what was learnt */
	{"a server-first port has no head start", OUT, FW_LEARNED_SERVER_FIRST, false, false, 0,
		{{0, FW_TIMER, NULL, false}},
		1, FW_WAIT, FW_UNDECIDED, R(WAIT_BOTH), FW_TEACH_NOTHING, FW_NOBODY},
	{"a client-first port has a long one", OUT, FW_LEARNED_CLIENT_FIRST, false, false, 0,
		{{99999, FW_TIMER, NULL, false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_HEAD_START), FW_TEACH_NOTHING, FW_NOBODY},
	{"and not one for ever", OUT, FW_LEARNED_CLIENT_FIRST, false, false, 0,
		{{100000, FW_TIMER, NULL, false}},
		1, FW_OPEN_UPSTREAM, FW_UNDECIDED, R(HEAD_START_OVER), FW_TEACH_NOTHING, FW_NOBODY},

	/* ends */
	{"a client that ends its side and listens", OUT, 0, false, false, 0,
		{{100, FW_CLIENT_END, NULL, false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_ENDED), FW_TEACH_NOTHING, FW_NOBODY},
	{"the same after the early connection was opened", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_CLIENT_END, NULL, false}},
		1, FW_DECIDED, FW_OPAQUE, R(CLIENT_ENDED), FW_TEACH_NOTHING, FW_NOBODY},
	{"a word cut short by the end", OUT, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, "GE", true}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_CUT), FW_TEACH_NOTHING, FW_CLIENT},
	{"a word cut short, then the end", OUT, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, "GE", false}, {200, FW_CLIENT_END, NULL, false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_CUT), FW_TEACH_NOTHING, FW_CLIENT},
	{"a whole word with the end", OUT, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, HTTP, true}},
		0, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
	{"a client that goes away takes the early connection along", OUT, 0, false, false, 0,
		{OPENED, {3000, FW_CLIENT_RESET, NULL, false}},
		1, FW_DECIDED, FW_CLOSE, R(CLIENT_RESET), FW_TEACH_NOTHING, FW_NOBODY},

	/* inbound, where a mesh ClientHello may come */
	{"DISABLE: as outbound", IN_DISABLE, 0, false, false, 0,
		{OPENED, {3000, FW_UPSTREAM_BYTES, "220 a\r\n", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_GREETED), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"a source without a sidecar: the greeting goes out at once", IN_PLAIN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, "220 a\r\n", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_GREETED), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"a source with a sidecar: its ClientHello is waited for", IN_MESH, FW_LEARNED_SERVER_FIRST, false, false, 0,
		{{3600000000, FW_TIMER, NULL, false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_MESH_HELLO), FW_TEACH_NOTHING, FW_NOBODY},
	{"a source with a sidecar that ends without a word: the app hears and says nothing", IN_MESH, 0, false, false, 0,
		{{3000, FW_CLIENT_END, NULL, false}},
		0, FW_DECIDED, FW_CLOSE, R(CLIENT_CLOSED), FW_TEACH_NOTHING, FW_NOBODY},
	{"and so does one that ends in the middle of its ClientHello", IN_MESH, 0, false, false, 0,
		{{3000, FW_CLIENT_BYTES, "\x16\x03\x01", true}},
		0, FW_DECIDED, FW_CLOSE, R(CLIENT_CUT), FW_TEACH_NOTHING, FW_CLIENT},
	{"a source with a sidecar that ends in the middle of plaintext", IN_MESH, 0, false, false, 0,
		{{3000, FW_CLIENT_BYTES, "GE", true}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_CUT), FW_TEACH_NOTHING, FW_CLIENT},
	{"unknown source, before the window ends", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, "220 a\r\n", false}, {3999, FW_TIMER, NULL, false}},
		1, FW_WAIT, FW_UNDECIDED, R(WAIT_WINDOW), FW_TEACH_NOTHING, FW_NOBODY},
	{"unknown source, after it", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, "220 a\r\n", false}, {4000, FW_TIMER, NULL, false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_WINDOW), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"unknown source, a greeting later than the window", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {9000, FW_UPSTREAM_BYTES, "220 a\r\n", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_WINDOW), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"unknown source, the server ends within the window: a refusal", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, "busy\r\n", false}, {2300, FW_UPSTREAM_END, NULL, false},
		 {4000, FW_TIMER, NULL, false}},
		1, FW_DECIDED, FW_PASS_ON, R(SERVER_REFUSAL), FW_TEACH_NOTHING, FW_SERVER},
	{"unknown source, a ClientHello begun in the window is waited for", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, "220 a\r\n", false}, {3000, FW_CLIENT_BYTES, HELLO_BEGUN, false},
		 {9000, FW_TIMER, NULL, false}},
		1, FW_WAIT, FW_UNDECIDED, R(WAIT_REST), FW_TEACH_NOTHING, FW_NOBODY},
	{"unknown source, what the client began is no ClientHello: the greeting goes out", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, "220 a\r\n", false}, {3000, FW_CLIENT_BYTES, "G", false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_WINDOW), FW_TEACH_SERVER_FIRST, FW_SERVER},
	{"unknown source, SETTINGS wait for the window as well", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, SETTINGS, false}, {3000, FW_TIMER, NULL, false}},
		1, FW_WAIT, FW_UNDECIDED, R(WAIT_WINDOW), FW_TEACH_NOTHING, FW_NOBODY},
	{"unknown source, HTTP in the window", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, SETTINGS, false}, {3000, FW_CLIENT_BYTES, H2, false}},
		1, FW_DECIDED, FW_HTTP2, R(CLIENT_HTTP2), FW_TEACH_NOTHING, FW_SERVER},
	{"unknown source, the app is not there", IN_UNKNOWN, 0, false, false, 0,
		{{2000, FW_TIMER, NULL, false}, {2100, FW_UPSTREAM_REFUSED, NULL, false}},
		1, FW_DECIDED, FW_REFUSED, R(UPSTREAM_REFUSED), FW_TEACH_NOTHING, FW_NOBODY},
	{"unknown source, the client ends: no ClientHello comes", IN_UNKNOWN, 0, false, false, 0,
		{OPENED, {2200, FW_UPSTREAM_BYTES, "220 a\r\n", false}, {2300, FW_CLIENT_END, NULL, false}},
		1, FW_DECIDED, FW_SERVER_FIRST, R(SERVER_WINDOW), FW_TEACH_SERVER_FIRST, FW_SERVER},

	/* inbound, declared: only a ClientHello is looked for */
	{"declared: what could become HTTP is opaque at once", IN_DECLARED, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, "G", false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_OPAQUE), FW_TEACH_CLIENT_OPAQUE, FW_CLIENT},
	{"declared: so is what is HTTP", IN_DECLARED, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, HTTP, false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_OPAQUE), FW_TEACH_CLIENT_OPAQUE, FW_CLIENT},
	{"declared: a ClientHello begun is waited for", IN_DECLARED, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, HELLO_BEGUN, false}, {1000, FW_TIMER, NULL, false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_REST), FW_TEACH_NOTHING, FW_NOBODY},

	/* as Istio does it */
	{"client-first: silence is waited for", OUT, 0, false, true, 0,
		{{3600000000, FW_TIMER, NULL, false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_CLIENT_ONLY), FW_TEACH_NOTHING, FW_NOBODY},
	{"client-first: until the detection timeout", OUT, 0, false, true, TIMEOUT_MS,
		{{5000000, FW_TIMER, NULL, false}},
		0, FW_DECIDED, FW_OPAQUE, R(DETECTION_TIMEOUT), FW_TEACH_NOTHING, FW_NOBODY},
	{"client-first: four bytes stall", OUT, 0, false, true, 0,
		{{100, FW_CLIENT_BYTES, "*1\r\n", false}, {3600000000, FW_TIMER, NULL, false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_REST), FW_TEACH_NOTHING, FW_NOBODY},
	{"client-first: five do not", OUT, 0, false, true, 0,
		{{100, FW_CLIENT_BYTES, "*1\r\n$", false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_OPAQUE), FW_TEACH_CLIENT_OPAQUE, FW_CLIENT},
	{"client-first, DISABLE: no TLS inspector, one byte does", IN_DISABLE, 0, false, true, 0,
		{{100, FW_CLIENT_BYTES, "*", false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_OPAQUE), FW_TEACH_CLIENT_OPAQUE, FW_CLIENT},
	{"client-first: a request line cut short stalls", OUT, 0, false, true, 0,
		{{100, FW_CLIENT_BYTES, "GET /index", false}, {3600000000, FW_TIMER, NULL, false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_REST), FW_TEACH_NOTHING, FW_NOBODY},
	{"client-first: a client that ends is closed", OUT, 0, false, true, 0,
		{{100, FW_CLIENT_END, NULL, false}},
		0, FW_DECIDED, FW_CLOSE, R(CLIENT_CLOSED), FW_TEACH_NOTHING, FW_NOBODY},
	/* where the head has to name the host */
	{"a request line alone names nobody", OUT_HEAD, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, HTTP "Host: a", false}},
		0, FW_WAIT, FW_UNDECIDED, R(WAIT_REST), FW_TEACH_NOTHING, FW_NOBODY},
	{"a whole head does", OUT_HEAD, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, HTTP, false}, {200, FW_CLIENT_BYTES, HTTP "Host: a\r\n\r\n", false}},
		0, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
	{"lines may end in a bare LF", OUT_HEAD, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, "GET / HTTP/1.0\n\n", false}},
		0, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
	{"a head that stalls", OUT_HEAD, 0, true, false, 0,
		{{100, FW_CLIENT_BYTES, HTTP, false}, {1000100, FW_TIMER, NULL, false}},
		0, FW_DECIDED, FW_OPAQUE, R(CLIENT_STALLED), FW_TEACH_NOTHING, FW_CLIENT},
	{"HTTP/2 is one with its preface", OUT_HEAD, 0, false, false, 0,
		{{100, FW_CLIENT_BYTES, H2, false}},
		0, FW_DECIDED, FW_HTTP2, R(CLIENT_HTTP2), FW_TEACH_HTTP, FW_CLIENT},
	{"client-first: a whole word with the end is not", OUT, 0, false, true, 0,
		{{100, FW_CLIENT_BYTES, HTTP, true}},
		0, FW_DECIDED, FW_HTTP1, R(CLIENT_HTTP1), FW_TEACH_HTTP, FW_CLIENT},
#undef R
};
/* clang-format on */

static struct fw_config config_of(size_t i)
{
	struct fw_config cfg = {
		.side = cases[i].place <= OUT_HEAD ? FW_OUTBOUND : FW_INBOUND,
		.mode = cases[i].client_first ? FW_CLIENT_FIRST : FW_BOTH_ENDS,
		.learned = cases[i].learned,
		.tls_possible = cases[i].place > OUT_HEAD && cases[i].place != IN_DISABLE,
		.whole_head = cases[i].place == OUT_HEAD,
		.tls_only = cases[i].place == IN_DECLARED,
		.early_allowed = !cases[i].early_denied,
		.head_start_us = FW_HEAD_START_US,
		.window_us = WINDOW_US,
		.partial_ms = FW_PARTIAL_MS,
		.detection_timeout_ms = cases[i].timeout_ms,
	};
	cfg.source = cases[i].place == IN_MESH ? FW_SOURCE_MESH
		     : cases[i].place == IN_UNKNOWN || cases[i].place == IN_DECLARED
			     ? FW_SOURCE_UNKNOWN
			     : FW_SOURCE_PLAIN;
	return cfg;
}

/* The rows write NUL as "\1", which no first word here needs. */
static struct slice unpack(const char *text, char *out, size_t size)
{
	size_t n = text ? strlen(text) : 0;
	assert_true(n <= size);
	for (size_t i = 0; i < n; i++)
		out[i] = text[i] == '\1' ? '\0' : text[i];
	return (struct slice){out, n};
}

static void scenarios(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct fw_config cfg = config_of(i);
		struct first_word fw;
		struct fw_answer a = first_word_start(&fw, &cfg, 0);
		unsigned n_open = a.what == FW_OPEN_UPSTREAM;
		for (size_t s = 0; s < MAX_STEPS; s++) {
			const struct step *step = &cases[i].steps[s];
			char bytes[64];
			if (s > 0 && step->at_us == 0)
				break; /* the row is shorter */
			if (a.what == FW_DECIDED)
				fail_msg("%s: decided before step %zu", cases[i].rule, s);
			a = first_word_event(
				&fw, &(struct fw_input){step->event,
							unpack(step->bytes, bytes, sizeof(bytes)),
							step->fin, step->at_us});
			n_open += a.what == FW_OPEN_UPSTREAM;
		}
		if (a.what != cases[i].what || a.verdict != cases[i].verdict ||
		    a.reason != cases[i].reason || a.teach != cases[i].teach ||
		    a.who != cases[i].who || n_open != cases[i].n_open)
			fail_msg("%s: does %d, %s because %s, teaches %d, first %s, opened %u",
				 cases[i].rule, a.what, fw_verdict_name(a.verdict),
				 fw_reason_name(a.reason), a.teach, fw_first_name(a.who), n_open);
	}
}

static void every_reason_has_a_name_and_a_sentence(void **state)
{
	(void)state; /* none */
	for (unsigned r = 0; r < FW_N_REASONS; r++) {
		const char *name = fw_reason_name((enum fw_reason)r);
		assert_true(strlen(name) > 0 && strlen(fw_reason_text((enum fw_reason)r)) > 0);
		for (unsigned other = 0; other < r; other++)
			assert_string_not_equal(name, fw_reason_name((enum fw_reason)other));
		for (const char *c = name; *c; c++)
			assert_true((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
				    *c == '-');
	}
	assert_string_equal(fw_reason_name((enum fw_reason)999), "?");
	assert_string_equal(fw_reason_text((enum fw_reason)999), "?");
	assert_string_equal(fw_verdict_name(FW_SERVER_FIRST), "server-first");
	assert_string_equal(fw_verdict_name((enum fw_verdict)999), "?");
	for (unsigned e = 0; e < FW_N_EVENTS; e++)
		assert_string_not_equal(fw_event_name((enum fw_event)e), "?");
	assert_string_equal(fw_event_name(FW_N_EVENTS), "?");
	assert_string_equal(fw_first_name(FW_NOBODY), "nobody");
}

static void timers_are_the_soonest_deadline(void **state)
{
	(void)state; /* none */
	struct fw_config cfg = {
		.early_allowed = true, .head_start_us = FW_HEAD_START_US, .partial_ms = 1};
	struct first_word fw;
	struct fw_input in = {.event = FW_CLIENT_BYTES, .bytes = SLICE("G")};
	assert_int_equal(first_word_start(&fw, &cfg, 0).timer_us, 2000);
	in.since_accept_us = 500;
	assert_int_equal(first_word_event(&fw, &in).timer_us, 1000); /* of the word cut short */
	in = (struct fw_input){
		.event = FW_CLIENT_BYTES, .bytes = SLICE("GE"), .since_accept_us = 1400};
	assert_int_equal(first_word_event(&fw, &in).timer_us, 600); /* of the head start */
	in = (struct fw_input){.event = FW_TIMER, .since_accept_us = 2000};
	struct fw_answer a = first_word_event(&fw, &in);
	assert_int_equal(a.what, FW_OPEN_UPSTREAM);
	assert_int_equal(a.timer_us, 400); /* what is left for the client */
	/* Nothing to wait for: no timer. Very long: as long as the field holds. */
	cfg.early_allowed = false;
	assert_int_equal(first_word_start(&fw, &cfg, 0).timer_us, 0);
	cfg = (struct fw_config){.mode = FW_CLIENT_FIRST, .detection_timeout_ms = UINT32_MAX};
	assert_int_equal(first_word_start(&fw, &cfg, 0).timer_us, UINT32_MAX);
}

static void a_machine_is_small(void **state)
{
	(void)state; /* none: one lies in every connection whose protocol is not declared */
	assert_true(sizeof(struct first_word) <= 192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenarios),
		cmocka_unit_test(every_reason_has_a_name_and_a_sentence),
		cmocka_unit_test(timers_are_the_soonest_deadline),
		cmocka_unit_test(a_machine_is_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
