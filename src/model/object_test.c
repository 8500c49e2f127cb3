#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "model/object.h"

#define POD(spec) "{\"metadata\":{\"name\":\"a\"},\"spec\":{" spec "}}"
#define ONE(container) POD("\"containers\":[{\"name\":\"c\"" container "}]")
#define SVC(spec) "{\"metadata\":{\"name\":\"a\"},\"spec\":{" spec "}}"
#define PORT "\"ports\":[{\"port\":80}]"
#define META(more) "{\"metadata\":{\"name\":\"a\"" more "}}"
#define DEPLOY(spec) "{\"metadata\":{\"name\":\"a\"},\"spec\":{" spec "}}"
#define TEMPLATE(labels, spec)                                                                     \
	"\"template\":{\"metadata\":{\"labels\":{" labels                                          \
	"}},\"spec\":{\"containers\":[{\"name\":\"c\"}]" spec "}}"

/* clang-format off */
static const struct {
	const char *rule;
	enum kind kind;
	const char *json;
	const char *error; /* how the message begins; NULL: it is right */
} cases[] = {
	{"no JSON",                    KIND_POD, "{",                       "JSON line 1"},
	{"a member twice",             KIND_POD, "{\"a\":1,\"a\":2}",       "JSON line 1"},
	{"no object",                  KIND_POD, "[]",                      "expected an object, got a list"},
	{"no metadata",                KIND_NAMESPACE, "{}",                "metadata: is required"},
	{"no name",                    KIND_NAMESPACE, "{\"metadata\":{}}", "metadata.name: is required"},
	{"another kind",               KIND_NAMESPACE, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}", "kind: expected Namespace, got string \"Pod\""},
	{"another version",            KIND_NAMESPACE, "{\"apiVersion\":\"v2\",\"metadata\":{\"name\":\"a\"}}", "apiVersion: expected v1"},
	{"a namespace in no namespace", KIND_NAMESPACE, META(",\"namespace\":\"b\""), "metadata.namespace: has no place"},
	{"a namespace",                KIND_NAMESPACE, META(""),            NULL},
	{"an upper-case name",         KIND_NAMESPACE, "{\"metadata\":{\"name\":\"A\"}}", "metadata.name: \"A\" is no valid name"},
	{"a Service begins with a letter", KIND_SERVICE, "{\"metadata\":{\"name\":\"1a\"},\"spec\":{" PORT "}}", "metadata.name: \"1a\" is no valid name"},
	{"a Pod may begin with a digit", KIND_POD, "{\"metadata\":{\"name\":\"1a.b\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]}}", NULL},
	{"a label's value",            KIND_NAMESPACE, META(",\"labels\":{\"a\":\"b c\"}"), "metadata.labels.a: \"b c\" is no valid name"},
	{"a label's key",              KIND_NAMESPACE, META(",\"labels\":{\"a b\":\"\"}"), "metadata.labels[a b]: \"a b\" is no valid name"},
	{"a label is a string",        KIND_NAMESPACE, META(",\"labels\":{\"a\":true}"), "metadata.labels.a: expected a string, got boolean true"},
	{"an unknown field",           KIND_NAMESPACE, META(",\"lables\":{}"), "metadata.lables: unknown field, did you mean \"labels\"?"},
	{"a field in the wrong case",  KIND_POD, ONE(",\"workingdir\":\"/\""), "spec.containers[0].workingdir: unknown field, did you mean \"workingDir\"?"},
	{"nothing near",               KIND_NAMESPACE, META(",\"zzzzzzzzz\":{}"), "metadata.zzzzzzzzz: unknown field"},
	{"known and unused",           KIND_POD, ONE(",\"resources\":{\"x\":1},\"livenessProbe\":{},\"imagePullPolicy\":\"Always\""), NULL},
	{"null is absent",             KIND_POD, ONE(",\"env\":null,\"command\":null"), NULL},
	{"detection",                  KIND_NAMESPACE, META(",\"annotations\":{\"hark.mesh/detection\":\"maybe\"}"), "metadata.annotations[hark.mesh/detection]: expected both-ends"},
	{"detection, port",            KIND_NAMESPACE, META(",\"annotations\":{\"hark.mesh/detection\":\"0=client-first\"}"), "metadata.annotations[hark.mesh/detection]: \"0\" is no port"},
	{"detection, right",           KIND_NAMESPACE, META(",\"annotations\":{\"hark.mesh/detection\":\"3307=client-first,25=both-ends\"}"), NULL},
	{"timeout",                    KIND_NAMESPACE, META(",\"annotations\":{\"hark.mesh/protocol-detection-timeout\":\"5\"}"), "metadata.annotations[hark.mesh/protocol-detection-timeout]: expected a duration"},
	{"a time",                     KIND_NAMESPACE, META(",\"creationTimestamp\":\"2026\""), "metadata.creationTimestamp: expected a time"},

	{"data are strings",           KIND_CONFIG_MAP, "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":1}}", "data.k: expected a string, got integer 1"},
	{"data have names",            KIND_CONFIG_MAP, "{\"metadata\":{\"name\":\"a\"},\"data\":{\"a/b\":\"\"}}", "data[a/b]: \"a/b\" is no valid name"},

	{"no spec",                    KIND_SERVICE, META(""),              "spec: is required"},
	{"no ports",                   KIND_SERVICE, SVC(""),               "spec.ports: is required"},
	{"headless without ports",     KIND_SERVICE, SVC("\"clusterIP\":\"None\""), NULL},
	{"a port too big",             KIND_SERVICE, SVC("\"ports\":[{\"port\":70000}]"), "spec.ports[0].port: expected an integer 1..65535, got integer 70000"},
	{"a port as text",             KIND_SERVICE, SVC("\"ports\":[{\"port\":\"x\"}]"), "spec.ports[0].port: expected an integer 1..65535, got string \"x\""},
	{"no port",                    KIND_SERVICE, SVC("\"ports\":[{}]"), "spec.ports[0].port: is required"},
	{"targetPort by name",         KIND_SERVICE, SVC("\"ports\":[{\"port\":80,\"targetPort\":\"http\"}]"), NULL},
	{"targetPort by no name",      KIND_SERVICE, SVC("\"ports\":[{\"port\":80,\"targetPort\":\"HTTP\"}]"), "spec.ports[0].targetPort: expected a port"},
	{"names for several ports",    KIND_SERVICE, SVC("\"ports\":[{\"port\":80},{\"port\":81,\"name\":\"b\"}]"), "spec.ports[0].name: is required"},
	{"a port's name twice",        KIND_SERVICE, SVC("\"ports\":[{\"port\":80,\"name\":\"b\"},{\"port\":81,\"name\":\"b\"}]"), "spec.ports[1].name: \"b\" is also the name of ports[0]"},
	{"a port twice",               KIND_SERVICE, SVC("\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":80,\"name\":\"b\"}]"), "spec.ports[1].port: 80/TCP is also ports[0]"},
	{"the same port, TCP and UDP", KIND_SERVICE, SVC("\"ports\":[{\"port\":53,\"name\":\"a\"},{\"port\":53,\"name\":\"b\",\"protocol\":\"UDP\"}]"), NULL},
	{"a protocol",                 KIND_SERVICE, SVC("\"ports\":[{\"port\":53,\"protocol\":\"tcp\"}]"), "spec.ports[0].protocol: expected one of TCP, UDP, SCTP, got string \"tcp\""},
	{"a type",                     KIND_SERVICE, SVC(PORT ",\"type\":\"x\""), "spec.type: expected one of ClusterIP"},
	{"an address",                 KIND_SERVICE, SVC(PORT ",\"clusterIP\":\"1.2.3\""), "spec.clusterIP: expected an IP address"},
	{"two addresses of a family",  KIND_SERVICE, SVC(PORT ",\"clusterIPs\":[\"1.2.3.4\",\"1.2.3.5\"]"), "spec.clusterIPs[1]: is a second address"},
	{"a family",                   KIND_SERVICE, SVC(PORT ",\"ipFamilies\":[\"IPv5\"]"), "spec.ipFamilies[0]: expected IPv4 or IPv6"},
	{"two families, one stack",    KIND_SERVICE, SVC(PORT ",\"ipFamilies\":[\"IPv4\",\"IPv6\"],\"ipFamilyPolicy\":\"SingleStack\""), "spec.ipFamilies: lists two"},
	{"an address of another family", KIND_SERVICE, SVC(PORT ",\"ipFamilies\":[\"IPv4\"],\"clusterIP\":\"fd00::1\""), "spec.clusterIP: is of a family"},
	{"ExternalName without name",  KIND_SERVICE, SVC("\"type\":\"ExternalName\""), "spec.externalName: must be a DNS name"},
	{"ExternalName",               KIND_SERVICE, SVC("\"type\":\"ExternalName\",\"externalName\":\"db.example.com.\""), NULL},

	{"a slice",                    KIND_ENDPOINT_SLICE, "{\"metadata\":{\"name\":\"a\"},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"1.2.3.4\"],\"conditions\":{\"ready\":null}}],\"ports\":[{\"port\":null}]}", NULL},
	{"an endpoint of another family", KIND_ENDPOINT_SLICE, "{\"metadata\":{\"name\":\"a\"},\"addressType\":\"IPv6\",\"endpoints\":[{\"addresses\":[\"1.2.3.4\"]}]}", "endpoints[0].addresses: is not of the slice's"},
	{"an endpoint without address", KIND_ENDPOINT_SLICE, "{\"metadata\":{\"name\":\"a\"},\"addressType\":\"IPv4\",\"endpoints\":[{}]}", "endpoints[0].addresses: is required"},

	{"no containers",              KIND_POD, POD("\"containers\":[]"),  "spec.containers: a Pod needs at least one"},
	{"a container without name",   KIND_POD, POD("\"containers\":[{}]"), "spec.containers[0].name: is required"},
	{"a container twice",          KIND_POD, POD("\"containers\":[{\"name\":\"c\"},{\"name\":\"c\"}]"), "spec.containers[1].name: \"c\" names two containers"},
	{"also as init container",     KIND_POD, POD("\"initContainers\":[{\"name\":\"c\"}],\"containers\":[{\"name\":\"c\"}]"), "spec.containers[0].name: \"c\" names two containers"},
	{"command is a list",          KIND_POD, ONE(",\"command\":\"sleep\""), "spec.containers[0].command: expected a list of strings, got string \"sleep\""},
	{"command is of strings",      KIND_POD, ONE(",\"command\":[\"sleep\",5]"), "spec.containers[0].command[1]: expected a string, got integer 5"},
	{"a variable's value",         KIND_POD, ONE(",\"env\":[{\"name\":\"A\",\"value\":5}]"), "spec.containers[0].env[0].value: expected a string"},
	{"a variable's name",          KIND_POD, ONE(",\"env\":[{\"name\":\"A=\"}]"), "spec.containers[0].env[0].name: \"A=\" is no valid name"},
	{"a secret",                   KIND_POD, ONE(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{}}}]"), "spec.containers[0].env[0].valueFrom.secretKeyRef: is not supported"},
	{"a field of the Pod",         KIND_POD, ONE(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}}]"), NULL},
	{"no field of the Pod",        KIND_POD, ONE(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podip\"}}}]"), "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: \"status.podip\" is no field"},
	{"a mount of no volume",       KIND_POD, ONE(",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]"), "spec.containers[0].volumeMounts[0].name: \"v\" is not one of the volumes"},
	{"two mounts at a path",       KIND_POD, POD("\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}],\"containers\":[{\"name\":\"c\",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"},{\"name\":\"v\",\"mountPath\":\"/v\"}]}]"), "spec.containers[0].volumeMounts[1].mountPath: \"/v\" is also"},
	{"a volume twice",             KIND_POD, POD("\"volumes\":[{\"name\":\"v\"},{\"name\":\"v\"}],\"containers\":[{\"name\":\"c\"}]"), "spec.volumes[1].name: \"v\" names two"},
	{"a volume of two sources",    KIND_POD, POD("\"volumes\":[{\"name\":\"v\",\"emptyDir\":{},\"hostPath\":{\"path\":\"/\"}}],\"containers\":[{\"name\":\"c\"}]"), "spec.volumes[0]: a volume has one source"},
	{"a volume of another kind",   KIND_POD, POD("\"volumes\":[{\"name\":\"v\",\"secret\":{}}],\"containers\":[{\"name\":\"c\"}]"), "spec.volumes[0].secret: is not supported"},
	{"a container port's name",    KIND_POD, ONE(",\"ports\":[{\"containerPort\":80,\"name\":\"80\"}]"), "spec.containers[0].ports[0].name: \"80\" is no valid name"},
	{"a container port's name twice", KIND_POD, ONE(",\"ports\":[{\"containerPort\":80,\"name\":\"a\"},{\"containerPort\":81,\"name\":\"a\"}]"), "spec.containers[0].ports[1].name: \"a\" is also"},
	{"a probe of no kind",         KIND_POD, ONE(",\"readinessProbe\":{}"), "spec.containers[0].readinessProbe: expected exactly one"},
	{"a probe of two kinds",       KIND_POD, ONE(",\"readinessProbe\":{\"exec\":{\"command\":[\"a\"]},\"tcpSocket\":{\"port\":1}}"), "spec.containers[0].readinessProbe: expected exactly one"},
	{"a probe",                    KIND_POD, ONE(",\"readinessProbe\":{\"tcpSocket\":{\"port\":81},\"periodSeconds\":1}"), NULL},
	{"a probe of a port by no name", KIND_POD, ONE(",\"readinessProbe\":{\"tcpSocket\":{\"port\":\"db\"}}"), "spec.containers[0].readinessProbe: the container has no port named \"db\""},
	{"a user",                     KIND_POD, ONE(",\"securityContext\":{\"runAsUser\":-1}"), "spec.containers[0].securityContext.runAsUser: expected an integer"},
	{"a restart policy",           KIND_POD, POD("\"restartPolicy\":\"x\",\"containers\":[{\"name\":\"c\"}]"), "spec.restartPolicy: expected Always"},
	{"a boolean",                  KIND_POD, POD("\"hostNetwork\":\"yes\",\"containers\":[{\"name\":\"c\"}]"), "spec.hostNetwork: expected true or false, got string \"yes\""},
	{"a Pod's address",            KIND_POD, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]},\"status\":{\"podIP\":\"x\"}}", "status.podIP: expected an IP address"},

	{"a Deployment",               KIND_DEPLOYMENT, DEPLOY("\"selector\":{\"matchLabels\":{\"a\":\"b\"}}," TEMPLATE("\"a\":\"b\"", "")), NULL},
	{"a selector that misses",     KIND_DEPLOYMENT, DEPLOY("\"selector\":{\"matchLabels\":{\"a\":\"c\"}}," TEMPLATE("\"a\":\"b\"", "")), "spec.selector.matchLabels: does not match"},
	{"no selector",                KIND_DEPLOYMENT, DEPLOY(TEMPLATE("\"a\":\"b\"", "")), "spec.selector: is required"},
	{"a template that ends",       KIND_DEPLOYMENT, DEPLOY("\"selector\":{\"matchLabels\":{\"a\":\"b\"}}," TEMPLATE("\"a\":\"b\"", ",\"restartPolicy\":\"Never\"")), "spec.template.spec.restartPolicy: of a Deployment's"},
	{"a template's container",     KIND_DEPLOYMENT, DEPLOY("\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"comand\":[]}]}}"), "spec.template.spec.containers[0].comand: unknown field, did you mean \"command\"?"},

	{"a PeerAuthentication",       KIND_PEER_AUTHENTICATION, SVC("\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"mtls\":{\"mode\":\"STRICT\"},\"portLevelMtls\":{\"80\":{\"mode\":\"DISABLE\"}}"), NULL},
	{"one without a spec",         KIND_PEER_AUTHENTICATION, META(""),  NULL},
	{"one that says null",         KIND_PEER_AUTHENTICATION, SVC("\"mtls\":null"), NULL},
	{"v1beta1 is served",          KIND_PEER_AUTHENTICATION, "{\"apiVersion\":\"security.istio.io/v1beta1\",\"metadata\":{\"name\":\"a\"}}", NULL},
	{"v1alpha1 is not",            KIND_PEER_AUTHENTICATION, "{\"apiVersion\":\"security.istio.io/v1alpha1\",\"metadata\":{\"name\":\"a\"}}", "apiVersion: expected security.istio.io/v1, got"},
	{"a mode",                     KIND_PEER_AUTHENTICATION, SVC("\"mtls\":{\"mode\":\"strict\"}"), "spec.mtls.mode: expected one of PERMISSIVE, STRICT, DISABLE, UNSET"},
	{"ports without a selector",   KIND_PEER_AUTHENTICATION, SVC("\"portLevelMtls\":{\"80\":{\"mode\":\"DISABLE\"}}"), "spec.portLevelMtls: needs a selector"},
	{"no ports",                   KIND_PEER_AUTHENTICATION, SVC("\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"portLevelMtls\":{}"), "spec.portLevelMtls: names no port"},
	{"port 0",                     KIND_PEER_AUTHENTICATION, SVC("\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"portLevelMtls\":{\"0\":{}}"), "spec.portLevelMtls.0: expected a port"},
	{"a port's name",              KIND_PEER_AUTHENTICATION, SVC("\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"portLevelMtls\":{\"sql\":{}}"), "spec.portLevelMtls.sql: expected a port"},
	{"a wildcard in a selector",   KIND_PEER_AUTHENTICATION, SVC("\"selector\":{\"matchLabels\":{\"a\":\"b*\"}}"), "spec.selector.matchLabels.a: a selector has no wildcards"},
	{"a label's value too long",   KIND_PEER_AUTHENTICATION, SVC("\"selector\":{\"matchLabels\":{\"a\":\"0123456789012345678901234567890123456789012345678901234567890123\"}}"), "spec.selector.matchLabels.a: is longer than 63"},

	{"a DestinationRule",          KIND_DESTINATION_RULE, SVC("\"host\":\"db\",\"trafficPolicy\":{\"tls\":{\"mode\":\"DISABLE\"},\"loadBalancer\":{\"simple\":\"RANDOM\"},\"connectionPool\":{\"tcp\":{\"tcpKeepalive\":{\"time\":\"5s\"}}},\"outlierDetection\":{\"interval\":\"1s\"}}"), NULL},
	{"v1alpha3 is served",         KIND_DESTINATION_RULE, "{\"apiVersion\":\"networking.istio.io/v1alpha3\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"host\":\"*.local\"}}", NULL},
	{"no host",                    KIND_DESTINATION_RULE, SVC(""),      "spec.host: is required"},
	{"no host name",               KIND_DESTINATION_RULE, SVC("\"host\":\"a b\""), "spec.host: expected a Service's name"},
	{"a star in the middle",       KIND_DESTINATION_RULE, SVC("\"host\":\"a.*.b\""), "spec.host: expected a Service's name"},
	{"every host",                 KIND_DESTINATION_RULE, SVC("\"host\":\"*\""), NULL},
	{"a word without effect, wrong", KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"trafficPolicy\":{\"connectionPool\":{\"tcp\":{\"maxConections\":1}}}"), "spec.trafficPolicy.connectionPool.tcp.maxConections: unknown field, did you mean \"maxConnections\"?"},
	{"MUTUAL without certificate", KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"trafficPolicy\":{\"tls\":{\"mode\":\"MUTUAL\",\"privateKey\":\"/k\"}}"), "spec.trafficPolicy.tls.clientCertificate: is required for MUTUAL"},
	{"ISTIO_MUTUAL with one",      KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"trafficPolicy\":{\"tls\":{\"mode\":\"ISTIO_MUTUAL\",\"caCertificates\":\"/k\"}}"), "spec.trafficPolicy.tls.mode: ISTIO_MUTUAL takes"},
	{"a port of no number",        KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"trafficPolicy\":{\"portLevelSettings\":[{\"port\":{}}]}"), "spec.trafficPolicy.portLevelSettings[0].port.number: is required"},
	{"a port's settings twice",    KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"trafficPolicy\":{\"portLevelSettings\":[{\"port\":{\"number\":1}},{\"port\":{\"number\":1}}]}"), "spec.trafficPolicy.portLevelSettings[1].port: 1 is also portLevelSettings[0]"},
	{"a subset without a name",    KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"subsets\":[{}]"), "spec.subsets[0].name: is required"},
	{"a subset twice",             KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"subsets\":[{\"name\":\"v\"},{\"name\":\"v\"}]"), "spec.subsets[1].name: \"v\" is also subsets[0]"},
	{"exportTo",                   KIND_DESTINATION_RULE, SVC("\"host\":\"a\",\"exportTo\":[\".\",\"a b\"]"), "spec.exportTo[1]: expected"},

	{"an AuthorizationPolicy",     KIND_AUTHORIZATION_POLICY, SVC("\"action\":\"DENY\",\"rules\":[{\"from\":[{\"source\":{\"principals\":[\"*\"]}}],\"to\":[{\"operation\":{\"ports\":[\"80\"],\"paths\":[\"/a/{*}/{**}\"]}}],\"when\":[{\"key\":\"request.headers[X-A]\",\"values\":[\"a\"]}]}]"), NULL},
	{"one that denies everything", KIND_AUTHORIZATION_POLICY, SVC(""),  NULL},
	{"a rule that always matches", KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{}]"), NULL},
	{"an action",                  KIND_AUTHORIZATION_POLICY, SVC("\"action\":\"Deny\""), "spec.action: expected one of ALLOW, DENY, AUDIT, CUSTOM"},
	{"CUSTOM without a provider",  KIND_AUTHORIZATION_POLICY, SVC("\"action\":\"CUSTOM\""), "spec.provider: is required for CUSTOM"},
	{"a provider without CUSTOM",  KIND_AUTHORIZATION_POLICY, SVC("\"provider\":{\"name\":\"a\"}"), "spec.provider: has a meaning for CUSTOM only"},
	{"selector and targetRefs",    KIND_AUTHORIZATION_POLICY, SVC("\"targetRefs\":[{\"kind\":\"Gateway\"}],\"selector\":{\"matchLabels\":{\"a\":\"b\"}}"), "spec.selector: cannot stand beside targetRefs"},
	{"an empty from",              KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[]}]"), "spec.rules[0].from: is an empty list"},
	{"from without a source",      KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[{}]}]"), "spec.rules[0].from[0].source: is required"},
	{"an empty source",            KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[{\"source\":{}}]}]"), "spec.rules[0].from[0].source: names no field"},
	{"an unknown field of a source", KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[{\"source\":{\"principal\":[\"a\"]}}]}]"), "spec.rules[0].from[0].source.principal: unknown field, did you mean \"principals\"?"},
	{"an empty principal",         KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[{\"source\":{\"principals\":[\"a\",\"\"]}}]}]"), "spec.rules[0].from[0].source.principals[1]: is empty"},
	{"an address",                 KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[{\"source\":{\"ipBlocks\":[\"10.0.0.0/33\"]}}]}]"), "spec.rules[0].from[0].source.ipBlocks[0]: expected an IP address or a CIDR"},
	{"a service account's star",   KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[{\"source\":{\"serviceAccounts\":[\"a/*\"]}}]}]"), "spec.rules[0].from[0].source.serviceAccounts[0]: a service account has no wildcards"},
	{"accounts beside principals", KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"from\":[{\"source\":{\"serviceAccounts\":[\"a\"],\"principals\":[\"b\"]}}]}]"), "spec.rules[0].from[0].source.serviceAccounts: cannot stand beside"},
	{"a port is a string",         KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"to\":[{\"operation\":{\"ports\":[80]}}]}]"), "spec.rules[0].to[0].operation.ports[0]: expected a string, got integer 80"},
	{"a port is a number",         KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"to\":[{\"operation\":{\"ports\":[\"sql\"]}}]}]"), "spec.rules[0].to[0].operation.ports[0]: expected a port"},
	{"a path's template",          KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"to\":[{\"operation\":{\"paths\":[\"/{**}/a\"]}}]}]"), "spec.rules[0].to[0].operation.paths[0]: expected a path"},
	{"a key that nobody knows",    KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"when\":[{\"key\":\"source.ips\",\"values\":[\"a\"]}]}]"), "spec.rules[0].when[0].key: \"source.ips\" is no key that is known, did you mean \"source.ip\"?"},
	{"a key without values",       KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"when\":[{\"key\":\"source.ip\"}]}]"), "spec.rules[0].when[0].values: either values"},
	{"a key's value",              KIND_AUTHORIZATION_POLICY, SVC("\"rules\":[{\"when\":[{\"key\":\"destination.port\",\"notValues\":[\"x\"]}]}]"), "spec.rules[0].when[0].notValues[0]: expected a port"},
};
/* clang-format on */

