/*
 * Inside http1 only: the same parser, compiled for what every machine has and for what the CPU at
 * hand has; head.c picks at run time.
 *
 *   return http1_parse_base(h, bytes);      // as http1_head_parse()
 */
#pragma once
#include "http1/head.h"

enum http1_verdict http1_parse_base(struct http1_head *h, struct slice bytes);
enum http1_verdict http1_parse_avx2(struct http1_head *h, struct slice bytes);

/* Where a head of KIND is, in the order of a message. */
enum http1_phase {
	PHASE_START, /* CRLFs before a request line are skipped, RFC 9112 2.2 */
	PHASE_START_LF,
	PHASE_METHOD,
	PHASE_TARGET,
	PHASE_VERSION,
	PHASE_STATUS,
	PHASE_PHRASE,
	PHASE_PHRASE_LF,
	PHASE_LINE, /* of fields, or the empty one */
	PHASE_NAME,
	PHASE_SPACE,
	PHASE_VALUE,
	PHASE_VALUE_LF,
	PHASE_END_LF,
};

static inline enum http1_phase http1_first_phase(enum http1_kind kind)
{
	return kind == HTTP1_REQUEST ? PHASE_START : PHASE_STATUS;
}
