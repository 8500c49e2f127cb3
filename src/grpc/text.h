/*
 * Inside grpc only: statuses and texts as they stand in HTTP/2 fields.
 *
 *   grpc_text_encode(text, out);                // grpc-message
 *   if (!grpc_status_parse(value, &status)) ... // grpc-status
 *
 * Nothing allocates.
 */
#pragma once
#include "grpc/grpc.h"

enum { GRPC_TEXT_MAX = 1024 }; /* bytes of an error's text, with the NUL */

/* False: no number. A number that gRPC does not know is UNKNOWN. */
bool grpc_status_parse(struct slice value, enum grpc_status *out);
/* For an answer without a grpc-status: gRPC's http-grpc-status-mapping.md. */
enum grpc_status grpc_status_of_http(unsigned http);
/* For a stream that was reset: RFC 9113 7 and PROTOCOL-HTTP2.md, "Errors". */
enum grpc_status grpc_status_of_reset(uint32_t error_code);
/* Percent-encoding of PROTOCOL-HTTP2.md: all but printable ASCII, and the percent sign. NUL at the
 * end; cut where OUT ends. */
void grpc_text_encode(const char *text, char out[3 * GRPC_TEXT_MAX]);
/* The way back, for people: a wrong escape stays as it is; control characters and what is no UTF-8
 * become '?'. Cut where OUT ends. */
void grpc_text_decode(struct slice value, char out[GRPC_TEXT_MAX]);
/* MS as grpc-timeout: at most 8 digits and a unit. */
void grpc_timeout_text(unsigned ms, char out[16]);
/* "application/grpc", also with "+proto" or ";charset" behind it. */
bool grpc_content_type(struct slice value);