static void rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct err err = {0};
		struct object *o =
			object_from_json(cases[i].kind, slice_of(cases[i].json), true, &err);
		if (cases[i].error
			    ? o || !slice_starts(slice_of(err.text), slice_of(cases[i].error))
			    : !o)
			fail_msg("%s: %s", cases[i].rule, o ? "taken" : err.text);
		object_put(o);
	}
}

static const char pod_json[] =
	"{\"metadata\":{\"name\":\"db-0\",\"namespace\":\"shop\",\"resourceVersion\":\"77\","
	"\"creationTimestamp\":\"2026-01-02T03:04:05.5Z\",\"labels\":{\"b\":\"2\",\"a\":\"1\"},"
	"\"annotations\":{\"note\":\"long\",\"sidecar.istio.io/status\":\"{}\"},"
	"\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"db-5\",\"controller\":true}]},"
	"\"spec\":{\"futureField\":1,\"securityContext\":{\"runAsUser\":10,\"runAsGroup\":20},"
	"\"volumes\":[{\"name\":\"cm\",\"configMap\":{\"name\":\"conf\",\"items\":[{\"key\":\"k\","
	"\"path\":"
	"\"p\"}]}}],\"containers\":[{\"name\":\"db\",\"command\":[\"mariadbd\",\"-v\"],"
	"\"ports\":[{\"containerPort\":3307,\"name\":\"sql\"}],\"env\":[{\"name\":\"A\",\"value\":"
	"\"x\"}],"
	"\"volumeMounts\":[{\"name\":\"cm\",\"mountPath\":\"/etc/db\",\"readOnly\":true}],"
	"\"securityContext\":{\"runAsUser\":11},"
	"\"readinessProbe\":{\"httpGet\":{\"port\":\"sql\"},\"periodSeconds\":2}}]},"
	"\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}"
	","
	"{\"ip\":\"fd00::1\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}";

