#include "proxy/origin_tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/mesh_tls.h"

enum { FILE_MAX = 4 * 1024 * 1024, KEY_MAX = 4096 };

struct stamp {
	struct timespec at;
	ino_t inode;
	off_t size;
};

struct origin {
	UT_hash_handle hh;
	struct tls_context *ctx;
	uint64_t looked_ns;
	struct stamp stamps[ORIGIN_FILES];
	char key[];
};

static void drop(struct origin *o)
{
	tls_context_put(o->ctx);
	free(o);
}

void origin_cache_fini(struct origin_cache *c)
{
	TABLE_DRAIN(c->by_key, drop);
}

/* The files of RULE in the order certificate, key, roots; "" for none. */
static void files_of(const struct client_tls *rule, const char *files[ORIGIN_FILES])
{
	bool mutual = rule->mode == CLIENT_TLS_MUTUAL;
	files[0] = mutual ? rule->client_certificate : "";
	files[1] = mutual ? rule->private_key : "";
	files[2] = rule->insecure_skip_verify ? "" : rule->ca_certificates;
	if (!rule->insecure_skip_verify && !files[2][0])
		files[2] = ORIGIN_SYSTEM_ROOTS;
}

/* A file that is not there has no stamp: it is missed when it is read. */
static struct stamp stamp_of(const char *path)
{
	struct stat st;
	if (!path[0] || stat(path, &st) < 0)
		return (struct stamp){0};
	return (struct stamp){st.st_mtim, st.st_ino, st.st_size};
}

static bool same(const struct stamp *a, const struct stamp *b)
{
	return a->at.tv_sec == b->at.tv_sec && a->at.tv_nsec == b->at.tv_nsec &&
	       a->inode == b->inode && a->size == b->size;
}

static bool changed(struct origin *o, const char *const files[ORIGIN_FILES], uint64_t now_ns)
{
	if (now_ns - o->looked_ns < NS_PER_S)
		return false;
	o->looked_ns = now_ns;
	for (size_t i = 0; i < ORIGIN_FILES; i++) {
		struct stamp now = stamp_of(files[i]);
		if (!same(&now, &o->stamps[i]))
			return true;
	}
	return false;
}

/* In one block from the start: a key leaves no copies behind that nobody wipes. */
static bool read_file(const char *path, struct buf *out, struct err *err)
{
	struct stat st;
	size_t room;
	ssize_t n;
	if (!path[0])
		return true;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, "%s", path);
	bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < FILE_MAX;
	if (!ok)
		(void)err_set(err, ERR_BAD_INPUT, "%s: expected a file of less than %d bytes", path,
			      FILE_MAX);
	char *at = ok ? buf_reserve(out, (size_t)st.st_size + 1, &room) : NULL;
	while (at && room && (n = read(fd, at, room)) != 0) {
		if (n < 0) {
			ok = err_sys(err, "%s", path);
			break;
		}
		buf_commit(out, (size_t)n);
		at += n;
		room -= (size_t)n;
	}
	(void)close(fd); /* only read */
	return ok;
}

static struct tls_context *make_context(const struct client_tls *rule,
					const char *const files[ORIGIN_FILES], struct err *err)
{
	struct buf texts[ORIGIN_FILES];
	struct tls_identity *id = NULL;
	struct tls_context *ctx = NULL;
	bool ok = true;
	for (size_t i = 0; i < ORIGIN_FILES; i++) {
		buf_init(&texts[i], FILE_MAX);
		ok = ok && read_file(files[i], &texts[i], err);
	}
	if (ok)
		id = tls_identity_new(buf_slice(&texts[0]), buf_slice(&texts[1]),
				      buf_slice(&texts[2]), err);
	if (id)
		ctx = tls_context_new(
			&(struct tls_options){.role = TLS_CLIENT,
					      .identity = id,
					      .verify_peer = !rule->insecure_skip_verify,
					      .clock_skew_s = MESH_TLS_SKEW_S},
			err);
	tls_identity_put(id);
	for (size_t i = 0; i < ORIGIN_FILES; i++) {
		if (texts[i].bytes)
			explicit_bzero(texts[i].bytes, texts[i].size);
		buf_fini(&texts[i]);
	}
	return ctx;
}

static bool can_be_had(const struct client_tls *rule, struct err *err)
{
	if (rule->credential_name[0])
		return err_set(err, ERR_NOT_FOUND,
			       "credentialName %s: a sidecar has no Secrets here; name files",
			       rule->credential_name);
	if (rule->ca_crl[0])
		return err_set(err, ERR_BAD_INPUT, "caCrl %s: revocation lists are not supported",
			       rule->ca_crl);
	if (rule->mode == CLIENT_TLS_MUTUAL &&
	    (!rule->client_certificate[0] || !rule->private_key[0]))
		return err_set(err, ERR_BAD_INPUT, "MUTUAL needs clientCertificate and privateKey");
	return true;
}

static bool key_of(const struct client_tls *rule, const char *const files[ORIGIN_FILES],
		   char key[KEY_MAX], struct err *err)
{
	int len = snprintf(key, KEY_MAX, "%d\n%s\n%s\n%s", rule->insecure_skip_verify, files[0],
			   files[1], files[2]);
	return (len >= 0 && len < KEY_MAX) ||
	       err_set(err, ERR_LIMIT, "names of files longer than %d bytes", KEY_MAX);
}

/* CTX in place of what was there under KEY, or of the oldest. */
static struct origin *put(struct origin_cache *c, const char *key, struct tls_context *ctx)
{
	struct origin *old = NULL;
	size_t len = strlen(key) + 1;
	HASH_FIND_STR(c->by_key, key, old);
	if (!old && HASH_COUNT(c->by_key) >= ORIGINS_MAX)
		old = c->by_key;
	if (old) {
		HASH_DEL(c->by_key, old);
		drop(old);
	}
	struct origin *o = mem_new(sizeof(*o) + len);
	memcpy(o->key, key, len);
	o->ctx = ctx;
	HASH_ADD_STR(c->by_key, key, o);
	return o;
}

struct tls_context *origin_context(struct origin_cache *c, const struct client_tls *rule,
				   uint64_t now_ns, struct err *err)
{
	const char *files[ORIGIN_FILES];
	struct stamp stamps[ORIGIN_FILES];
	char key[KEY_MAX];
	struct origin *o = NULL;
	if (!can_be_had(rule, err))
		return NULL;
	files_of(rule, files);
	if (!key_of(rule, files, key, err))
		return NULL;
	HASH_FIND_STR(c->by_key, key, o);
	if (o && !changed(o, files, now_ns))
		return o->ctx;
	for (size_t i = 0; i < ORIGIN_FILES; i++)
		stamps[i] = stamp_of(files[i]); /* before they are read: a later change shows */
	struct tls_context *ctx = make_context(rule, files, err);
	if (!ctx)
		return o ? o->ctx : NULL; /* the last good one stays in force */
	o = put(c, key, ctx);
	o->looked_ns = now_ns;
	memcpy(o->stamps, stamps, sizeof(stamps));
	return o->ctx;
}
