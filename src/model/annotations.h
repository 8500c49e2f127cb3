/*
 * hark's own annotations on Services and Pods.
 *
 *   hark.mesh/detection: "client-first"                 every port
 *   hark.mesh/detection: "3307=client-first,25=both-ends"
 *   hark.mesh/protocol-detection-timeout: "5s"  or  "3307=5s"
 *
 * On a Service the numbers are its ports, on a Pod the ports its application listens on. A part
 * without a number is for all ports that have none of their own.
 */
#pragma once
#include "base/err.h"
#include "model/kinds.h"

#define ANNOTATION_DETECTION "hark.mesh/detection"
#define ANNOTATION_DETECTION_TIMEOUT "hark.mesh/protocol-detection-timeout"
#define ANNOTATION_SIDECAR_STATUS "sidecar.istio.io/status"
#define ANNOTATION_PROXY_CONFIG "proxy.istio.io/config"
#define ANNOTATION_DRY_RUN "istio.io/dry-run"
#define ANNOTATION_EXCLUDE_OUT_PORTS "traffic.sidecar.istio.io/excludeOutboundPorts"
#define ANNOTATION_EXCLUDE_OUT_RANGES "traffic.sidecar.istio.io/excludeOutboundIPRanges"
#define ANNOTATION_INCLUDE_OUT_RANGES "traffic.sidecar.istio.io/includeOutboundIPRanges"
#define ANNOTATION_INCLUDE_IN_PORTS "traffic.sidecar.istio.io/includeInboundPorts"
#define ANNOTATION_EXCLUDE_IN_PORTS "traffic.sidecar.istio.io/excludeInboundPorts"
#define ANNOTATION_INTERCEPTION "sidecar.istio.io/interceptionMode"
#define ANNOTATION_EXPORT_TO "networking.istio.io/exportTo"
#define LABEL_NO_VIP                                                                               \
	"networking.istio.io/enable-autoallocate-ip" /* "false": no virtual IP is given */
#define LABEL_TLS_MODE "security.istio.io/tlsMode"
#define LABEL_SERVICE_NAME "kubernetes.io/service-name"

/* What TEXT says for PORT; *FOUND false: nothing. PORT 0 only checks. False: TEXT is malformed. */
bool annotation_detection(struct slice text, uint16_t port, enum detection *out, bool *found,
			  struct err *err) MUST_CHECK;
bool annotation_timeout(struct slice text, uint16_t port, uint32_t *out_ms, bool *found,
			struct err *err) MUST_CHECK;
bool detection_parse(struct slice word, enum detection *out);
const char *detection_name(enum detection detection); /* "client-first" */
