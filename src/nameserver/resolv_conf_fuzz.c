/* Any bytes as a resolv.conf: what is read is within its bounds, and reads the same once written again. */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "nameserver/resolv_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_domain(struct slice domain)
{
	MUST(domain.len > 0 && domain.len <= 253);
	for (size_t i = 0; i < domain.len; i++)
		MUST(domain.at[i] != ' ' && domain.at[i] != '\t' && domain.at[i] != '\n' &&
		     !(domain.at[i] >= 'A' && domain.at[i] <= 'Z'));
}

static void write_it(const struct resolv_conf *c, struct buf *out)
{
	char text[ADDR_TEXT];
	for (unsigned i = 0; c->said && i < c->n_servers; i++)
		MUST(buf_printf(out, "nameserver %s\n", ip_text(&c->servers[i], text)));
	for (unsigned i = 0; i < c->n_searches; i++) {
		/* a dot more, for one that ends in a dot of its own */
		MUST(buf_puts(out, i ? " " : "search ") &&
		     buf_append(out, resolv_conf_search(c, i)));
		MUST(buf_putc(out, '.'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resolv_conf conf, again;
	struct buf text;
	resolv_conf_parse((struct slice){(const char *)data, size}, &conf);
	MUST(conf.n_servers >= 1 && conf.n_servers <= RESOLV_SERVERS);
	MUST(conf.n_searches <= RESOLV_SEARCHES);
	for (unsigned i = 0; i < conf.n_searches; i++)
		must_be_domain(resolv_conf_search(&conf, i));
	buf_init(&text, 64 * 1024);
	write_it(&conf, &text);
	resolv_conf_parse(buf_slice(&text), &again);
	MUST(again.said == conf.said && again.n_servers == conf.n_servers &&
	     again.n_searches == conf.n_searches);
	for (unsigned i = 0; i < conf.n_servers; i++)
		MUST(ip_eq(&again.servers[i], &conf.servers[i]));
	for (unsigned i = 0; i < conf.n_searches; i++)
		MUST(slice_eq(resolv_conf_search(&again, i), resolv_conf_search(&conf, i)));
	buf_fini(&text);
	return 0;
}
