#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tls/inside.h"

static int64_t seconds_of(const ASN1_TIME *at)
{
	struct tm tm = {0};
	return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* ---- names ------------------------------------------------------------------------------------ */

static size_t text_len(const GENERAL_NAMES *names)
{
	size_t len = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_URI || name->type == GEN_DNS)
			len += (size_t)ASN1_STRING_length(name->d.ia5);
	}
	return len;
}

/* A copy of S at the end of TEXT, which has room for it. */
static struct slice put_text(char *text, size_t *used, const void *s, size_t len)
{
	struct slice put = {&text[*used], len};
	if (len > 0)
		memcpy(&text[*used], s, len);
	*used += len;
	return put;
}

static void put_names(struct tls_peer *p, const GENERAL_NAMES *names, char *text, size_t *used)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		bool uri = name->type == GEN_URI;
		if (!uri && name->type != GEN_DNS)
			continue;
		unsigned *n = uri ? &p->n_uris : &p->n_dns;
		if (*n == TLS_MAX_SANS) {
			p->sans_dropped = true;
			continue;
		}
		const ASN1_IA5STRING *s = name->d.ia5;
		(uri ? p->uris : p->dns)[(*n)++] = put_text(text, used, ASN1_STRING_get0_data(s),
							    (size_t)ASN1_STRING_length(s));
	}
}

/* In memory of its own, text behind the struct. */
struct tls_peer *tls_peer_new(X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	BIO *subject = BIO_new(BIO_s_mem());
	MUST(subject);
	if (X509_NAME_entry_count(X509_get_subject_name(cert)) > 0)
		(void)X509_NAME_print_ex(subject, X509_get_subject_name(cert), 0,
					 XN_FLAG_RFC2253); /* a name it cannot print stays empty */
	char *at = NULL;
	long subject_len = BIO_get_mem_data(subject, &at);
	size_t len = text_len(names) + (size_t)subject_len, used = 0;
	struct tls_peer *p = mem_new(sizeof(*p) + len);
	char *text = (char *)&p[1];
	put_names(p, names, text, &used);
	p->subject = put_text(text, &used, at, (size_t)subject_len);
	p->not_after_s = seconds_of(X509_get0_notAfter(cert));
	MUST(X509_digest(cert, EVP_sha256(), p->sha256, NULL) == 1);
	BIO_free(subject);
	GENERAL_NAMES_free(names);
	return p;
}
