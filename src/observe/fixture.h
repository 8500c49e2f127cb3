/* For unit tests only: a small mesh and records of connections in it. Include <cmocka.h> and what
 * it needs first. */
#pragma once
#include <string.h>

#include "base/clock.h"
#include "decide/fixture.h"
#include "observe/record.h"

static const char observe_yaml[] =
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: web-1, namespace: shop, labels: {app: web, version: v3}}\n"
	"spec: {containers: [{name: c, command: [web]}]}\n"
	"status: {phase: Running, podIP: 198.18.0.1, podIPs: [{ip: 198.18.0.1}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: db-0, namespace: data, labels: {app: db}}\n"
	"spec: {containers: [{name: c, command: [db]}]}\n"
	"status: {phase: Running, podIP: 198.18.0.2, podIPs: [{ip: 198.18.0.2}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: db, namespace: data}\n"
	"spec: {clusterIP: 198.19.0.2, selector: {app: db}, ports: [{name: main, port: 3307}]}\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: db-x, namespace: data, labels: {kubernetes.io/service-name: db}}\n"
	"addressType: IPv4\n"
	"endpoints:\n"
	"- addresses: [198.18.0.2]\n"
	"  conditions: {ready: true}\n"
	"  targetRef: {kind: Pod, name: db-0, namespace: data}\n"
	"ports: [{name: main, port: 3307, protocol: TCP}]\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: web, namespace: shop}\n"
	"spec: {clusterIP: 198.19.0.3, selector: {app: web}, ports: [{name: tcp, port: 80, "
	"targetPort: 9000}]}\n";

static inline void record_outbound(const struct world *w, const char *dst, struct plan *p,
				   struct conn_record *r)
{
	struct outbound_facts facts = {.dst = test_addr(dst)};
	decide_outbound(w->view, &facts, p);
	*r = (struct conn_record){.id = 7,
				  .start_ns = clock_ns(),
				  .client = test_addr("198.18.0.1:40000"),
				  .original_dst = facts.dst,
				  .view = w->view,
				  .plan = p};
}

static inline void record_inbound(const struct world *w, const char *src, uint16_t port,
				  struct plan *p, struct conn_record *r)
{
	struct inbound_facts facts = {.src = test_addr(src), .dst = test_addr("198.18.0.1:1")};
	facts.dst.port = port;
	decide_inbound(w->view, &facts, p);
	*r = (struct conn_record){.id = 8,
				  .start_ns = clock_ns(),
				  .client = facts.src,
				  .original_dst = facts.dst,
				  .upstream = facts.dst,
				  .view = w->view,
				  .plan = p};
}
