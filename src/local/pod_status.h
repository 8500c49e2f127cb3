/* A Pod's `status`, as Kubernetes writes it: phase, addresses, conditions, containers. */
#pragma once
#include "base/buf.h"
#include "local/pod_run.h"

bool pod_status_write(const struct pod_run *run, struct buf *out) MUST_CHECK;
