/* What own_cert.c (when), own_cert_ask.c (from an authority), own_cert_files.c (from files) and
 * own_cert_show.c share. */
#pragma once
#include <sys/stat.h>

#include "base/mem.h"
#include "grpc/grpc.h"
#include "identity/keypair.h"
#include "identity/workload_cert.h"
#include "net/resolve.h"
#include "proxy/own_cert.h"

enum { OWN_CERT_PEM_MAX = 256 * 1024, OWN_CERT_SKEW_S = 120 };

/* What became of an attempt: the enum, and the label `result` of
 * hark_certificate_renewals_total. */
#define OWN_CERT_RESULTS(X)                                                                        \
	X(ISSUED, "issued")           /* a new certificate is in force */                          \
	X(UNAVAILABLE, "unavailable") /* the authority could not be asked */                       \
	X(REFUSED, "refused")         /* it said no */                                             \
	X(BAD_ANSWER, "bad_answer")   /* what it sent is no certificate for us */                  \
	X(LOCAL, "local")             /* token, roots or files are missing or wrong */
enum own_cert_result {
#define X(name, label) OWN_CERT_##name,
	OWN_CERT_RESULTS(X)
#undef X
		N_OWN_CERT_RESULTS
};

/* A file as it was when it was last looked at. */
struct file_mark {
	const char *path;
	struct stat seen;
};

struct own_cert {
	struct loop *loop;
	struct own_cert_config cfg;
	struct arena *arena; /* the texts of CFG */
	char *uri;           /* what the CSR asks for */
	const struct own_cert_events *events;
	void *ctx;

	struct workload_cert clock;
	struct timer tick;
	struct file_mark marks[3];
	unsigned n_marks;

	/* In force; NULL and empty: none yet. */
	struct tls_identity *identity;
	struct buf chain, roots; /* PEM */
	int64_t not_before_s, not_after_s;

	struct resolve *resolve; /* while the authority's name is being resolved */
	struct grpc_call *call;  /* while one runs */
	struct keypair *key;     /* the new pair that it is about */
	unsigned next_ip;        /* of those that the name has */

	uint64_t counts[N_OWN_CERT_RESULTS];
	char problem[512]; /* of the last attempt; "": it went well */
	bool told_expired;
};

int64_t own_cert_now_ms(void);
bool own_cert_from_files(const struct own_cert *o); /* or from an authority */
/* An attempt is over. ERR NULL: it went well. */
void own_cert_ended(struct own_cert *o, enum own_cert_result r, const struct err *err);
/* CHAIN (leaf first) with KEY is for us, and leads to ROOTS: it is in force from now on. False:
 * nothing has changed. */
bool own_cert_take(struct own_cert *o, struct slice chain, struct evp_pkey_st *key,
		   struct slice roots, struct err *err) MUST_CHECK;

/* own_cert_ask.c: begins an attempt, which ends in own_cert_ended(). */
void own_cert_ask(struct own_cert *o);
/* own_cert_files.c: likewise. */
void own_cert_read_files(struct own_cert *o);
