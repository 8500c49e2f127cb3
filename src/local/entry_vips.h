/*
 * Gives virtual IPs to hosts of ServiceEntries that have no addresses: one pair per host, however many
 * entries have it, written into status.addresses.
 *
 *   struct entry_vips *v = entry_vips_start(loop, store, ENTRY_VIPS_V4, ipv6 ? ENTRY_VIPS_V6 : NULL);
 *   entry_vips_stop(v);
 *
 * A host's name leads to its addresses, so that the same hosts have the same ones in every mesh, in
 * whatever order they come; only those whose names lead to one address depend on each other. The status
 * is the record: who has an address keeps it, whatever else comes and goes. Two hosts with one address:
 * the oldest entry's keeps it. A person's `addresses` come before all that was given. What a host had
 * that is gone is given to another only when nothing else is left. Runs on the loop.
 */
#pragma once
#include "loop/loop.h"
#include "model/store.h"

#define ENTRY_VIPS_V4 "240.240.0.0/16"
#define ENTRY_VIPS_V6 "2001:2::/48"

struct entry_vips;
/* Of a range, the first 65536 addresses without its own and the last one. V6 NULL: the node has no IPv6. */
struct entry_vips *entry_vips_start(struct loop *loop, struct store *store, const char *v4,
				    const char *v6);
void entry_vips_stop(struct entry_vips *v); /* NULL is fine */

/*
 * ENTRY as a person's file has it, fit to be stored; one reference. Of a new one's status.addresses stay
 * those that the mesh may have given: a mesh that is made again from what `hark get -o yaml` said has the
 * addresses that it had. One that is not new has its own.
 */
struct object *entry_vips_admit(const struct object *entry, bool is_new,
				struct err *err) MUST_CHECK;
