/*
 * What is looked for. One row makes the enum, the code, the line of `hark analyze --list` and what a
 * finding is called; docs/analyze.md has a row for each.
 *
 *   CHECK_HOST                       // in the code
 *   check_info(CHECK_HOST)->code     // "HRK0060"
 *
 * A code never changes its meaning, and is not used again when its check goes. Beside it stands
 * Istio's code where the meaning is the same: both work in suppressions. `stalls`: connections hang in
 * a mesh that waits for the client, so a warning counts as an error where nothing else is asked for.
 *
 * Error: traffic or security is not what the resources say, now. Warning: it is not under a common
 * condition, or something written has no effect. Info: good to know.
 */
#pragma once
#include <stdbool.h>

enum check_level { LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR };

/* clang-format off */
/*    id               code       Istio's    level    stalls name, and one line for people */
#define CHECKS(X) \
	X(UNREADABLE,       "HRK0001", "IST0106", ERROR,   false, "UnreadableResource", "a resource does not decode") \
	X(STRANGER,         "HRK0002", "",        WARNING, false, "UnknownKind", "a kind that hark does not know: not looked at") \
	/* ports */ \
	X(UNDECLARED,       "HRK0010", "IST0118", INFO,    false, "PortUndeclared", "a Service's port declares no protocol") \
	X(SERVER_FIRST,     "HRK0011", "",        WARNING, true,  "ServerFirstUndeclared", "a port declares no protocol, and its server speaks first") \
	X(APP_PROTOCOL,     "HRK0012", "",        WARNING, false, "AppProtocolUnknown", "appProtocol is no word that is known, and so the port's name is not looked at") \
	X(WELL_KNOWN,       "HRK0013", "",        WARNING, false, "WellKnownPortOther", "a port is TCP by its number, and its server speaks HTTP") \
	X(HTTP_GREETS,      "HRK0014", "",        ERROR,   true,  "HttpPortServerFirst", "a port is declared HTTP, and its server speaks first") \
	X(TLS_GREETS,       "HRK0015", "",        WARNING, true,  "TlsPortServerFirst", "a port is declared TLS, and its server speaks first, in the clear") \
	X(TCP_HTTP,         "HRK0016", "",        WARNING, false, "TcpPortHttp", "a port is declared TCP, and its server speaks HTTP") \
	X(TARGET_CLASH,     "HRK0017", "",        ERROR,   false, "TargetPortConflict", "two Services declare different protocols for one port of a Pod") \
	X(TARGET_HALF,      "HRK0018", "",        WARNING, false, "TargetPortHalfDeclared", "of two Services with one port of a Pod only one declares its protocol") \
	X(TARGET_SHARED,    "HRK0019", "IST0137", WARNING, false, "TargetPortShared", "two Services lead to one port of a Pod from different ports") \
	X(TARGET_MISSING,   "HRK0020", "",        ERROR,   false, "TargetPortMissing", "no container has the port that targetPort names") \
	X(PERMISSIVE_WAITS, "HRK0021", "",        INFO,    false, "PermissiveServerFirst", "a TCP port is PERMISSIVE: elsewhere plaintext clients of a server that speaks first wait for ever") \
	X(CLIENT_FIRST,     "HRK0022", "",        ERROR,   true,  "ClientFirstStalls", "a server that speaks first, on a port where only the client is listened to") \
	X(DETECTION_TIMEOUT,"HRK0023", "",        WARNING, false, "DetectionTimeout", "protocolDetectionTimeout is set") \
	X(EXCLUDED_POLICY,  "HRK0024", "",        WARNING, false, "ExcludedPortPolicy", "a port is kept from its sidecar, and policies are meant for it") \
	X(EXCLUDED_TLS,     "HRK0025", "",        INFO,    false, "ExcludedPortElsewhere", "a port is kept from its sidecar: elsewhere clients send it mesh TLS all the same") \
	X(POSTGRES_WORD,    "HRK0026", "",        INFO,    false, "AppProtocolPostgresql", "appProtocol says PostgreSQL: elsewhere that is no protocol") \
	/* policies of both kinds */ \
	X(NO_WORKLOADS,     "HRK0030", "IST0127", WARNING, false, "NoMatchingWorkloads", "a selector selects nothing") \
	X(NOT_ENFORCED,     "HRK0031", "",        WARNING, false, "PolicyNotEnforced", "a policy selects Pods without a sidecar: nobody enforces it there") \
	/* PeerAuthentication */ \
	X(MODE_PORT,        "HRK0040", "",        ERROR,   false, "PortLevelMtlsServicePort", "portLevelMtls names a Service's port, not the container's") \
	X(MODE_NO_SELECTOR, "HRK0041", "",        ERROR,   false, "PortLevelMtlsNoSelector", "portLevelMtls without a selector has no effect") \
	X(ROOT_SELECTOR,    "HRK0042", "",        WARNING, false, "SelectorInRootNamespace", "a PeerAuthentication with a selector in the root namespace has no effect") \
	X(SEVERAL_MODES,    "HRK0043", "",        ERROR,   false, "SeveralPeerAuthentications", "several PeerAuthentications for one scope: only the oldest counts") \
	X(STRICT_CLIENTS,   "HRK0044", "",        WARNING, false, "StrictPlaintextClients", "STRICT, and there are Pods that cannot authenticate") \
	X(NAMESPACE_OFF,    "HRK0045", "",        INFO,    false, "NamespaceDisableElsewhere", "a STRICT workload in a namespace with DISABLE: elsewhere clients are refused") \
	X(HEADLESS,         "HRK0046", "",        INFO,    false, "HeadlessMtlsElsewhere", "a headless Service whose Pods differ in mTLS: elsewhere some are spoken to in the wrong way") \
	/* PeerAuthentication against DestinationRule */ \
	X(TLS_CONFLICT,     "HRK0050", "IST0113", ERROR,   false, "MTLSPolicyConflict", "a DestinationRule keeps mesh TLS from Pods that demand it") \
	X(TLS_TO_PLAIN,     "HRK0051", "IST0113", ERROR,   false, "MeshTlsToPlaintext", "a DestinationRule sends mesh TLS to Pods that do not speak it") \
	/* DestinationRule */ \
	X(HOST,             "HRK0060", "IST0101", ERROR,   false, "HostNotFound", "a DestinationRule's host is no Service") \
	X(NO_CA,            "HRK0061", "IST0128", WARNING, false, "NoServerVerification", "SIMPLE or MUTUAL without caCertificates") \
	X(NO_CA_PORT,       "HRK0062", "IST0129", WARNING, false, "NoServerVerificationPort", "SIMPLE or MUTUAL without caCertificates, for a port") \
	X(NO_CERTIFICATE,   "HRK0063", "",        ERROR,   false, "MutualWithoutCertificate", "MUTUAL without clientCertificate or privateKey") \
	X(RULE_PORT,        "HRK0064", "",        WARNING, false, "RulePortNotOfService", "portLevelSettings for a port that the Service does not have") \
	X(PORT_DROPS_TLS,   "HRK0065", "",        WARNING, false, "PortSettingDropsTls", "an entry of portLevelSettings without tls drops the rule's tls") \
	X(SUBSET_EMPTY,     "HRK0066", "",        WARNING, false, "SubsetSelectsNothing", "a subset selects no Pod of its Service") \
	X(SUBSET_LABELS,    "HRK0067", "",        WARNING, false, "SubsetWithoutLabels", "a subset without labels is the whole Service") \
	X(SEVERAL_RULES,    "HRK0068", "",        WARNING, false, "SeveralDestinationRules", "several DestinationRules for one host: what the younger ones say is lost") \
	X(CREDENTIAL,       "HRK0069", "",        WARNING, false, "CredentialNameIgnored", "credentialName at a sidecar needs a workloadSelector") \
	X(TLS_IN_CLEAR,     "HRK0070", "",        ERROR,   false, "TlsToPlaintextServer", "a DestinationRule wants TLS, and the server was heard to speak plaintext") \
	X(TLS_GUESS,        "HRK0071", "",        INFO,    false, "TlsToServerFirst", "a DestinationRule wants TLS from the first byte on, of a server that seems to greet in clear") \
	/* AuthorizationPolicy */ \
	X(ALLOW_HTTP,       "HRK0080", "",        ERROR,   false, "HttpFieldsDropAllowRule", "an ALLOW rule with fields that only HTTP has never matches on a TCP port") \
	X(DENY_HTTP,        "HRK0081", "",        ERROR,   false, "HttpFieldsWidenRule", "a DENY, AUDIT or CUSTOM rule with fields that only HTTP has matches more on a TCP port") \
	X(UNKNOWN_KEY,      "HRK0082", "",        ERROR,   false, "RuleNotUnderstood", "a rule has a key, field or value that nobody knows") \
	X(CUSTOM,           "HRK0083", "",        ERROR,   false, "CustomDenies", "CUSTOM: no provider can be asked, so what matches is denied") \
	X(IDENTITY_OFF,     "HRK0084", "",        ERROR,   false, "IdentityNeverKnown", "a rule asks who the client is on a port where nobody authenticates") \
	X(CALLER_PLAIN,     "HRK0085", "",        WARNING, false, "CallerWithoutIdentity", "a rule names clients that have no sidecar") \
	X(POLICY_PORT,      "HRK0086", "",        ERROR,   false, "PolicyServicePort", "a rule names a Service's port, not the container's") \
	X(NAMESPACE,        "HRK0087", "",        WARNING, false, "NamespaceNotFound", "a rule names a namespace that does not exist") \
	X(ACCOUNT,          "HRK0088", "",        WARNING, false, "ServiceAccountNotFound", "a rule names a service account that no Pod has") \
	X(PRINCIPAL,        "HRK0089", "",        WARNING, false, "PrincipalNeverMatches", "a principal that nobody of this mesh can have") \
	X(ALLOW_NOTHING,    "HRK0090", "",        WARNING, false, "EverythingDenied", "an ALLOW policy without rules, and no other allows anything") \
	X(NO_EFFECT,        "HRK0091", "",        WARNING, false, "PolicyWithoutRules", "a DENY, AUDIT or CUSTOM policy without rules has no effect") \
	X(TARGET_REFS,      "HRK0092", "",        WARNING, false, "PolicyNotForSidecars", "a policy with targetRefs is not for sidecars") \
	X(GREETING,         "HRK0093", "",        INFO,    false, "PolicyServerFirst", "a policy for a server that speaks first: elsewhere a denied client reads its greeting") \
	/* ServiceEntry */ \
	X(ENTRY_ADDRESS,    "HRK0100", "IST0134", WARNING, false, "EntryWithoutAddress", "a ServiceEntry's host has no address, and nothing tells which connections are for it") \
	X(ENTRY_DNS_OFF,    "HRK0101", "IST0134", WARNING, false, "EntryNeedsDnsProxy", "a ServiceEntry without addresses, and the DNS proxy is off") \
	X(ENTRY_PROTOCOLS,  "HRK0102", "",        ERROR,   false, "EntryProtocolConflict", "ServiceEntries with one host declare different protocols for one port") \
	X(ENTRY_OVERLAP,    "HRK0103", "",        WARNING, false, "EntryAddressShared", "ServiceEntries of different hosts have one address and port") \
	X(ENTRY_EXPORT,     "HRK0104", "",        WARNING, false, "EntryExportedToNobody", "exportTo names nobody that exists") \
	X(ENTRY_ENDPOINTS,  "HRK0105", "",        ERROR,   false, "EntryWithoutEndpoints", "a ServiceEntry that takes its endpoints from itself has none") \
	X(ENTRY_SHADOWED,   "HRK0106", "",        WARNING, false, "EntryHostIsService", "a ServiceEntry's host is a Service of Kubernetes, which counts") \
	X(ENTRY_ANY_ADDRESS,"HRK0107", "IST0134", WARNING, false, "EntryTakesAnyAddress", "a ServiceEntry without addresses takes any address on a port") \
	/* Sidecar */ \
	X(INGRESS_UNLISTED, "HRK0120", "",        WARNING, false, "ServicePortNotInIngress", "a Service leads to a port that the Sidecar's ingress does not list") \
	X(INGRESS_UNTARGETED,"HRK0121", "",       WARNING, false, "IngressPortWithoutService", "a Sidecar's ingress lists a port to which no Service leads") \
	X(INGRESS_BIND,     "HRK0122", "",        WARNING, false, "IngressBindNobody", "a Sidecar's ingress is bound to an address that no Pod has") \
	X(SOCKET_NOBODY,    "HRK0123", "",        ERROR,   false, "EgressSocketNobody", "a socket that a Sidecar opens leads to no host that is known") \
	X(SOCKET_SEVERAL,   "HRK0124", "",        WARNING, false, "EgressSocketSeveral", "several hosts for one socket that a Sidecar opens: it is the oldest's")
/* clang-format on */

enum check {
#define X(id, ...) CHECK_##id,
	CHECKS(X)
#undef X
		N_CHECKS
};

struct check_info {
	const char *code, *istio; /* ISTIO: "" when it has none of that meaning */
	enum check_level level;
	bool stalls;
	const char *name, *text;
};
const struct check_info *check_info(enum check check);
const char *check_level_name(enum check_level level); /* "Error" */
/* "Error", "Warning", "Info", in any case. */
bool check_level_parse(const char *word, enum check_level *out);
/* By either code, in any case. ISTIO's may be several: FROM goes on behind one found; N_CHECKS: none. */
enum check check_find(const char *code, enum check from);
