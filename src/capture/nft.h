/*
 * nftables commands as text, through libnftables: one call is one transaction, all of it or
 * nothing.
 *
 *   struct err err = {0};
 *   if (!nft_run("table inet demo { }", &err)) ...    // in this thread's network namespace
 *
 * Errors carry what nft says (line, column, the offending word). Blocking: a transaction takes
 * about a millisecond; the library keeps no state between calls. Any thread. For another namespace
 * fork first: the library opens its netlink socket where its context is made.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Runs COMMANDS in the calling thread's network namespace. */
bool nft_run(const char *commands, struct err *err) MUST_CHECK;
/* As nft_run, and what the commands print ("list ruleset") is appended to OUT. */
bool nft_query(const char *commands, struct buf *out, struct err *err) MUST_CHECK;
