/* Pod (core/v1) and Deployment (apps/v1). */
#include "model/schema.h"

#include <string.h>

#include "base/mem.h"

static const struct field empty_dir_fields[] = {
	FIELD_KNOWN("medium"),
	FIELD_KNOWN("sizeLimit"),
};
static const struct schema empty_dir_schema = SCHEMA(struct volume, empty_dir_fields, NULL, NULL);

static void check_item(struct decoder *d, const struct tree *n, void *out)
{
	const struct pair *item = out;
	struct slice path = slice_of(item->value);
	if (path.len == 0 || slice_starts(path, SLICE("/")) || slice_contains(path, SLICE("..")))
		decode_problem(d, n, "path", "must be a relative path without \"..\"");
}

static const struct field item_fields[] = {
	FIELD_STRING(struct pair, "key", key, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct pair, "path", value, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("mode"),
};
static const struct schema item_schema = SCHEMA(struct pair, item_fields, NULL, check_item);

static const struct field config_map_fields[] = {
	FIELD_STRING(struct volume, "name", config_map, .flags = FIELD_REQUIRED),
	FIELD_LIST(struct volume, "items", items, n_items, &item_schema),
	FIELD_UINT(struct volume, "defaultMode", default_mode, 0, 0777),
	FIELD_BOOL(struct volume, "optional", optional),
};
static const struct schema config_map_schema = SCHEMA(struct volume, config_map_fields, NULL, NULL);

static void check_host_path(struct decoder *d, const struct tree *n, void *out)
{
	const struct volume *v = out;
	struct slice path = slice_of(v->host_path);
	if (!slice_starts(path, SLICE("/")) || slice_contains(path, SLICE("..")))
		decode_problem(d, n, "path", "must be an absolute path without \"..\"");
}

static const struct field host_path_fields[] = {
	FIELD_STRING(struct volume, "path", host_path, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("type"),
};
static const struct schema host_path_schema =
	SCHEMA(struct volume, host_path_fields, NULL, check_host_path);

static void default_volume(void *out)
{
	struct volume *v = out;
	v->default_mode = 0644;
	v->config_map = v->host_path = "";
}

static void check_volume(struct decoder *d, const struct tree *n, void *out)
{
	struct volume *v = out;
	unsigned sources = 0;
	check_name(d, n, "name", NAME_LABEL, v->name);
	for (const struct tree *c = n->first; c; c = c->next) {
		if (slice_is(c->key, "name") || c->type == TREE_NULL)
			continue;
		sources++;
		if (slice_is(c->key, "configMap"))
			v->kind = VOLUME_CONFIG_MAP;
		else if (slice_is(c->key, "hostPath"))
			v->kind = VOLUME_HOST_PATH;
	}
	if (sources > 1)
		decode_problem(d, n, NULL, "a volume has one source, this one names %u", sources);
}

static const struct field volume_fields[] = {
	FIELD_STRING(struct volume, "name", name, .flags = FIELD_REQUIRED),
	FIELD_INLINE("emptyDir", &empty_dir_schema),
	FIELD_INLINE("configMap", &config_map_schema),
	FIELD_INLINE("hostPath", &host_path_schema),
	FIELD_UNSUPPORTED("secret"),
	FIELD_UNSUPPORTED("projected"),
	FIELD_UNSUPPORTED("downwardAPI"),
	FIELD_UNSUPPORTED("persistentVolumeClaim"),
	FIELD_UNSUPPORTED("ephemeral"),
	FIELD_UNSUPPORTED("csi"),
	FIELD_UNSUPPORTED("nfs"),
	FIELD_UNSUPPORTED("image"),
	FIELD_UNSUPPORTED("iscsi"),
	FIELD_UNSUPPORTED("fc"),
	FIELD_UNSUPPORTED("gitRepo"),
	FIELD_UNSUPPORTED("glusterfs"),
	FIELD_UNSUPPORTED("rbd"),
	FIELD_UNSUPPORTED("cephfs"),
	FIELD_UNSUPPORTED("cinder"),
	FIELD_UNSUPPORTED("flexVolume"),
	FIELD_UNSUPPORTED("flocker"),
	FIELD_UNSUPPORTED("azureFile"),
	FIELD_UNSUPPORTED("azureDisk"),
	FIELD_UNSUPPORTED("awsElasticBlockStore"),
	FIELD_UNSUPPORTED("gcePersistentDisk"),
	FIELD_UNSUPPORTED("vsphereVolume"),
	FIELD_UNSUPPORTED("quobyte"),
	FIELD_UNSUPPORTED("photonPersistentDisk"),
	FIELD_UNSUPPORTED("portworxVolume"),
	FIELD_UNSUPPORTED("scaleIO"),
	FIELD_UNSUPPORTED("storageos"),
};
static const struct schema volume_schema =
	SCHEMA(struct volume, volume_fields, default_volume, check_volume);

static bool has_volume(const struct pod_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_volumes; i++)
		if (strcmp(spec->volumes[i].name, name) == 0)
			return true;
	return false;
}

static void check_mounts(struct decoder *d, const struct tree *n, const struct pod_spec *spec,
			 const struct container *c)
{
	for (size_t i = 0; i < c->n_mounts; i++)
		if (!has_volume(spec, c->mounts[i].name))
			decode_problem(d, list_item(n, "volumeMounts", i), "name",
				       "\"%.80s\" is not one of the volumes", c->mounts[i].name);
}

/* What the Pod says holds where the container says nothing. */
static void inherit_security(struct container *c, const struct security_context *pod)
{
	struct security_context *s = &c->security;
	if (!s->has_run_as_user && pod->has_run_as_user) {
		s->has_run_as_user = true;
		s->run_as_user = pod->run_as_user;
	}
	if (!s->has_run_as_group && pod->has_run_as_group) {
		s->has_run_as_group = true;
		s->run_as_group = pod->run_as_group;
	}
}

static void check_containers(struct decoder *d, const struct tree *n, const struct pod_spec *spec,
			     const char *member, const struct container *all, size_t n_all)
{
	/* Names are one space for both lists; init containers come first. */
	for (size_t i = 0; i < n_all; i++) {
		const struct tree *at = list_item(n, member, i);
		bool twice = false;
		for (size_t j = 0; j < i; j++)
			twice = twice || strcmp(all[i].name, all[j].name) == 0;
		for (size_t j = 0; j < spec->n_init_containers && all == spec->containers; j++)
			twice = twice || strcmp(all[i].name, spec->init_containers[j].name) == 0;
		if (twice)
			decode_problem(d, at, "name", "\"%s\" names two containers", all[i].name);
		if (!d->lean)
			check_mounts(d, at, spec, &all[i]);
		/* The list was made by decode() just now, in memory that is ours to write. */
		inherit_security((struct container *)&all[i], &spec->security);
	}
}

static const struct field dns_option_fields[] = {
	FIELD_STRING(struct pair, "name", key, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct pair, "value", value),
};
static const struct schema dns_option_schema = SCHEMA(struct pair, dns_option_fields, NULL, NULL);

static bool is_word(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] <= ' ' || text.at[i] == 0x7f)
			return false;
	return text.len != 0;
}

