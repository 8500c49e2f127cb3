#include <stdio.h>
#include <string.h>

#include "cli/cert.h"
#include "cli/sidecar.h"

json_t *cert_ask(const struct mesh_client *c, const json_t *pod, struct err *err)
{
	struct buf out;
	unsigned status = 0;
	json_t *root = NULL;

	buf_init(&out, SIDECAR_ANSWER_MAX);
	if (sidecar_get(c, pod, "/certs", &status, &out, err)) {
		struct slice text = slice_trim(buf_slice(&out));
		if (status == 200)
			root = json_loadb(text.at, text.len, 0, NULL);
		if (!root)
			(void)err_set(err, status == 404 ? ERR_NOT_FOUND : ERR_NOT_NOW,
				      "Pod %s/%s: %.*s", pod_ns(pod), pod_name(pod),
				      SLICE_FMT(text)); /* NULL says so too */
	}
	buf_fini(&out);
	return root;
}

static const char *duration(long long s, char *out, size_t out_len)
{
	if (s < 120)
		snprintf(out, out_len, "%llds", s);
	else if (s < 2LL * 3600)
		snprintf(out, out_len, "%lldm", s / 60);
	else if (s < 48LL * 3600)
		snprintf(out, out_len, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(out, out_len, "%lldd", s / 86400);
	return out;
}

const char *cert_summary(const json_t *certs, char *out, size_t out_len)
{
	const char *state = json_text(certs, "state", NULL);
	long long left = json_integer_value(json_at(certs, "seconds_left", NULL));
	char text[32];
	if (left > 0)
		snprintf(out, out_len, "%s %s", state, duration(left, text, sizeof(text)));
	else
		snprintf(out, out_len, "%s", state);
	return out;
}

static void print_certs(const json_t *certs, const char *key)
{
	const json_t *cert;
	size_t i;
	printf("%s:\n", key);
	json_array_foreach (json_at(certs, key, NULL), i, cert) {
		const char *subject = json_text(cert, "subject", NULL);
		const char *names = json_text(cert, "names", NULL);
		printf("  %zu  subject  %s\n", i, *subject ? subject : "(empty)");
		printf("     issuer   %s\n", json_text(cert, "issuer", NULL));
		if (*names)
			printf("     names    %s\n", names);
		printf("     valid    %s to %s\n", json_text(cert, "not_before", NULL),
		       json_text(cert, "not_after", NULL));
		printf("     key      %s\n", json_text(cert, "key", NULL));
		printf("     serial   %s\n", json_text(cert, "serial", NULL));
		printf("     sha-256  %s\n", json_text(cert, "sha256", NULL));
	}
}

void cert_print(const json_t *certs)
{
	const char *identity = json_text(certs, "identity", NULL);
	const char *renew = json_text(certs, "renew_at", NULL);
	const char *problem = json_text(certs, "problem", NULL);
	char text[64];

	printf("identity: %s\n", *identity ? identity : "-");
	printf("state:    %s\n", cert_summary(certs, text, sizeof(text)));
	printf("source:   %s\n", json_text(certs, "source", NULL));
	if (*renew)
		printf("renewal:  %s\n", renew);
	if (*problem)
		printf("problem:  %s\n", problem);
	print_certs(certs, "chain");
	print_certs(certs, "roots");
}
