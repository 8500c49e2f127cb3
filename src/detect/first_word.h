/*
 * The first-word race: whoever speaks first decides what a connection is.
 *
 *   struct first_word fw;
 *   struct fw_answer a = first_word_start(&fw, &cfg, 0);
 *   for (;;) {                             // each answer replaces the one before
 *           timer = a.timer_us ? arm : disarm;
 *           if (a.what == FW_OPEN_UPSTREAM) ...    // start the early connection; said at most once
 *           if (a.what == FW_DECIDED) break;       // a.verdict, because of a.reason
 *           a = first_word_event(&fw, &input);     // what happened next, on either side
 *   }
 *
 * No socket, no clock, no allocation: events in, answers out. Bytes are those that MSG_PEEK shows,
 * all of them from the first of that side, so a verdict never consumes one. After FW_DECIDED every
 * further event gets the same answer again. A machine belongs to one connection and one thread; it
 * is plain data and needs no end.
 *
 * Time is in microseconds since the connection was accepted, told by the caller with every event.
 *
 * What is never done here: decide on silence. The exceptions are named windows, each with a reason
 * of its own that is counted: a word cut short that stalls (partial_ms), a greeting held back for a
 * ClientHello that does not come (window_us), and Istio's detection timeout where it was asked for.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "detect/classify.h"
#include "detect/greet.h"

enum fw_event {
	FW_CLIENT_BYTES,     /* .bytes: all peeked so far; .fin: and nothing comes after them */
	FW_CLIENT_END,       /* FIN; .bytes may be empty or all peeked so far */
	FW_CLIENT_RESET,     /* the client is gone */
	FW_UPSTREAM_OPEN,    /* the early connection is made */
	FW_UPSTREAM_BYTES,   /* .bytes: all peeked so far; .fin: and nothing comes after them */
	FW_UPSTREAM_END,     /* FIN */
	FW_UPSTREAM_REFUSED, /* the early connection could not be made, at any endpoint */
	FW_UPSTREAM_RESET,   /* it was made, then reset */
	FW_TIMER,            /* timer_us of the last answer is over; a moment early does no harm */
	FW_N_EVENTS
};

enum SMALL_ENUM fw_side { FW_OUTBOUND, FW_INBOUND };

enum SMALL_ENUM fw_mode {
	FW_BOTH_ENDS,    /* hark's own way */
	FW_CLIENT_FIRST, /* as Istio: no early connection, listens to the client alone */
};

/* Inbound with tls_possible: may the client be about to send a mesh ClientHello? */
enum SMALL_ENUM fw_source {
	FW_SOURCE_PLAIN,   /* known to have no sidecar: no */
	FW_SOURCE_MESH,    /* known to have one: yes, it is coming */
	FW_SOURCE_UNKNOWN, /* who knows: hold a greeting for window_us */
};

enum SMALL_ENUM fw_learned { FW_LEARNED_NOTHING, FW_LEARNED_SERVER_FIRST, FW_LEARNED_CLIENT_FIRST };

struct fw_config {
	enum fw_side side;
	enum fw_mode mode;
	enum fw_source source; /* looked at only with tls_possible */
	enum fw_learned learned;
	bool tls_possible; /* inbound PERMISSIVE: a mesh ClientHello may come */
	bool tls_only;     /* the protocol is declared: but for a ClientHello, any word is opaque */
	bool whole_head;   /* HTTP/1 is a word only with all of its head, which names the host */
	bool early_allowed;     /* policy and budget let us connect before the client spoke */
	uint32_t head_start_us; /* for the client, before the early connection is opened */
	uint32_t window_us;     /* FW_SOURCE_UNKNOWN; measured from accept */
	uint32_t partial_ms;    /* no new byte for so long: a word cut short is opaque */
	uint32_t detection_timeout_ms; /* FW_CLIENT_FIRST; measured from accept; 0: for ever */
};

/* Defaults of design and specification; the caller overrides what is configured. */
enum {
	FW_HEAD_START_US = 2000,
	FW_PARTIAL_MS = 1000,
	FW_WINDOW_MIN_US = 1000,
	/* A port that always was client-first gets this many head starts, and not none at all:
	 * should a server-first server move in there, its clients wait 100 ms once instead of for
	 * ever. */
	FW_CLIENT_FIRST_FACTOR = 50,
	/* How long a server's `00 00 12` may stay the beginning of a SETTINGS frame. */
	FW_GREET_PARTIAL_US = 20000,
};

struct fw_input {
	enum fw_event event;
	struct slice bytes;
	bool fin;
	uint64_t since_accept_us; /* never runs backwards */
};

enum SMALL_ENUM fw_do {
	FW_WAIT,          /* for the next event */
	FW_OPEN_UPSTREAM, /* start the early connection where TCP routing leads, and wait */
	FW_DECIDED,
};

enum SMALL_ENUM fw_verdict {
	FW_UNDECIDED,
	FW_HTTP1,        /* parse requests */
	FW_HTTP2,        /* the client's preface is there or on its way */
	FW_TLS,          /* a ClientHello is there: classify_client() has its names */
	FW_OPAQUE,       /* relay; use the early connection when there is one */
	FW_SERVER_FIRST, /* relay over the early connection: the server has greeted */
	FW_PASS_ON,      /* relay over the early connection: the server gave up or refused in words.
			    Whatever it did (bytes, FIN) happens to the client */
	FW_REFUSED,      /* reset the client: nobody is there */
	FW_CLOSE,        /* the client is gone (or Istio would close): drop both connections */
};

/* What the port's next connection may be told. Never anything from what a mesh ClientHello may have
 * been, from a guess, or from a server that gave up. FW_TEACH_SERVER_FIRST is provisional: keep it
 * when the client's first bytes come after the greeting, drop it when the server closes before that
 * (a greeting followed at once by a close is a refusal). */
