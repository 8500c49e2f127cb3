/*
 * Addresses: an IP of either family in 16 bytes (IPv4 as ::ffff:a.b.c.d, RFC 4291 2.5.5.2) and a
 * port; 20 bytes, comparable by value, usable as a table key.
 *
 *   struct addr a;
 *   if (!addr_parse("198.18.0.7:3307", &a)) ...
 *   char text[ADDR_TEXT];
 *   log_info("net", "to=%s", addr_text(&a, text));       // "198.18.0.7:3307", "[fd00::7]:3307"
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { ADDR_TEXT = 64, IP_BITS = 128 };

struct ip {
	uint8_t b[16];
};

struct addr {
	struct ip ip;
	uint16_t port; /* host byte order */
	uint16_t zero; /* always 0, so that the bytes of equal addresses are equal */
};

struct cidr {
	struct ip ip;
	uint8_t bits; /* of IP_BITS: an IPv4 /16 is 112 */
};

struct ip ip_v4(uint32_t host_order);
uint32_t ip_to_v4(const struct ip *ip); /* host byte order; IP is v4 */
bool ip_is_v4(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_is_any(const struct ip *ip); /* 0.0.0.0 or :: */
bool ip_eq(const struct ip *a, const struct ip *b);
bool ip_parse(struct slice text, struct ip *out);
const char *ip_text(const struct ip *ip, char out[ADDR_TEXT]);

bool cidr_parse(struct slice text, struct cidr *out); /* a bare address is a /32 or /128; host bits
							 must be zero or are cleared */
const char *cidr_text(const struct cidr *c, char out[ADDR_TEXT]); /* "10.0.0.0/8" */
bool cidr_has(const struct cidr *c, const struct ip *ip);
/* The range of BITS (of 128) that IP is in. */
struct cidr cidr_around(const struct ip *ip, unsigned bits);
/* The Nth address of C, counted from its network address (N below 2^32). */
struct ip cidr_nth(const struct cidr *c, uint32_t n);

bool addr_eq(const struct addr *a, const struct addr *b);
/* "1.2.3.4:80", "[::1]:80". Brackets are required around IPv6. */
bool addr_parse(struct slice text, struct addr *out);
const char *addr_text(const struct addr *a, char out[ADDR_TEXT]);
struct addr addr_of(const struct sockaddr_storage *sa);
/* Fills SA for connect(2) or bind(2); an IPv4 address gives AF_INET. Returns its length. */
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *sa);
