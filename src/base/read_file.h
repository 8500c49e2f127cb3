/*
 * A small file as a whole: certificates, keys, tokens.
 *
 *   buf_init(&text, PEM_MAX);                    // reserve all of it first for what is to be wiped
 *   if (!read_file("/etc/certs/key.pem", &text, &err)) ...
 *
 * Blocks as long as the disk does, never for another process at the other end of a FIFO.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Appends to OUT, as much as that may hold. ERR names the path. */
bool read_file(const char *path, struct buf *out, struct err *err) MUST_CHECK;