enum SMALL_ENUM fw_teach {
	FW_TEACH_NOTHING,
	FW_TEACH_SERVER_FIRST,
	FW_TEACH_HTTP,
	FW_TEACH_TLS,
	FW_TEACH_CLIENT_OPAQUE,
};

enum SMALL_ENUM fw_first { FW_NOBODY, FW_CLIENT, FW_SERVER };

/* One row makes the enum, the counter's label and the sentence for the operator.
 *      name                 label                      sentence */
#define FW_REASONS(X)                                                                              \
	X(NONE, "none", "nothing has happened yet")                                                \
	/* while it waits */                                                                       \
	X(WAIT_HEAD_START, "head-start", "the client has its head start")                          \
	X(WAIT_CLIENT_ONLY, "client-only", "waiting for the client: no early connection here")     \
	X(WAIT_MESH_HELLO, "mesh-hello", "waiting for the ClientHello of a client with a sidecar") \
	X(WAIT_BOTH, "both", "listening to both ends")                                             \
	X(WAIT_REST, "rest", "the client has begun what may be HTTP or TLS")                       \
	X(WAIT_SERVER_REST, "server-rest", "the server has begun what may be HTTP")                \
	X(WAIT_WINDOW, "window", "the server spoke; a ClientHello may still be on its way")        \
	/* opening */                                                                              \
	X(HEAD_START_OVER, "head-start-over",                                                      \
	  "the client is silent: listen to the server as well")                                    \
	/* deciding */                                                                             \
	X(CLIENT_HTTP1, "client-http1", "the client sent an HTTP/1 request line")                  \
	X(CLIENT_HTTP2, "client-http2", "the client sent the HTTP/2 preface")                      \
	X(CLIENT_TLS, "client-tls", "the client sent a TLS ClientHello")                           \
	X(CLIENT_OPAQUE, "client-opaque", "the client's first bytes are neither HTTP nor TLS")     \
	X(CLIENT_STALLED, "client-stalled",                                                        \
	  "the client began what may be HTTP or TLS and sent nothing more")                        \
	X(CLIENT_CUT, "client-cut", "the client began what may be HTTP or TLS and ended there")    \
	X(CLIENT_ENDED, "client-ended", "the client ended its side without a word")                \
	X(CLIENT_RESET, "client-reset", "the client went away before anybody spoke")               \
	X(CLIENT_CLOSED, "client-closed", "the client closed while it was waited for")             \
	X(SERVER_GREETED, "server-greeted", "the server spoke first")                              \
	X(SERVER_WINDOW, "server-greeted-window",                                                  \
	  "the server spoke first, and no ClientHello came within the window")                     \
	X(SERVER_HTTP2, "server-http2", "the server sent HTTP/2 SETTINGS first")                   \
	X(SERVER_HTTP1, "server-http1", "the server answered a request that never came")           \
	X(SERVER_REFUSAL, "server-refusal", "the server refused the connection in words")          \
	X(SERVER_CLOSED, "server-closed", "the server closed without a word")                      \
	X(UPSTREAM_REFUSED, "upstream-refused", "no connection to the server came about")          \
	X(UPSTREAM_RESET, "upstream-reset", "the upstream reset the connection without a word")    \
	X(DETECTION_TIMEOUT, "detection-timeout", "the protocol detection timeout is over")

enum SMALL_ENUM fw_reason {
#define X(name, label, text) FW_REASON_##name,
	FW_REASONS(X)
#undef X
		FW_N_REASONS
};

struct fw_answer {
	enum fw_do what;
	enum fw_verdict verdict;
	enum fw_reason reason; /* also while it waits: for what */
	enum fw_teach teach;
	enum fw_first who;            /* spoke first */
	enum greet_protocol protocol; /* of the server's words, when they decided */
	uint32_t timer_us;            /* send FW_TIMER so long from now; 0: no timer */
};

/* What each side has done so far, and until when it is waited for. Private to the machine. */
struct first_word {
	struct fw_config cfg;
	enum { FW_CLIENT_SILENT, FW_CLIENT_BEGAN /* WORD_MORE */ } client;
	enum {
		FW_UPSTREAM_UNOPENED,
		FW_UPSTREAM_QUIET, /* being opened, or open and silent */
		FW_UPSTREAM_BEGAN, /* GREET_MORE */
		FW_UPSTREAM_SPOKE, /* what would be answered is held back for a ClientHello */
	} upstream;
	enum fw_first first;        /* whose bytes came first */
	bool client_hello;          /* what the client began can only become a ClientHello */
	size_t client_len;          /* of what it began */
	uint64_t client_until_us;   /* FW_CLIENT_BEGAN: when it has stalled */
	uint64_t upstream_until_us; /* FW_UPSTREAM_BEGAN: when it has stalled */
	struct fw_answer held;      /* FW_UPSTREAM_SPOKE */
	struct fw_answer last;
};

/* Call it after a first look at the client's bytes: when some are there already, their event
 * follows at once and an early connection that was asked for here need not be started. */
struct fw_answer first_word_start(struct first_word *fw, const struct fw_config *cfg,
				  uint64_t since_accept_us);
/* Upstream events come only after FW_OPEN_UPSTREAM was answered. */
struct fw_answer first_word_event(struct first_word *fw, const struct fw_input *in);

const char *fw_reason_name(enum fw_reason r); /* stable, short: "server-greeted" */
const char *fw_reason_text(enum fw_reason r); /* a sentence */
const char *fw_verdict_name(enum fw_verdict v);
const char *fw_event_name(enum fw_event e);
const char *fw_first_name(enum fw_first who); /* "client", "server", "nobody" */
