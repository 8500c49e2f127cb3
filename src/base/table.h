/*
 * uthash with our hooks: SipHash-2-4 under a key drawn at start (a peer may choose the keys of a
 * table), and an abort instead of exit() when memory is gone. Include this, never <uthash.h>
 * itself.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

uint64_t siphash(const void *bytes, size_t len);
/* The same under a key of the caller's. */
uint64_t siphash_keyed(const uint64_t key[2], const void *bytes, size_t len);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)siphash((keyptr), (keylen)))
#define uthash_fatal(msg) must_failed(msg, __FILE__, __LINE__)
/* uthash's macros are not written for our conversion and shadow warnings. */
#pragma GCC system_header
#include <uthash.h>

/* Takes the table HEAD apart: DROP(element) for each, in their order; it may free the element and
 * must not touch the table. (As HASH_ITER with HASH_DEL, in a way that clang's analyzer can follow.) */
#define TABLE_DRAIN(head, drop)                                                                    \
	do {                                                                                       \
		__typeof__(head) drain_at_ = (head);                                               \
		HASH_CLEAR(hh, head); /* the elements still hang on each other */                  \
		while (drain_at_) {                                                                \
			__typeof__(head) drain_next_ = drain_at_->hh.next;                         \
			drop(drain_at_);                                                           \
			drain_at_ = drain_next_;                                                   \
		}                                                                                  \
	} while (0)
