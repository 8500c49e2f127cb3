/*
 * Writes JSON into a buffer; commas and quotes are its business.
 *
 *   struct json_out j;
 *   json_out_init(&j, &buf);
 *   json_open_object(&j, NULL);
 *   json_slice(&j, "name", SLICE("db"));
 *   json_u64(&j, "port", 3306);
 *   json_close(&j);                       // {"name":"db","port":3306}
 *
 * (Not json_string and json_null: libjansson exports those, and its own calls would come here.)
 * KEY is NULL inside an array and for the outermost value. A full buffer shows in buf.full, once,
 * at the end.
 */
#pragma once
#include "base/buf.h"

struct json_out {
	struct buf *to;
	unsigned depth;
	uint64_t comma;  /* bit per depth: a value stands there already */
	uint64_t object; /* bit per depth: object rather than array */
};

void json_out_init(struct json_out *j, struct buf *to);
void json_open_object(struct json_out *j, const char *key);
void json_open_array(struct json_out *j, const char *key);
void json_close(struct json_out *j);
void json_slice(struct json_out *j, const char *key,
		struct slice s); /* bytes that are not UTF-8 become U+FFFD */
void json_cstr(struct json_out *j, const char *key, const char *s); /* NULL gives null */
void json_u64(struct json_out *j, const char *key, uint64_t n);
void json_i64(struct json_out *j, const char *key, int64_t n);
void json_double(struct json_out *j, const char *key, double n); /* at most 3 decimals */
void json_bool(struct json_out *j, const char *key, bool b);
void json_nil(struct json_out *j, const char *key);
void json_raw(struct json_out *j, const char *key,
	      struct slice json); /* JSON text that is already right */