static void a_pod(void **state)
{
	(void)state;
	struct err err = {0};
	struct object *o = object_from_json(KIND_POD, slice_of(pod_json), false, &err);
	assert_non_null(o);
	char text[80];
	assert_string_equal(object_text(o, text, sizeof(text)), "Pod shop/db-0");
	assert_int_equal(o->meta.resource_version, 77);
	assert_int_equal(o->meta.creation_ns % 1000000000, 500000000);
	assert_int_equal(o->meta.creation_ns / 1000000000, 1767323045);
	assert_string_equal(o->meta.owner_name, "db-5");
	assert_string_equal(pairs_get(&o->meta.labels, "a"), "1");
	assert_null(pairs_get(&o->meta.labels, "c"));
	const struct pod *p = o->pod;
	assert_true(p->ready && p->has_ip[IP_V4] && p->has_ip[IP_V6]);
	assert_string_equal(p->phase, "Running");
	const struct container *c = &p->spec.containers[0];
	assert_string_equal(c->command[1], "-v");
	assert_null(c->command[2]);
	assert_null(c->args[0]);
	assert_int_equal(c->security.run_as_user, 11);
	assert_int_equal(c->security.run_as_group, 20);
	assert_int_equal(c->readiness.kind, PROBE_HTTP);
	assert_string_equal(c->readiness.port.name, "sql");
	assert_string_equal(c->readiness.http_path, "/");
	assert_int_equal(c->readiness.period_s, 2);
	assert_int_equal(c->readiness.failure_threshold, 3);
	assert_int_equal(p->spec.volumes[0].kind, VOLUME_CONFIG_MAP);
	assert_int_equal(p->spec.volumes[0].default_mode, 0644);
	assert_string_equal(p->spec.volumes[0].items[0].value, "p");
	object_put(o);

	/* A sidecar keeps less of it. */
	o = object_decode(KIND_POD, slice_of(pod_json), &(struct object_options){.lean = true},
			  &err);
	assert_non_null(o);
	assert_int_equal(o->json.len, 0);
	assert_int_equal(o->meta.annotations.n, 1);
	assert_int_equal(o->pod->spec.n_containers, 0);
	assert_true(o->pod->ready);
	object_put(o);
}

