#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cert.h"
#include "cli/sidecar.h"

enum { LOOK_MS = 50 };

static void pause_between_looks(void)
{
	struct timespec t = {.tv_nsec = LOOK_MS * (long)NS_PER_MS};
	(void)nanosleep(&t, NULL); /* sooner is fine */
}

static json_int_t number(const json_t *certs, const char *key)
{
	return json_integer_value(json_at(certs, key, NULL));
}

/* ---- sidecars --------------------------------------------------------------------------------- */

struct renewal {
	const json_t *pod;
	json_t *before; /* NULL: it was not asked */
};

/* Orders a new certificate of the sidecar. LATER: it was asked a moment ago and wants to be asked again. */
static bool order(const struct mesh_client *c, const struct renewal *r, bool *later,
		  struct err *err)
{
	struct buf out;
	unsigned status = 0;
	buf_init(&out, SIDECAR_ANSWER_MAX);
	bool ok = sidecar_post(c, r->pod, "/certs/rotate", &status, &out, err);
	*later = ok && status == 429;
	if (ok && status != 202)
		ok = err_set(err, ERR_NOT_NOW, "Pod %s/%s: %.*s", pod_ns(r->pod), pod_name(r->pod),
			     SLICE_FMT(slice_trim(buf_slice(&out))));
	buf_fini(&out);
	return ok;
}

static bool begin(const struct mesh_client *c, struct renewal *r, uint64_t until_ns,
		  struct err *err)
{
	bool later = false;
	while ((r->before = cert_ask(c, r->pod, err))) {
		if (order(c, r, &later, err))
			return true;
		if (!later || clock_ns() > until_ns)
			return false;
		json_decref(r->before);
		pause_between_looks();
	}
	return false;
}

/* An attempt that ended after it was asked for. */
static bool is_over(const struct renewal *r, const json_t *now)
{
	return number(now, "issued") != number(r->before, "issued") ||
	       number(now, "failed") != number(r->before, "failed");
}

static bool finish(const struct mesh_client *c, struct renewal *r, uint64_t until_ns,
		   struct err *err)
{
	char text[64];
	for (;;) {
		json_t *now = cert_ask(c, r->pod, err);
		if (!now)
			return false;
		bool over = is_over(r, now);
		bool ok = over && !*json_text(now, "problem", NULL);
		if (ok)
			printf("%s/%s: renewed, %s\n", pod_ns(r->pod), pod_name(r->pod),
			       cert_summary(now, text, sizeof(text)));
		else if (over)
			err_set(err, ERR_NOT_NOW, "Pod %s/%s: %s", pod_ns(r->pod), pod_name(r->pod),
				json_text(now, "problem", NULL));
		json_decref(now);
		if (over)
			return ok;
		if (clock_ns() > until_ns)
			return err_set(err, ERR_NOT_NOW, "Pod %s/%s: no answer in time",
				       pod_ns(r->pod), pod_name(r->pod));
		pause_between_looks();
	}
}

/* All are asked, and then waited for. */
static bool rotate_all(const struct mesh_client *c, struct renewal *all, size_t n,
		       unsigned timeout_s)
{
	uint64_t until_ns = clock_ns() + timeout_s * NS_PER_S;
	bool ok = true;
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		if (begin(c, &all[i], until_ns, &err))
			continue;
		fprintf(stderr, "hark cert: %s\n", err.text);
		ok = false;
		json_decref(all[i].before);
		all[i].before = NULL;
	}
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		if (!all[i].before || finish(c, &all[i], until_ns, &err))
			continue;
		fprintf(stderr, "hark cert: %s\n", err.text);
		ok = false;
	}
	for (size_t i = 0; i < n; i++)
		json_decref(all[i].before);
	return ok;
}