/* They become lines of resolv.conf. */
static void check_dns_config(struct decoder *d, const struct tree *n, void *out)
{
	const struct pod_spec *spec = out;
	struct ip ip;
	size_t i = 0;
	for (; spec->dns_servers && spec->dns_servers[i]; i++)
		if (!ip_parse(slice_of(spec->dns_servers[i]), &ip))
			decode_problem(d, n, "nameservers", "expected IP addresses, got \"%.64s\"",
				       spec->dns_servers[i]);
	if (i > 3) /* as many as resolvers look at, resolv.conf(5) */
		decode_problem(d, n, "nameservers", "at most 3");
	for (i = 0; spec->dns_searches && spec->dns_searches[i]; i++)
		if (!is_word(slice_of(spec->dns_searches[i])))
			decode_problem(d, n, "searches", "expected domain names");
	for (i = 0; i < spec->n_dns_options; i++)
		if (!is_word(slice_of(spec->dns_options[i].key)) ||
		    (spec->dns_options[i].value[0] &&
		     !is_word(slice_of(spec->dns_options[i].value))))
			decode_problem(d, n, "options", "expected words");
}

static const struct field dns_config_fields[] = {
	FIELD_STRINGS(struct pod_spec, "nameservers", dns_servers),
	FIELD_STRINGS(struct pod_spec, "searches", dns_searches),
	FIELD_LIST(struct pod_spec, "options", dns_options, n_dns_options, &dns_option_schema),
};
static const struct schema dns_config_schema =
	SCHEMA(struct pod_spec, dns_config_fields, NULL, check_dns_config);

