/* What kubectl asks before it asks for anything; spec of each answer: apimachinery's meta/v1. */
#include <stdio.h>

#include "base/json_out.h"
#include "control/api_parts.h"
#include "control/status.h"

/* The group of "apps/v1": "apps"; of "v1": "". */
static struct slice group_of(const char *api_version)
{
	struct slice s = slice_of(api_version);
	size_t at = slice_find(s, '/');
	return at < s.len ? slice_sub(s, 0, at) : SLICE("");
}

static struct slice version_of(const char *api_version)
{
	struct slice s = slice_of(api_version);
	struct slice rest = s;
	(void)slice_cut(&rest, '/'); /* the group */
	return rest.len ? rest : s;
}

/* The first kind that has this group, so that each is named once. */
static bool is_first_of_group(unsigned kind)
{
	struct slice group = group_of(kind_info((enum kind)kind)->api_version);
	for (unsigned i = 0; i < kind; i++)
		if (slice_eq(group, group_of(kind_info((enum kind)i)->api_version)))
			return false;
	return group.len > 0;
}

static void send_json(struct rest_reply *reply, struct buf *b)
{
	rest_reply_full(reply, 200, "application/json", buf_slice(b));
	buf_fini(b);
}

static void begin(struct json_out *j, struct buf *b, const char *kind)
{
	buf_init(b, 1 << 20);
	json_out_init(j, b);
	json_open_object(j, NULL);
	json_cstr(j, "kind", kind);
	json_cstr(j, "apiVersion", "v1");
}

void discovery_version(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)ctx;
	(void)req;
	/* The release whose conventions this follows; clients compare it with their own. */
	rest_reply_full(reply, 200, "application/json",
			SLICE("{\"major\":\"1\",\"minor\":\"30\",\"gitVersion\":\"v1.30.0+hark\","
			      "\"platform\":\"linux\"}"));
}

static void write_version(struct json_out *j, const char *key, const char *api_version)
{
	json_open_object(j, key);
	json_cstr(j, "groupVersion", api_version);
	json_slice(j, "version", version_of(api_version));
	json_close(j);
}

/* The members of a group, into the object that is open: those of its first kind, which the others
 * share. */
static void write_group(struct json_out *j, const struct kind_info *k)
{
	json_slice(j, "name", group_of(k->api_version));
	json_open_array(j, "versions");
	write_version(j, NULL, k->api_version);
	for (const char *const *also = k->also; *also; also++)
		write_version(j, NULL, *also);
	json_close(j);
	write_version(j, "preferredVersion", k->api_version);
}

static void reply_versions(const struct target *t, struct rest_reply *reply)
{
	struct buf b;
	struct json_out j;
	begin(&j, &b, t->core ? "APIVersions" : "APIGroupList");
	json_open_array(&j, t->core ? "versions" : "groups");
	if (t->core)
		json_cstr(&j, NULL, "v1");
	for (unsigned i = 0; i < N_KINDS && !t->core; i++)
		if (is_first_of_group(i)) {
			json_open_object(&j, NULL);
			write_group(&j, kind_info((enum kind)i));
			json_close(&j);
		}
	json_close(&j);
	json_close(&j);
	send_json(reply, &b);
}

static void reply_group(const struct target *t, struct rest_reply *reply)
{
	for (unsigned i = 0; i < N_KINDS; i++) {
		const struct kind_info *k = kind_info((enum kind)i);
		if (!slice_eq(t->group, group_of(k->api_version)))
			continue;
		struct buf b;
		struct json_out j;
		begin(&j, &b, "APIGroup");
		write_group(&j, k);
		json_close(&j);
		send_json(reply, &b);
		return;
	}
	status_reply(reply, 404, "no such API group: %.*s", SLICE_FMT(t->group));
}

static void write_resource(struct json_out *j, const struct kind_info *k, bool status)
{
	static const char *const verbs[] = {"get",   "patch",  "update", "list",
					    "watch", "create", "delete"};
	char name[80];
	(void)snprintf(name, sizeof(name), "%s%s", k->plural, status ? "/status" : ""); /* fits */
	json_open_object(j, NULL);
	json_cstr(j, "name", name);
	json_cstr(j, "singularName", status ? "" : k->singular);
	json_bool(j, "namespaced", k->namespaced);
	json_cstr(j, "kind", k->name);
	json_open_array(j, "verbs");
	for (size_t i = 0; i < (status ? 3 : sizeof(verbs) / sizeof(verbs[0])); i++)
		json_cstr(j, NULL, verbs[i]);
	json_close(j);
	if (!status && k->short_name[0]) {
		json_open_array(j, "shortNames");
		json_cstr(j, NULL, k->short_name);
		json_close(j);
	}
	json_close(j);
}

static void reply_resources(const struct target *t, struct rest_reply *reply)
{
	struct buf b;
	struct json_out j;
	begin(&j, &b, "APIResourceList");
	json_slice(&j, "groupVersion", t->api_version);
	json_open_array(&j, "resources");
	for (unsigned i = 0; i < N_KINDS; i++) {
		const struct kind_info *k = kind_info((enum kind)i);
		if (!kind_serves(k, t->api_version))
			continue;
		write_resource(&j, k, false);
		write_resource(&j, k, true);
	}
	json_close(&j);
	json_close(&j);
	send_json(reply, &b);
}

void discovery_reply(const struct target *t, struct rest_reply *reply)
{
	if (t->what == TARGET_VERSIONS)
		reply_versions(t, reply);
	else if (t->what == TARGET_GROUP)
		reply_group(t, reply);
	else
		reply_resources(t, reply);
}