static void canonical(void **state)
{
	(void)state;
	struct err err = {0};
	static const char json[] =
		" {\"spec\":{\"ports\":[{\"targetPort\":1,\"port\":80}],\"selector\":null},"
		"\"metadata\":{\"name\":\"a\"}} ";
	struct object *o = object_from_json(KIND_SERVICE, slice_of(json), true, &err);
	assert_non_null(o);
	assert_string_equal(o->json.at,
			    "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":"
			    "\"a\",\"namespace\":\"default\"},\"spec\":{\"ports\":[{\"port\":80,"
			    "\"targetPort\":1}]}}");
	assert_true(o->service->want_family[IP_V4] && o->service->want_family[IP_V6]);
	struct object *with = object_with(
		o, "spec", SLICE("{\"clusterIP\":\"None\",\"x\":[1,-2,0.5,1e300]}"), &err);
	assert_non_null(with);
	assert_true(with->service->headless);
	struct object *again = object_from_json(KIND_SERVICE, with->json, false, &err);
	assert_non_null(again);
	assert_true(slice_eq(again->json, with->json));
	object_put(again);
	object_put(with);
	assert_null(object_with(o, "spec", SLICE("{}"), &err));
	assert_string_equal(err.text, "spec.ports: is required: a Service needs at least one port");

	struct buf yaml;
	buf_init(&yaml, 4096);
	assert_true(object_yaml(o, &yaml));
	assert_string_equal(buf_cstr(&yaml), "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n"
					     "  namespace: default\nspec:\n  ports:\n  - port: 80\n"
					     "    targetPort: 1\n");
	buf_fini(&yaml);
	object_put(object_get(o));
	object_put(o);
}