static void check_dns(struct decoder *d, const struct tree *n, const struct pod_spec *spec)
{
	static const char *const known[] = {"ClusterFirst", "ClusterFirstWithHostNet", "Default",
					    "None"};
	bool is_known = false;
	for (size_t i = 0; i < N_ELEMS(known); i++)
		is_known |= strcmp(spec->dns_policy, known[i]) == 0;
	if (!is_known)
		decode_problem(
			d, n, "dnsPolicy",
			"expected ClusterFirst, ClusterFirstWithHostNet, Default or None, got "
			"\"%.40s\"",
			spec->dns_policy);
	if (strcmp(spec->dns_policy, "None") == 0 && (!spec->dns_servers || !spec->dns_servers[0]))
		decode_problem(d, n, "dnsConfig", "dnsPolicy None needs nameservers there");
}

static void check_pod_spec(struct decoder *d, const struct tree *n, void *out)
{
	const struct pod_spec *spec = out;
	if (spec->n_containers == 0 && !d->lean)
		decode_problem(d, n, "containers", "a Pod needs at least one container");
	for (size_t i = 0; i < spec->n_volumes; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(spec->volumes[i].name, spec->volumes[j].name) == 0)
				decode_problem(d, list_item(n, "volumes", i), "name",
					       "\"%s\" names two volumes", spec->volumes[i].name);
	check_containers(d, n, spec, "initContainers", spec->init_containers,
			 spec->n_init_containers);
	check_containers(d, n, spec, "containers", spec->containers, spec->n_containers);
	if (!d->lean)
		check_dns(d, n, spec);
	if (spec->hostname[0])
		check_name(d, n, "hostname", NAME_LABEL, spec->hostname);
	if (spec->subdomain[0])
		check_name(d, n, "subdomain", NAME_LABEL, spec->subdomain);
	if (strcmp(spec->restart_policy, "Always") != 0 &&
	    strcmp(spec->restart_policy, "OnFailure") != 0 &&
	    strcmp(spec->restart_policy, "Never") != 0)
		decode_problem(d, n, "restartPolicy",
			       "expected Always, OnFailure or Never, got \"%.40s\"",
			       spec->restart_policy);
}

static void default_pod_spec(void *out)
{
	struct pod_spec *spec = out;
	spec->service_account = "default";
	spec->restart_policy = "Always";
	spec->dns_policy = "ClusterFirst";
	spec->termination_grace_s = 30;
}

