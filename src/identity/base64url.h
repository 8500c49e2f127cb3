/*
 * Base64 for URLs without padding (RFC 4648 5), as JSON web tokens use it.
 *
 *   base64url_put(bytes, &buf);
 *   if (!base64url_get(text, &buf)) ...      // not exactly that
 *
 * Decoding is strict: no padding, no blanks, and no two texts for the same bytes.
 */
#pragma once
#include "base/buf.h"

bool base64url_put(struct slice bytes, struct buf *out); /* appends; false: no room */
/* Appends. False: TEXT is not base64url, or no room; OUT then holds some of it. */
bool base64url_get(struct slice text, struct buf *out) MUST_CHECK;
