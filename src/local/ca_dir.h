/*
 * The folder in which a mesh's authority is kept, with the names of Istio's Secret `cacerts`:
 * ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem; and token-key.pem, with which service
 * account tokens are signed.
 *
 *   struct ca_dir d;
 *   if (!ca_dir_read("/etc/hark/ca", &d, &err)) ...      // a folder that is empty or missing is fine
 *   if (!d.found) ...                                    // make an authority, then:
 *   ca_dir_write("/etc/hark/ca", &d, &err);              // all of it or nothing
 *   ca_dir_fini(&d);                                     // wipes the keys
 *
 * Blocking.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum { CA_DIR_FILE_MAX = 256 * 1024 };

struct ca_dir {
	bool found; /* there is an authority in it */
	struct buf cert, key, roots, chain;
	struct buf token_key; /* empty: none yet */
};

void ca_dir_init(struct ca_dir *d); /* empty */
/* D is initialised, also on failure. ERR_BAD_INPUT: files are missing, or are no files. */
bool ca_dir_read(const char *path, struct ca_dir *d, struct err *err) MUST_CHECK;
/* A new folder (0700, keys 0600) takes the place of PATH in one step; other files in there stay. */
bool ca_dir_write(const char *path, const struct ca_dir *d, struct err *err) MUST_CHECK;
/* The token key alone, beside an authority that a person put there. */
bool ca_dir_write_token_key(const char *path, const struct ca_dir *d, struct err *err) MUST_CHECK;
void ca_dir_fini(struct ca_dir *d);