static void kinds(void **state)
{
	(void)state;
	assert_int_equal(kind_by_name(SLICE("PO"))->kind, KIND_POD);
	assert_int_equal(kind_by_name(SLICE("Service"))->kind, KIND_SERVICE);
	assert_int_equal(kind_by_name(SLICE("deployments"))->kind, KIND_DEPLOYMENT);
	assert_null(kind_by_name(SLICE("")));
	assert_null(kind_by_name(SLICE("secrets")));
	assert_int_equal(kind_by_gvk(SLICE("apps/v1"), SLICE("Deployment"))->kind, KIND_DEPLOYMENT);
	assert_null(kind_by_gvk(SLICE("v1"), SLICE("Deployment")));
	const struct pair one[] = {{"a", "1"}}, two[] = {{"a", "1"}, {"b", "2"}};
	const struct pairs p1 = {one, 1}, p2 = {two, 2}, none = {NULL, 0};
	assert_true(pairs_match(&p1, &p2));
	assert_false(pairs_match(&p2, &p1));
	assert_false(pairs_match(&none, &p1));
}

static uint64_t creation_ns(const char *text)
{
	char json[256];
	struct err err = {0};
	(void)snprintf(json, sizeof(json),
		       "{\"metadata\":{\"name\":\"a\",\"creationTimestamp\":\"%s\"}}", text);
	struct object *o = object_from_json(KIND_NAMESPACE, slice_of(json), false, &err);
	if (!o)
		return UINT64_MAX;
	uint64_t ns = o->meta.creation_ns;
	object_put(o);
	return ns;
}

