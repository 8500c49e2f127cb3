#include "local/pod_identity.h"

#include "base/log.h"
#include "base/mem.h"
#include "identity/token.h"
#include "local/authority.h"
#include "model/sidecar.h"
#include "sandbox/volume.h"

/* Looked at often: the timer does not run while the machine sleeps, the token's life does. */
enum { LOOK_S = 300, AGAIN_S = 10 };

static int64_t now_s(void)
{
	return (int64_t)(clock_wall_ns() / NS_PER_S);
}

static void look(struct timer *t)
{
	struct pod_run *run = CONTAINER_OF(t, struct pod_run, token);
	struct loop *loop = pods_node(run->pods)->loop;
	struct err err = {0};
	timer_set(loop, t, LOOK_S * NS_PER_S);
	if (now_s() < run->token_renew_s || pod_identity_write(run, &err))
		return;
	log_error("local", "token not renewed pod=%s error=\"%s\"", run->key, err.text);
	timer_set(loop, t, AGAIN_S * NS_PER_S);
}

bool pod_identity_write(struct pod_run *run, struct err *err)
{
	const struct authority *a = pods_cfg(run->pods)->authority;
	struct buf token;
	int64_t expires_s = 0, now = now_s();
	buf_init(&token, TOKEN_MAX);
	struct volume_file file = {.path = "istio-token", .mode = 0400, .owner = SIDECAR_ID};
	bool ok = authority_token(a, run->object, &token, &expires_s, err);
	file.data = buf_slice(&token);
	ok = ok &&
	     volume_config(pods_node(run->pods), run->id, "_token", &file, 1, run->token_dir, err);
	buf_wipe(&token);
	if (!ok)
		return err_wrap(err, "token");
	run->token_renew_s = now + (expires_s - now) * 4 / 5;
	run->token.fire = look;
	timer_set(pods_node(run->pods)->loop, &run->token, LOOK_S * NS_PER_S);
	return true;
}

void pod_identity_stop(struct pod_run *run)
{
	timer_cancel(pods_node(run->pods)->loop, &run->token);
}

size_t pod_identity_mounts(const struct pod_run *run, struct container_mount *out)
{
	out[0] = (struct container_mount){
		.source = run->token_dir, .target = "/var/run/secrets/tokens", .read_only = true};
	out[1] = (struct container_mount){
		.source = authority_roots_dir(pods_cfg(run->pods)->authority),
		.target = "/var/run/secrets/istio",
		.read_only = true};
	return POD_IDENTITY_MOUNTS;
}

/* The names are those of Istio's injection template. */
size_t pod_identity_env(const struct pod_run *run, struct arena *arena, struct container_env *out)
{
	struct mesh_config mesh;
	const struct object *map =
		store_get(pods_store(run->pods), KIND_CONFIG_MAP, MESH_CONFIG_NS, MESH_CONFIG_NAME);
	if (!mesh_config_decode(map, arena, &mesh, NULL))
		mesh_config_default(&mesh); /* the sidecar says so */
	const struct container_env env[POD_IDENTITY_ENV] = {
		{"CA_ADDR", authority_addr(pods_cfg(run->pods)->authority)},
		{"ISTIOD_SAN", AUTHORITY_HOST},
		{"PILOT_CERT_PROVIDER", "istiod"},
		{"TRUST_DOMAIN", mesh.trust_domain},
		{"SERVICE_ACCOUNT", run->object->pod->spec.service_account},
		{"ISTIO_META_CLUSTER_ID", "Kubernetes"},
		{"SECRET_TTL", arena_printf(arena, "%us", mesh.certificate_s)},
	};
	for (size_t i = 0; i < POD_IDENTITY_ENV; i++)
		out[i] = env[i];
	return POD_IDENTITY_ENV;
}
