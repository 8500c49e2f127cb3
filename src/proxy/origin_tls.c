#include "proxy/origin_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/read_file.h"
#include "proxy/mesh_tls.h"

enum { CERT, KEY, ROOTS };
enum {
	FILE_MAX = 4 * 1024 * 1024,
	KEY_FILE_MAX = 64 * 1024,
	NAME_MAX_LEN = 16 * 1024, /* of what tells one set of files from another */
};

/* When and what a file is. The time of its last change: permissions count as well. */
struct stamp {
	struct timespec at;
	ino_t inode;
	off_t size;
};

struct origin {
	UT_hash_handle hh;
	struct tls_context *ctx; /* NULL: there never was a good one */
	uint64_t looked_ns;
	struct stamp stamps[ORIGIN_FILES];
	struct err problem; /* of the newest attempt; ERR_NONE: it went well */
	char name[];
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

/* ---- files ------------------------------------------------------------------------------------ */

/* The files of RULE by CERT, KEY, ROOTS; "" for none. */
static void files_of(const struct client_tls *rule, const char *files[ORIGIN_FILES])
{
	bool mutual = rule->mode == CLIENT_TLS_MUTUAL;
	files[CERT] = mutual ? rule->client_certificate : "";
	files[KEY] = mutual ? rule->private_key : "";
	files[ROOTS] = rule->insecure_skip_verify ? "" : rule->ca_certificates;
	if (!rule->insecure_skip_verify && !files[ROOTS][0])
		files[ROOTS] = ORIGIN_SYSTEM_ROOTS;
}

/* A file that is not there has no stamp: it is missed when it is read. */
static struct stamp stamp_of(const char *path)
{
	struct stat st;
	if (!path[0] || stat(path, &st) < 0)
		return (struct stamp){0};
	return (struct stamp){st.st_ctim, st.st_ino, st.st_size};
}

static bool same(const struct stamp *a, const struct stamp *b)
{
	return a->at.tv_sec == b->at.tv_sec && a->at.tv_nsec == b->at.tv_nsec &&
	       a->inode == b->inode && a->size == b->size;
}

/* ---- a context of them ------------------------------------------------------------------------ */

/* What can be asked for is to be had here. */
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

static bool read_all(const char *const files[ORIGIN_FILES], struct buf texts[ORIGIN_FILES],
		     struct err *err)
{
	for (size_t i = 0; i < ORIGIN_FILES; i++)
		if (files[i][0] && !read_file(files[i], &texts[i], err))
			return false;
	return true;
}

static struct tls_context *context_of(const struct client_tls *rule,
				      const struct buf texts[ORIGIN_FILES], struct err *err)
{
	struct tls_context *ctx = NULL;
	struct tls_identity *id = tls_identity_new(buf_slice(&texts[CERT]), buf_slice(&texts[KEY]),
						   buf_slice(&texts[ROOTS]), err);
	if (id)
		ctx = tls_context_new(
			&(struct tls_options){.role = TLS_CLIENT,
					      .identity = id,
					      .verify_peer = !rule->insecure_skip_verify,
					      .clock_skew_s = MESH_TLS_SKEW_S},
			err);
	tls_identity_put(id);
	return ctx;
}

/* OpenSSL says what is wrong, and not where. */
static void name_files(const char *const files[ORIGIN_FILES], struct err *err)
{
	for (size_t i = ORIGIN_FILES; i-- > 0;)
		if (files[i][0])
			(void)err_wrap(err, "%s", files[i]); /* ERR says so too */
}

static struct tls_context *make_context(const struct client_tls *rule,
					const char *const files[ORIGIN_FILES], struct err *err)
{
	struct buf texts[ORIGIN_FILES];
	struct tls_context *ctx = NULL;
	if (!can_be_had(rule, err))
		return NULL;
	for (size_t i = 0; i < ORIGIN_FILES; i++)
		buf_init(&texts[i], i == KEY ? KEY_FILE_MAX : FILE_MAX);
	if (files[KEY][0]) /* at once: a buffer that grows leaves copies of the key behind */
		(void)buf_reserve(&texts[KEY], KEY_FILE_MAX, NULL);
	if (read_all(files, texts, err) && !(ctx = context_of(rule, texts, err)))
		name_files(files, err);
	for (size_t i = 0; i < ORIGIN_FILES; i++)
		buf_wipe(&texts[i]);
	return ctx;
}

/* ---- the table -------------------------------------------------------------------------------- */

/* No two sets have the same: a path may contain whatever separates paths, so lengths go before. */
static bool name_of(const struct client_tls *rule, const char *const files[ORIGIN_FILES],
		    char name[NAME_MAX_LEN], struct err *err)
{
	int len = snprintf(name, NAME_MAX_LEN, "%d%d %zu:%s%zu:%s%zu:%s%zu:%s%zu:%s", rule->mode,
			   rule->insecure_skip_verify, strlen(files[CERT]), files[CERT],
			   strlen(files[KEY]), files[KEY], strlen(files[ROOTS]), files[ROOTS],
			   strlen(rule->credential_name), rule->credential_name,
			   strlen(rule->ca_crl), rule->ca_crl);
	return (len >= 0 && len < NAME_MAX_LEN) ||
	       err_set(err, ERR_LIMIT, "names of files longer than %d bytes", NAME_MAX_LEN);
}

static struct origin *find(const struct origin_cache *c, const char *name)
{
	struct origin *o = NULL;
	HASH_FIND_STR(c->by_key, name, o);
	return o;
}

static struct origin *add(struct origin_cache *c, const char *name)
{
	size_t len = strlen(name) + 1;
	struct origin *o = mem_new(sizeof(*o) + len);
	memcpy(o->name, name, len);
	HASH_ADD_STR(c->by_key, name, o);
	return o;
}

/* Of too many the oldest gives way. */
static void trim(struct origin_cache *c)
{
	struct origin *oldest = c->by_key;
	if (HASH_COUNT(c->by_key) <= ORIGINS_MAX)
		return;
	HASH_DEL(c->by_key, oldest);
	drop(oldest);
}

/* Something is to be read: for the first time, or because it is not what it was. */
static bool is_due(struct origin *o, const char *const files[ORIGIN_FILES], uint64_t now_ns)
{
	bool first = !o->ctx && o->problem.kind == ERR_NONE;
	if (!first && now_ns - o->looked_ns < NS_PER_S)
		return false;
	o->looked_ns = now_ns;
	bool due = first || o->problem.kind != ERR_NONE;
	for (size_t i = 0; i < ORIGIN_FILES; i++) {
		/* Before it is read: what changes while that is done shows the next time. */
		struct stamp now = stamp_of(files[i]);
		due = due || !same(&now, &o->stamps[i]);
		o->stamps[i] = now;
	}
	return due;
}

static void make(struct origin *o, const struct client_tls *rule,
		 const char *const files[ORIGIN_FILES])
{
	struct err problem = {0};
	struct tls_context *ctx = make_context(rule, files, &problem);
	if (ctx) {
		tls_context_put(o->ctx);
		o->ctx = ctx;
	} else if (strcmp(problem.text, o->problem.text) != 0) {
		log_warn("proxy", "TLS that a DestinationRule wants: %s%s", problem.text,
			 o->ctx ? "; what was read before stays in force" : "");
	}
	o->problem = problem;
}

struct tls_context *origin_context(struct origin_cache *c, const struct client_tls *rule,
				   uint64_t now_ns, struct err *err)
{
	const char *files[ORIGIN_FILES];
	char name[NAME_MAX_LEN];
	files_of(rule, files);
	if (!name_of(rule, files, name, err))
		return NULL;
	struct origin *o = find(c, name);
	if (!o) {
		o = add(c, name);
		trim(c);
	}
	if (is_due(o, files, now_ns))
		make(o, rule, files);
	if (!o->ctx && err)
		*err = o->problem;
	return o->ctx;
}
