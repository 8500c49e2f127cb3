/*
 * nftables commands as text, through libnftables: one call is one transaction, all of it or
 * nothing.
 *
 *   struct err err = {0};
 *   if (!nft_run("table inet demo { }", &err)) ...               // in this thread's namespace
 *   if (!nft_run_in(pod->netns_fd, buf_cstr(&rules), &err)) ...  // in another network namespace
 *
 * Errors carry what nft says (line, column, the offending word). Blocking: a transaction takes
 * about a millisecond; the library keeps no state between calls. Any thread.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Runs COMMANDS in the calling thread's network namespace. */
bool nft_run(const char *commands, struct err *err) MUST_CHECK;
/* As nft_run, and what the commands print ("list ruleset") is appended to OUT. */
bool nft_query(const char *commands, struct buf *out, struct err *err) MUST_CHECK;
/*
 * As nft_run, in the network namespace that NETNS_FD names (an open /proc/PID/ns/net). Forks, since
 * the library opens its netlink socket where its context is made and keeps helper state of that
 * namespace; the child enters, runs and brings the error back. Needs CAP_SYS_ADMIN.
 */
bool nft_run_in(int netns_fd, const char *commands, struct err *err) MUST_CHECK;
