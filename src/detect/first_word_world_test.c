#include "detect/first_word_world_test.h"

#define HTTP_LINE "PROPFIND / HTTP/1.1\r\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* The shortest hello there is. */
#define HELLO                                                                                      \
	"\x16\3\1\0\x2d\1\0\0\x29\3\3"                                                             \
	"0123456789abcdef0123456789abcdef"                                                         \
	"\0\0\2\x13\1\1\0"

static struct slice client_bytes(const struct world *w, enum symbol s)
{
	switch (s) {
	case C_HTTP:
	case C_HTTP_END:
		return SLICE(HTTP_LINE);
	case C_H2:
		return SLICE(PREFACE);
	case C_TLS:
		return SLICE(HELLO);
	case C_OPAQUE: /* goes on from what was begun */
		return w->n_parts == 0 ? SLICE("*1\r\n$4\r\nPING\r\n")
		       : w->part_tls   ? SLICE("\x16\3zzzzzz")
				       : SLICE("PRzzzzzz");
	case C_PART_HTTP:
	case C_PART_END:
		return slice_sub(SLICE("PR"), 0, w->n_parts + 1); /* PROPFIND or PRI */
	case C_PART_TLS:
		return slice_sub(SLICE(HELLO), 0, w->n_parts + 1);
	default:
		return SLICE("");
	}
}

static struct slice upstream_bytes(const struct world *w, enum symbol s)
{
	switch (s) {
	case U_WORDS:
	case U_WORDS_END:
		return w->n_up_parts ? SLICE("\0\0hello\r\n") : SLICE("220 a ESMTP\r\n");
	case U_PART:
		return slice_sub(SLICE("\0\0\6"), 0, w->n_up_parts + 1);
	case U_SETTINGS:
		return SLICE("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64");
	case U_HTTP1:
		return SLICE("HTTP/1.1 408 Request Timeout\r\n");
	case U_REFUSAL:
		return SLICE("-ERR max number of clients reached\r\n");
	default:
		return SLICE("");
	}
}

bool world_can(const struct world *w, enum symbol s)
{
	bool client = !w->client_over && w->word == WORD_MORE;
	bool up = w->open && !w->up_over;
	switch (s) {
	case C_HTTP:
	case C_HTTP_END:
	case C_H2:
		return client && !w->part_tls;
	case C_TLS:
		return client && (w->part_tls || w->n_parts == 0);
	case C_OPAQUE:
	case C_END:
	case C_RESET:
		return client;
	case C_PART_HTTP:
	case C_PART_END:
		return client && !w->part_tls && w->n_parts < 2;
	case C_PART_TLS:
		return client && (w->part_tls || w->n_parts == 0) && w->n_parts < 2;
	case U_OPEN:
	case U_REFUSED:
		return w->n_open && !w->open && !w->up_over;
	case U_WORDS:
	case U_WORDS_END:
	case U_SETTINGS:
		return up && !w->up_whole;
	case U_PART:
		return up && !w->up_whole && w->n_up_parts < 2;
	case U_HTTP1:
	case U_REFUSAL:
		return up && !w->up_whole && w->n_up_parts == 0;
	case U_END:
	case U_RESET:
		return up;
	case TIMER:
	case LATE:
		return w->answer.timer_us > 0 && w->last != LATE;
	case EARLY:
		return w->last != EARLY;
	case N_SYMBOLS:
		break;
	}
	return false;
}

struct slice world_bytes(const struct world *w, enum symbol s)
{
	return s <= C_RESET ? client_bytes(w, s) : upstream_bytes(w, s);
}

enum fw_event world_event(enum symbol s)
{
	static const enum fw_event events[N_SYMBOLS] = {
		[C_HTTP] = FW_CLIENT_BYTES,
		[C_HTTP_END] = FW_CLIENT_BYTES,
		[C_H2] = FW_CLIENT_BYTES,
		[C_TLS] = FW_CLIENT_BYTES,
		[C_OPAQUE] = FW_CLIENT_BYTES,
		[C_PART_HTTP] = FW_CLIENT_BYTES,
		[C_PART_TLS] = FW_CLIENT_BYTES,
		[C_PART_END] = FW_CLIENT_BYTES,
		[C_END] = FW_CLIENT_END,
		[C_RESET] = FW_CLIENT_RESET,
		[U_OPEN] = FW_UPSTREAM_OPEN,
		[U_WORDS] = FW_UPSTREAM_BYTES,
		[U_WORDS_END] = FW_UPSTREAM_BYTES,
		[U_PART] = FW_UPSTREAM_BYTES,
		[U_SETTINGS] = FW_UPSTREAM_BYTES,
		[U_HTTP1] = FW_UPSTREAM_BYTES,
		[U_REFUSAL] = FW_UPSTREAM_BYTES,
		[U_END] = FW_UPSTREAM_END,
		[U_REFUSED] = FW_UPSTREAM_REFUSED,
		[U_RESET] = FW_UPSTREAM_RESET,
		[TIMER] = FW_TIMER,
		[EARLY] = FW_TIMER,
		[LATE] = FW_TIMER,
	};
	return events[s];
}

static bool of_client(enum symbol s)
{
	return s <= C_RESET;
}

static bool speaks(enum symbol s)
{
	return s <= C_PART_END || (s >= U_WORDS && s <= U_REFUSAL);
}

void world_happens(struct world *w, enum symbol s)
{
	static const enum word words[N_SYMBOLS] = {
		[C_HTTP] = WORD_HTTP1, [C_HTTP_END] = WORD_HTTP1, [C_H2] = WORD_HTTP2,
		[C_TLS] = WORD_TLS,    [C_OPAQUE] = WORD_OPAQUE,
	};
	w->path[w->n_path++] = s;
	w->last = s;
	if (w->first == FW_NOBODY && speaks(s))
		w->first = of_client(s) ? FW_CLIENT : FW_SERVER;
	if (words[s] != WORD_MORE)
		w->word = words[s];
	w->n_parts += s == C_PART_HTTP || s == C_PART_TLS || s == C_PART_END;
	w->part_tls |= s == C_PART_TLS;
	w->client_over |= s == C_END || s == C_RESET || s == C_HTTP_END || s == C_PART_END;
	w->open |= s == U_OPEN;
	w->n_up_parts += s == U_PART;
	w->up_whole |= s >= U_WORDS && s <= U_REFUSAL && s != U_PART;
	w->refusal |= s == U_REFUSAL;
	w->up_over |= s == U_END || s == U_WORDS_END || s == U_REFUSED || s == U_RESET;
	if (s == TIMER || s == LATE)
		w->now_us += w->answer.timer_us;
}

bool world_silent(const struct world *w)
{
	return w->first == FW_NOBODY && !w->client_over && !w->up_over;
}