static const struct field pod_spec_fields[] = {
	FIELD_LIST(struct pod_spec, "initContainers", init_containers, n_init_containers,
		   &container_schema, .flags = FIELD_SKIP_LEAN),
	FIELD_LIST(struct pod_spec, "containers", containers, n_containers, &container_schema,
		   .flags = FIELD_REQUIRED | FIELD_SKIP_LEAN),
	FIELD_LIST(struct pod_spec, "volumes", volumes, n_volumes, &volume_schema,
		   .flags = FIELD_SKIP_LEAN),
	FIELD_STRING(struct pod_spec, "serviceAccountName", service_account),
	FIELD_STRING(struct pod_spec, "hostname", hostname),
	FIELD_STRING(struct pod_spec, "subdomain", subdomain),
	FIELD_STRING(struct pod_spec, "restartPolicy", restart_policy),
	FIELD_BOOL(struct pod_spec, "hostNetwork", host_network),
	FIELD_UINT(struct pod_spec, "terminationGracePeriodSeconds", termination_grace_s, 0, 86400),
	FIELD_STRUCT(struct pod_spec, "securityContext", security, &security_schema,
		     .flags = FIELD_SKIP_LEAN),
	FIELD_KNOWN("serviceAccount"),
	FIELD_KNOWN("automountServiceAccountToken"),
	FIELD_KNOWN("ephemeralContainers"),
	FIELD_KNOWN("activeDeadlineSeconds"),
	FIELD_STRING(struct pod_spec, "dnsPolicy", dns_policy, .flags = FIELD_SKIP_LEAN),
	FIELD_INLINE("dnsConfig", &dns_config_schema, .flags = FIELD_SKIP_LEAN),
	FIELD_KNOWN("nodeSelector"),
	FIELD_KNOWN("nodeName"),
	FIELD_KNOWN("hostPID"),
	FIELD_KNOWN("hostIPC"),
	FIELD_KNOWN("hostUsers"),
	FIELD_KNOWN("hostnameOverride"),
	FIELD_KNOWN("shareProcessNamespace"),
	FIELD_KNOWN("imagePullSecrets"),
	FIELD_KNOWN("affinity"),
	FIELD_KNOWN("schedulerName"),
	FIELD_KNOWN("schedulingGates"),
	FIELD_KNOWN("tolerations"),
	FIELD_KNOWN("hostAliases"),
	FIELD_KNOWN("priorityClassName"),
	FIELD_KNOWN("priority"),
	FIELD_KNOWN("preemptionPolicy"),
	FIELD_KNOWN("readinessGates"),
	FIELD_KNOWN("runtimeClassName"),
	FIELD_KNOWN("enableServiceLinks"),
	FIELD_KNOWN("overhead"),
	FIELD_KNOWN("topologySpreadConstraints"),
	FIELD_KNOWN("setHostnameAsFQDN"),
	FIELD_KNOWN("os"),
	FIELD_KNOWN("resources"),
	FIELD_KNOWN("resourceClaims"),
	FIELD_KNOWN("workloadRef"),
};
static const struct schema pod_spec_schema =
	SCHEMA(struct pod_spec, pod_spec_fields, default_pod_spec, check_pod_spec);

static void add_pod_ip(struct decoder *d, const struct tree *n, struct pod *p)
{
	struct ip ip;
	bool ok = false;
	if (n->type == TREE_STRING && n->text.len == 0)
		return;
	read_ip(d, n, &ip, &ok);
	if (ok) {
		enum ip_family family = ip_is_v4(&ip) ? IP_V4 : IP_V6;
		p->ip[family] = ip;
		p->has_ip[family] = true;
	}
}

static void read_pod_ip(struct decoder *d, struct tree *n, void *out)
{
	add_pod_ip(d, n, out);
}

static void read_pod_ips(struct decoder *d, struct tree *n, void *out)
{
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list");
		return;
	}
	for (const struct tree *c = n->first; c; c = c->next) {
		const struct tree *ip = tree_get(c, "ip");
		if (ip)
			add_pod_ip(d, ip, out);
		else
			decode_expected(d, c, "an object with an ip");
	}
}

static bool text_is(const struct tree *map, const char *member, const char *text)
{
	const struct tree *n = tree_get(map, member);
	return n && n->type == TREE_STRING && slice_is(n->text, text);
}

static void read_conditions(struct decoder *d, struct tree *n, void *out)
{
	struct pod *p = out;
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list");
		return;
	}
	for (const struct tree *c = n->first; c; c = c->next) {
		if (!text_is(c, "type", "Ready"))
			continue;
		p->ready = text_is(c, "status", "True");
		const struct tree *why = tree_get(c, "message");
		if (!d->lean && !p->ready && !p->message[0] && why && why->type == TREE_STRING)
			p->message = arena_dup(d->arena, why->text);
	}
}

static void default_pod_status(void *out)
{
	struct pod *p = out;
	p->phase = "Pending";
}

static const struct field pod_status_fields[] = {
	FIELD_STRING(struct pod, "phase", phase),
	FIELD_CUSTOM("podIP", read_pod_ip),
	FIELD_CUSTOM("podIPs", read_pod_ips),
	FIELD_CUSTOM("conditions", read_conditions),
	FIELD_STRING(struct pod, "message", message, .flags = FIELD_SKIP_LEAN),
	FIELD_KNOWN("observedGeneration"),
	FIELD_KNOWN("reason"),
	FIELD_KNOWN("nominatedNodeName"),
	FIELD_KNOWN("hostIP"),
	FIELD_KNOWN("hostIPs"),
	FIELD_KNOWN("startTime"),
	FIELD_KNOWN("initContainerStatuses"),
	FIELD_KNOWN("containerStatuses"),
	FIELD_KNOWN("ephemeralContainerStatuses"),
	FIELD_KNOWN("qosClass"),
	FIELD_KNOWN("resize"),
	FIELD_KNOWN("resources"),
	FIELD_KNOWN("allocatedResources"),
	FIELD_KNOWN("resourceClaimStatuses"),
	FIELD_KNOWN("extendedResourceClaimStatus"),
};
static const struct schema pod_status_schema =
	SCHEMA(struct pod, pod_status_fields, default_pod_status, NULL);

