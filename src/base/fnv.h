/*
 * FNV-1a with 32 bits: the same bytes have the same hash in every run and every version, so that a name
 * can lead to the same address again.
 *
 *   uint32_t h = fnv1a(FNV1A, slice_of(ns));
 *   h = fnv1a(h, slice_of(name));             // as of both texts, one behind the other
 *
 * Not for tables whose keys a peer chooses: those have table.h.
 */
#pragma once
#include <stdint.h>

#include "base/slice.h"

#define FNV1A UINT32_C(2166136261)

static inline uint32_t fnv1a(uint32_t so_far, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		so_far = (so_far ^ (unsigned char)bytes.at[i]) * UINT32_C(16777619);
	return so_far;
}
