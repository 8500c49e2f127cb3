/* A policy as an API server sends it, and the programs that it becomes. */
#include <stdint.h>

#include "model/authz.h"
#include "model/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct mesh_config mesh;
	struct object *o = object_from_json(KIND_AUTHORIZATION_POLICY,
					    (struct slice){(const char *)data, size}, false, &err);
	if (!o)
		return 0;
	struct arena *a = arena_new();
	const struct object *policies[] = {o};
	mesh_config_default(&mesh);
	const struct authz *z = authz_compile(a, policies, 1, &mesh);
	const struct authz_program *tcp = &z->programs[AUTHZ_TCP], *http = &z->programs[AUTHZ_HTTP];
	/* No rule is lost on the way but those of ALLOW, and TCP has none that HTTP has not. */
	const struct authorization_policy *p = o->authorization_policy;
	size_t n = z->n_policies ? p->n_rules : 0;
	MUST(p->action == AUTHZ_ALLOW ? http->allow.n <= n && tcp->allow.n <= http->allow.n
				      : tcp->deny.n + tcp->audit.n + tcp->custom.n == n &&
						http->deny.n + http->audit.n + http->custom.n == n);
	arena_free(a);
	object_put(o);
	return 0;
}
