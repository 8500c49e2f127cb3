/*
 * PostgreSQL's first words: a client's, and what its server says to SSLRequest.
 *
 *   switch (pg_client(peeked)) ...               // all bytes peeked so far, from the first
 *   send(fd, PG_SSL_REQUEST, PG_REQUEST_LEN);    // its TLS begins with a question in clear,
 *   switch (pg_answer(byte)) ...                 // and one byte is the answer
 *
 * A client that speaks PostgreSQL speaks first. Each word is a length, which counts itself, and a code;
 * PostgreSQL's documentation, "Message Formats" and "SSL Session Encryption". Pure, any thread.
 */
#pragma once
#include "base/slice.h"

enum pg_word {
	PG_MORE,      /* could become one of the others; nothing is said yet, or not enough */
	PG_NOT,       /* no PostgreSQL, whatever comes */
	PG_STARTUP,   /* StartupMessage of protocol 3, or CancelRequest */
	PG_WANTS_TLS, /* SSLRequest */
	PG_WANTS_GSS, /* GSSENCRequest */
};

enum pg_answer {
	PG_SAYS_YES,   /* S: the ClientHello may come */
	PG_SAYS_NO,    /* N: it has no TLS to offer */
	PG_SAYS_ERROR, /* E: an ErrorResponse; the documentation warns of showing it to anybody */
	PG_SAYS_ALERT, /* a TLS record: whoever says that takes TLS from the first byte on */
	PG_SAYS_OTHER, /* no PostgreSQL server says it */
};

enum {
	PG_REQUEST_LEN = 8, /* of SSLRequest and GSSENCRequest */
	PG_WORD_LEN = 9,    /* bytes past these change no answer of pg_client() */
};

#define PG_SSL_REQUEST "\0\0\0\x08\x04\xd2\x16\x2f"

/* NAME, of a port or an appProtocol, says PostgreSQL: "postgres" or "postgresql", and perhaps a suffix. */
bool pg_is_named(struct slice name);
enum pg_word pg_client(struct slice bytes);
enum pg_answer pg_answer(char byte);
