#include "net/addr.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct ip ip_v4(uint32_t host_order)
{
	struct ip ip;
	uint32_t net = htonl(host_order);
	memcpy(ip.b, v4_prefix, 12);
	memcpy(ip.b + 12, &net, 4);
	return ip;
}

uint32_t ip_to_v4(const struct ip *ip)
{
	uint32_t net = 0;
	memcpy(&net, ip->b + 12, 4);
	return ntohl(net);
}

bool ip_is_v4(const struct ip *ip)
{
	return memcmp(ip->b, v4_prefix, 12) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const uint8_t v6[16] = {[15] = 1};
	return ip_is_v4(ip) ? ip->b[12] == 127 : memcmp(ip->b, v6, 16) == 0;
}

bool ip_is_any(const struct ip *ip)
{
	static const uint8_t v6[16];
	return ip_is_v4(ip) ? ip_to_v4(ip) == 0 : memcmp(ip->b, v6, 16) == 0;
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

bool ip_parse(struct slice text, struct ip *out)
{
	char cstr[INET6_ADDRSTRLEN + 1];
	if (text.len == 0 || text.len >= sizeof(cstr) || memchr(text.at, '\0', text.len))
		return false;
	memcpy(cstr, text.at, text.len);
	cstr[text.len] = '\0';
	struct in_addr v4;
	if (inet_pton(AF_INET, cstr, &v4) == 1) {
		*out = ip_v4(ntohl(v4.s_addr));
		return true;
	}
	return inet_pton(AF_INET6, cstr, out->b) == 1;
}

/* N in decimal at AT; what stands behind it. */
static char *put_number(char *at, unsigned n)
{
	char digits[10];
	size_t len = 0;
	do
		digits[len++] = (char)('0' + n % 10);
	while (n /= 10);
	while (len)
		*at++ = digits[--len];
	return at;
}

/* Written out where it is IPv4: each access log line has four, and inet_ntop goes through printf. */
static char *put_ip(char *at, const struct ip *ip)
{
	if (!ip_is_v4(ip)) {
		const char *text = inet_ntop(AF_INET6, ip->b, at, INET6_ADDRSTRLEN);
		return text ? at + strlen(at) : at; /* there is room for any address */
	}
	for (unsigned i = 12; i < 16; i++) {
		at = put_number(at, ip->b[i]);
		*at++ = '.';
	}
	return at - 1;
}

const char *ip_text(const struct ip *ip, char out[ADDR_TEXT])
{
	*put_ip(out, ip) = '\0';
	return out;
}

const char *cidr_text(const struct cidr *c, char out[ADDR_TEXT])
{
	char *at = put_ip(out, &c->ip);
	*at++ = '/';
	*put_number(at, ip_is_v4(&c->ip) ? c->bits - 96U : c->bits) = '\0';
	return out;
}

bool cidr_parse(struct slice text, struct cidr *out)
{
	struct slice rest = text;
	struct slice host = slice_cut(&rest, '/');
	if (!ip_parse(host, &out->ip))
		return false;
	bool v4 = ip_is_v4(&out->ip) && slice_find(host, ':') == host.len;
	uint64_t bits = v4 ? 32 : 128;
	if (host.len < text.len && !slice_to_u64(rest, bits, &bits))
		return false;
	*out = cidr_around(&out->ip, (unsigned)(v4 ? bits + 96 : bits));
	return true;
}

struct cidr cidr_around(const struct ip *ip, unsigned bits)
{
	struct cidr c = {.ip = *ip, .bits = (uint8_t)bits};
	for (unsigned i = bits; i < 128; i++)
		c.ip.b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	return c;
}

bool cidr_has(const struct cidr *c, const struct ip *ip)
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;
	if (memcmp(c->ip.b, ip->b, whole) != 0)
		return false;
	return rest == 0 || ((c->ip.b[whole] ^ ip->b[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

struct ip cidr_nth(const struct cidr *c, uint32_t n)
{
	struct ip ip = c->ip;
	for (int i = 15; i >= 0 && n; i--) {
		uint32_t sum = ip.b[i] + (n & 0xff);
		ip.b[i] = (uint8_t)sum;
		n = (n >> 8) + (sum >> 8);
	}
	return ip;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && ip_eq(&a->ip, &b->ip);
}

bool addr_parse(struct slice text, struct addr *out)
{
	struct slice host, port;
	if (text.len && text.at[0] == '[') {
		port = slice_sub(text, 1, text.len);
		host = slice_cut(&port, ']');
		if (port.len == 0 || port.at[0] != ':')
			return false;
		port = slice_sub(port, 1, port.len);
	} else {
		port = text;
		host = slice_cut(&port, ':');
	}
	uint64_t n = 0;
	struct ip ip;
	if (!slice_to_u64(port, UINT16_MAX, &n) || !ip_parse(host, &ip))
		return false;
	*out = (struct addr){.ip = ip, .port = (uint16_t)n};
	return true;
}

const char *addr_text(const struct addr *a, char out[ADDR_TEXT])
{
	bool v4 = ip_is_v4(&a->ip);
	char *at = out;
	if (!v4)
		*at++ = '[';
	at = put_ip(at, &a->ip);
	if (!v4)
		*at++ = ']';
	*at++ = ':';
	*put_number(at, a->port) = '\0';
	return out;
}

struct addr addr_of(const struct sockaddr_storage *sa)
{
	struct addr a = {0};
	if (sa->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
		a.ip = ip_v4(ntohl(in->sin_addr.s_addr));
		a.port = ntohs(in->sin_port);
	} else if (sa->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
		memcpy(a.ip.b, &in6->sin6_addr, 16);
		a.port = ntohs(in6->sin6_port);
	}
	return a;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *sa)
{
	memset(sa, 0, sizeof(*sa));
	if (ip_is_v4(&a->ip)) {
		struct sockaddr_in *in = (struct sockaddr_in *)sa;
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(ip_to_v4(&a->ip));
		in->sin_port = htons(a->port);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	in6->sin6_family = AF_INET6;
	memcpy(&in6->sin6_addr, a->ip.b, 16);
	in6->sin6_port = htons(a->port);
	return sizeof(*in6);
}
