/* A certificate from files that somebody else provides. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proxy/own_cert_inside.h"

enum { CHAIN, KEY, ROOTS };

bool own_cert_read(const char *path, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
	if (fd < 0)
		return err_sys(err, "%s", path);
	bool ok = true;
	for (;;) {
		size_t room = 0;
		char *to = buf_reserve(out, 1, &room);
		if (!to) {
			ok = err_set(err, ERR_LIMIT, "%s: more than %zu bytes", path, out->max);
			break;
		}
		ssize_t n = read(fd, to, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ok = err_sys(err, "%s", path);
		if (n <= 0)
			break;
		buf_commit(out, (size_t)n);
	}
	(void)close(fd); /* nothing was written */
	return ok;
}

static bool take(struct own_cert *o, struct buf *part, struct err *err)
{
	for (unsigned i = 0; i < o->n_marks; i++)
		if (!own_cert_read(o->marks[i].path, &part[i], err))
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