/* The days around each kind of turn of a year, as the library counts them. */
static void times(void **state)
{
	static const int years[] = {1970, 1972, 1999, 2000, 2026, 2096, 2100, 2104, 2200};
	(void)state;
	for (size_t i = 0; i < N_ELEMS(years); i++)
		for (int day = 1; day <= 366; day++) {
			struct tm tm = {.tm_year = years[i] - 1900,
					.tm_mday = day,
					.tm_hour = 23,
					.tm_min = 59,
					.tm_sec = day % 60};
			char text[64];
			time_t want = timegm(&tm);
			assert_true(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
			if (creation_ns(text) != (uint64_t)want * 1000000000)
				fail_msg("%s: %llu", text, (unsigned long long)creation_ns(text));
		}
	assert_int_equal(creation_ns("2026-01-02T03:04:05.274Z"), 1767323045274000000);
	assert_int_equal(creation_ns("2026-01-02T03:04:05.000000001Z"), 1767323045000000001);
	assert_int_equal(creation_ns("2026-01-02T04:04:05+01:00"), 1767323045000000000);
	static const char *const none[] = {
		"",
		"2026",
		"2026-01-02",
		"2026-13-02T03:04:05Z",
		"2026-00-02T03:04:05Z",
		"2026-01-00T03:04:05Z",
		"2026-01-32T03:04:05Z",
		"2026-01-02T24:04:05Z",
		"2026-01-02T03:60:05Z",
		"2026-01-02T03:04:05",
		"2026-01-02T03:04:05Zx",
		"2026-01-02 03:04:05Z",
		"2026-01-02T03:04:05.5",
	};
	for (size_t i = 0; i < N_ELEMS(none); i++)
		if (creation_ns(none[i]) != UINT64_MAX)
			fail_msg("%s", none[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules), cmocka_unit_test(a_pod), cmocka_unit_test(canonical),
		cmocka_unit_test(times), cmocka_unit_test(kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
