/*
 * Gives virtual IPs to hosts of ServiceEntries that have no addresses: one pair per host, however many
 * entries have it, written into status.addresses.
 *
 *   struct entry_vips *v = entry_vips_start(loop, store, node->ipv6);
 *   entry_vips_stop(v);
 *
 * The status is the record: who has an address keeps it, whatever else comes and goes and in whatever
 * order. Two hosts with one address: the oldest entry's keeps it. A person's `addresses` come before
 * all that was given. What was given is not given to anybody else while the controller lives. Runs on
 * the loop.
 */
#pragma once
#include "loop/loop.h"
#include "model/store.h"

#define ENTRY_VIPS_V4 "240.240.0.0/16"
#define ENTRY_VIPS_V6 "2001:2::/48"

struct entry_vips;
struct entry_vips *entry_vips_start(struct loop *loop, struct store *store, bool ipv6);
void entry_vips_stop(struct entry_vips *v); /* NULL is fine */
