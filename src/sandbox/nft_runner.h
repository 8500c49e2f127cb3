/*
 * Runs nftables scripts in a process of its own, so that the loop never waits for the library or
 * the kernel.
 *
 *   struct nft_runner *r = nft_runner_new(loop, &err);
 *   nft_runner_run(r, rules, done, ctx);        // later, from the loop: done(ctx, NULL or why)
 *   nft_runner_free(r);                         // no callback comes after this
 *
 * One script at a time; nft_runner_busy() tells. A process and not a thread, because the node makes
 * its children by fork and clone, which take along the locks of other threads as they stand. Make
 * it early: it keeps a copy of the memory as of then. When the process ends, the script fails, and
 * the next one finds a new process. Belongs to one thread.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "loop/loop.h"

struct nft_runner;
typedef void nft_runner_done_fn(void *ctx, const struct err *err); /* ERR NULL: it was applied */

/* In the network namespace that the caller is in now. NULL on failure. */
struct nft_runner *nft_runner_new(struct loop *loop, struct err *err) MUST_CHECK;
void nft_runner_free(struct nft_runner *r); /* NULL is fine */
bool nft_runner_busy(const struct nft_runner *r);
/* SCRIPT is copied. Not while busy. */
void nft_runner_run(struct nft_runner *r, struct slice script, nft_runner_done_fn *done, void *ctx);