bool cert_rotate(const struct mesh_client *c, const char *pod_text, unsigned timeout_s,
		 struct err *err)
{
	char path[512];
	json_t *list = NULL, *one = NULL;
	const json_t *pod;
	size_t i, n = 0;
	if (pod_text)
		one = mesh_client_pod(c, pod_text, err);
	else {
		api_path(kind_info(KIND_POD), c->ns, NULL, path, sizeof(path));
		list = mesh_client_get(c, path, err);
	}
	if (!one && !list)
		return false;
	const json_t *items = json_object_get(list, "items");
	struct renewal *all = mem_array(json_array_size(items) + 1, sizeof(*all));
	if (one)
		all[n++].pod = one;
	json_array_foreach (items, i, pod)
		if (sidecar_is_there(pod))
			all[n++].pod = pod;
	bool ok = rotate_all(c, all, n, timeout_s);
	free(all);
	json_decref(list);
	json_decref(one);
	return ok;
}

/* ---- the root --------------------------------------------------------------------------------- */

static json_t *root_step(const struct mesh_client *c, const char *path, struct err *err)
{
	unsigned status = 0;
	json_t *body = json_object();
	json_t *answer = mesh_client_post(c, path, body, &status, err);
	json_decref(body);
	if (answer && status != 200) {
		err_set(err, ERR_NOT_NOW, "%s", json_text(answer, "message", NULL));
		json_decref(answer);
		return NULL;
	}
	return answer;
}

static bool is_phase(const json_t *ca, const char *phase)
{
	return strcmp(json_text(ca, "phase", NULL), phase) == 0;
}

/* What happens in a phase. */
static const char *phase_text(const json_t *ca)
{
	if (is_phase(ca, "trusting"))
		return "a new root is there; sidecars learn to trust it";
	if (is_phase(ca, "signing"))
		return "the new root signs; sidecars renew their certificates";
	return "sidecars forget the old root";
}

/* Until every sidecar has done what the phase asks of it. */
static bool wait_until(const struct mesh_client *c, const char *phase, unsigned timeout_s,
		       struct err *err)
{
	uint64_t until_ns = clock_ns() + timeout_s * NS_PER_S;
	const char *said = NULL;
	for (;;) {
		json_t *ca = mesh_client_get(c, "/hark/v1/ca", err);
		if (!ca)
			return false;
		const json_t *waiting = json_object_get(ca, "waiting");
		bool done = is_phase(ca, phase) && json_array_size(waiting) == 0;
		if (!is_phase(ca, "settled") && phase_text(ca) != said) {
			said = phase_text(ca);
			printf("%s\n", said);
			(void)fflush(stdout); /* nobody listens: no reason to stop */
		}
		bool late = !done && clock_ns() > until_ns;
		if (late)
			err_set(err, ERR_NOT_NOW, "%zu sidecars have not renewed yet, %s is one",
				json_array_size(waiting),
				json_string_value(json_array_get(waiting, 0)));
		json_decref(ca);
		if (done || late)
			return done;
		pause_between_looks();
	}
}

bool cert_rotate_root(const struct mesh_client *c, unsigned timeout_s, struct err *err)
{
	json_t *ca = mesh_client_get(c, "/hark/v1/ca", err);
	bool begun = ca && (is_phase(ca, "trusting") || is_phase(ca, "signing"));
	json_decref(ca);
	if (!ca)
		return false;
	if (!begun) {
		json_t *now = root_step(c, "/hark/v1/ca/rotate", err);
		json_decref(now);
		if (!now)
			return false;
	}
	if (!wait_until(c, "signing", timeout_s, err))
		return false;
	printf("every sidecar has a certificate of the new root; both are trusted.\n"
	       "`hark cert rotate --root --finish` ends the trust in the old one.\n");
	return true;
}

bool cert_finish_root(const struct mesh_client *c, unsigned timeout_s, struct err *err)
{
	json_t *now = root_step(c, "/hark/v1/ca/finish", err);
	json_decref(now);
	if (!now || !wait_until(c, "settled", timeout_s, err))
		return false;
	printf("the old root is not trusted any more\n");
	return true;
}