static const struct field pod_fields[] = {
	TOP_ROWS,
	FIELD_STRUCT(struct pod, "spec", spec, &pod_spec_schema, .flags = FIELD_REQUIRED),
	FIELD_INLINE("status", &pod_status_schema),
};
const struct schema pod_schema = SCHEMA(struct pod, pod_fields, NULL, NULL);

static const struct field selector_fields[] = {
	FIELD_PAIRS(struct deployment, "matchLabels", selector, .flags = FIELD_REQUIRED),
	FIELD_UNSUPPORTED("matchExpressions"),
};
static const struct schema selector_schema = SCHEMA(struct deployment, selector_fields, NULL, NULL);

static const struct field template_fields[] = {
	FIELD_STRUCT(struct deployment, "metadata", template_meta, &meta_schema,
		     .flags = FIELD_REQUIRED),
	FIELD_STRUCT(struct deployment, "spec", template_spec, &pod_spec_schema,
		     .flags = FIELD_REQUIRED),
};
static const struct schema template_schema = SCHEMA(struct deployment, template_fields, NULL, NULL);

static void check_deployment_spec(struct decoder *d, const struct tree *n, void *out)
{
	struct deployment *dep = out;
	if (!pairs_match(&dep->selector, &dep->template_meta.labels))
		decode_problem(d, tree_get(n, "selector"), "matchLabels",
			       "does not match the labels of template.metadata");
	if (strcmp(dep->template_spec.restart_policy, "Always") != 0)
		decode_problem(d, tree_get(tree_get(n, "template"), "spec"), "restartPolicy",
			       "of a Deployment's Pods is Always");
	if (d->lean)
		return;
	struct buf json;
	buf_init(&json, SIZE_MAX / 4);
	MUST(tree_write_json(tree_get(n, "template"), &json)); /* no bound to reach */
	dep->template_json = arena_dup_slice(d->arena, buf_slice(&json));
	buf_fini(&json);
}

static void default_deployment(void *out)
{
	struct deployment *dep = out;
	dep->replicas = 1;
}

static const struct field deployment_spec_fields[] = {
	FIELD_UINT(struct deployment, "replicas", replicas, 0, 10000),
	FIELD_INLINE("selector", &selector_schema, .flags = FIELD_REQUIRED),
	FIELD_INLINE("template", &template_schema, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("strategy"),
	FIELD_KNOWN("minReadySeconds"),
	FIELD_KNOWN("revisionHistoryLimit"),
	FIELD_KNOWN("paused"),
	FIELD_KNOWN("progressDeadlineSeconds"),
};
static const struct schema deployment_spec_schema = SCHEMA(
	struct deployment, deployment_spec_fields, default_deployment, check_deployment_spec);

static const struct field deployment_status_fields[] = {
	FIELD_UINT(struct deployment, "readyReplicas", ready_replicas, 0, INT32_MAX),
	FIELD_KNOWN("observedGeneration"),
	FIELD_KNOWN("replicas"),
	FIELD_KNOWN("updatedReplicas"),
	FIELD_KNOWN("availableReplicas"),
	FIELD_KNOWN("unavailableReplicas"),
	FIELD_KNOWN("terminatingReplicas"),
	FIELD_KNOWN("conditions"),
	FIELD_KNOWN("collisionCount"),
};
static const struct schema deployment_status_schema =
	SCHEMA(struct deployment, deployment_status_fields, NULL, NULL);

static const struct field deployment_fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &deployment_spec_schema, .flags = FIELD_REQUIRED),
	FIELD_INLINE("status", &deployment_status_schema),
};
const struct schema deployment_schema = SCHEMA(struct deployment, deployment_fields, NULL, NULL);
