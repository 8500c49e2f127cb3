/* A certificate from files that somebody else provides. */
#include "base/read_file.h"
#include "proxy/own_cert_inside.h"

enum { CHAIN, KEY, ROOTS };

static bool take(struct own_cert *o, struct buf *part, struct err *err)
{
	for (unsigned i = 0; i < o->n_marks; i++)
		if (!read_file(o->marks[i].path, &part[i], err))
			return false;
	struct keypair *key = keypair_from_pem(buf_slice(&part[KEY]), err);
	if (!key)
		return err_wrap(err, "%s", o->marks[KEY].path);
	bool ok = own_cert_take(o, buf_slice(&part[CHAIN]), keypair_pkey(key),
				buf_slice(&part[ROOTS]), err) ||
		  err_wrap(err, "%s", o->cfg.cert_dir);
	keypair_put(key);
	return ok;
}

void own_cert_read_files(struct own_cert *o)
{
	struct buf part[3];
	struct err err = {0};
	for (unsigned i = 0; i < N_ELEMS(part); i++) {
		buf_init(&part[i], OWN_CERT_PEM_MAX);
		if (i == KEY)
			(void)buf_reserve(&part[i], OWN_CERT_PEM_MAX, NULL); /* to be wiped */
	}
	bool ok = take(o, part, &err);
	for (unsigned i = 0; i < N_ELEMS(part); i++)
		buf_wipe(&part[i]);
	own_cert_ended(o, ok ? OWN_CERT_ISSUED : OWN_CERT_LOCAL, ok ? NULL : &err);
}
