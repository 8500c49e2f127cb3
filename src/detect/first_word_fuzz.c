/*
 * Any order of events with any bytes: the machine answers, decides once, and never waits for
 * nothing. The input is a configuration (4 bytes), then steps: an event, the time it took, and for
 * bytes their number and the bytes themselves.
 */
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"
#include "detect/first_word.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_SAID = 24 * 1024 };

/* All that a side has said so far. */
struct side {
	char said[MAX_SAID];
	size_t len;
	bool over;
};

static struct side client, upstream;

static struct slice goes_on(struct side *side, struct reader *r)
{
	struct reader more = read_block(r, 1);
	for (; !reader_done(&more) && side->len < MAX_SAID; side->len++)
		side->said[side->len] = (char)read_u8(&more);
	return (struct slice){side->said, side->len};
}

static struct fw_config read_config(struct reader *r)
{
	uint8_t bits = read_u8(r), more = read_u8(r);
	return (struct fw_config){
		.side = bits & 1 ? FW_INBOUND : FW_OUTBOUND,
		.mode = bits & 2 ? FW_CLIENT_FIRST : FW_BOTH_ENDS,
		.tls_possible = bits & 4,
		.early_allowed = bits & 8,
		.tls_only = bits & 16,
		.whole_head = bits & 32,
		.source = (enum fw_source)(more % 3),
		.learned = (enum fw_learned)(more / 3 % 3),
		.head_start_us = FW_HEAD_START_US,
		.window_us = (uint32_t)read_u8(r) * 100,
		.partial_ms = FW_PARTIAL_MS,
		.detection_timeout_ms = (uint32_t)read_u8(r) * 10,
	};
}

/* May EVENT come now, as the sockets would have it? */
static bool may_come(enum fw_event event, bool asked, bool open)
{
	switch (event) {
	case FW_CLIENT_BYTES:
	case FW_CLIENT_END:
	case FW_CLIENT_RESET:
		return !client.over;
	case FW_UPSTREAM_OPEN:
	case FW_UPSTREAM_REFUSED:
		return asked && !open && !upstream.over;
	case FW_UPSTREAM_BYTES:
	case FW_UPSTREAM_END:
	case FW_UPSTREAM_RESET:
		return open && !upstream.over;
	case FW_TIMER:
		return true;
	case FW_N_EVENTS:
		break;
	}
	return false;
}

static void check(const struct fw_answer *a)
{
	if (a->what == FW_DECIDED) {
		MUST(a->verdict != FW_UNDECIDED && a->timer_us == 0);
	} else {
		MUST(a->verdict == FW_UNDECIDED && a->teach == FW_TEACH_NOTHING);
	}
	MUST(fw_reason_name(a->reason)[0] != '?');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of((struct slice){(const char *)data, size});
	struct fw_config cfg = read_config(&r);
	struct first_word fw;
	client.len = upstream.len = 0;
	client.over = upstream.over = false;
	struct fw_answer a = first_word_start(&fw, &cfg, 0);
	bool asked = a.what == FW_OPEN_UPSTREAM, open = false;
	struct fw_input in = {0};
	check(&a);
	while (!reader_done(&r)) {
		uint8_t what = read_u8(&r);
		in.event = (enum fw_event)(what % FW_N_EVENTS);
		in.since_accept_us += (uint64_t)read_u8(&r) * 500;
		if (!may_come(in.event, asked, open))
			continue;
		bool of_client = in.event == FW_CLIENT_BYTES || in.event == FW_CLIENT_END;
		bool of_upstream = in.event == FW_UPSTREAM_BYTES;
		in.fin = (what & 0x80) && (of_client || of_upstream);
		in.bytes = of_client     ? goes_on(&client, &r)
			   : of_upstream ? goes_on(&upstream, &r)
					 : SLICE("");
		client.over |= of_client && (in.fin || in.event == FW_CLIENT_END);
		upstream.over |= (of_upstream && in.fin) || in.event == FW_UPSTREAM_END ||
				 in.event == FW_UPSTREAM_REFUSED || in.event == FW_UPSTREAM_RESET;
		open |= in.event == FW_UPSTREAM_OPEN;
		bool was_decided = a.what == FW_DECIDED;
		enum fw_verdict before = a.verdict;
		a = first_word_event(&fw, &in);
		check(&a);
		MUST(!was_decided || (a.what == FW_DECIDED && a.verdict == before));
		MUST(a.what != FW_OPEN_UPSTREAM || !asked);
		asked |= a.what == FW_OPEN_UPSTREAM;
	}
	return 0;
}
