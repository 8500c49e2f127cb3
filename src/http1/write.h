/*
 * Writes HTTP/1.1 heads and chunks.
 *
 *   http1_write_request(&out, SLICE("GET"), SLICE("/ready"), 1);
 *   http1_write_field(&out, SLICE("Host"), SLICE("a"));
 *   http1_write_end(&out);
 *
 * False: the buffer is full, or what was given could not be parsed back (a line end in a value, a
 * name that is no token); nothing was added then. What is written parses again to the same.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

bool http1_write_request(struct buf *to, struct slice method, struct slice target,
			 unsigned minor) MUST_CHECK;
/* PHRASE NULL: the usual one for STATUS. */
bool http1_write_status(struct buf *to, unsigned status, const char *phrase,
			unsigned minor) MUST_CHECK;
bool http1_write_field(struct buf *to, struct slice name, struct slice value) MUST_CHECK;
bool http1_write_end(struct buf *to) MUST_CHECK; /* the empty line */
/* One chunk; an empty one is not written, for it would end the body. */
bool http1_write_chunk(struct buf *to, struct slice bytes) MUST_CHECK;
bool http1_write_last_chunk(struct buf *to) MUST_CHECK; /* and no trailers */
const char *http1_phrase(unsigned status); /* "Not Found"; "Unknown" where none is usual */
