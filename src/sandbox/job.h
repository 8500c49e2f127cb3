/*
 * A job: a function run in a child process, its outcome brought back to the loop. For work that
 * would block the loop or needs another namespace.
 *
 *   static bool make_links(void *arg, struct err *err);          // in the child
 *   struct job *job = job_start(loop, make_links, &plan, on_done, pod, &err);
 *   ... on_done(pod, NULL), or on_done(pod, &why)                // on the loop, once
 *
 * The child has copies of the parent's memory and descriptors; signals are as in a new program.
 * The job frees itself after DONE; job_cancel() before that kills the child, and DONE is not
 * called.
 */
#pragma once
#include "base/err.h"
#include "loop/loop.h"

struct job;
typedef bool job_run_fn(void *arg, struct err *err);
typedef void job_done_fn(void *ctx, const struct err *err); /* ERR NULL: all went well */

struct job *job_start(struct loop *loop, job_run_fn *run, void *arg, job_done_fn *done, void *ctx,
		      struct err *err) MUST_CHECK; /* NULL: no child could be made */
void job_cancel(struct job *job);
/* For a job's function: runs a program and waits; its stderr becomes the error. INPUT (may be NULL)
 * is its standard input. */
bool job_command(const char *const argv[], const char *input, struct err *err) MUST_CHECK;
