/* As root: the kernel has, after any changes, what it would have if it were told all of it anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "capture/nft.h"
#include "local/vip_table.h"
#include "sandbox/nft_runner.h"
#include "sandbox/testbed.h"

enum { ROUNDS = 60, SERVICES = 12, ENDPOINTS = 5, RULES_MAX = 1024 * 1024 };

/* The same changes in each run. */
static uint32_t draw(uint32_t below)
{
	static uint32_t x = 2463534242u;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % below;
}

static struct addr nth(bool v6, uint32_t range, uint32_t i)
{
	struct addr at = {.port = 80};
	if (!v6)
		at.ip = ip_v4(range + i);
	else
		at.ip = (struct ip){
			.b = {0xfd, 0x68, [13] = (uint8_t)(range >> 16), [15] = (uint8_t)i}};
	return at;
}

static void change_service(struct vip_table *t, uint32_t i)
{
	struct vip_port ports[3];
	struct addr to[3][ENDPOINTS];
	char name[16];
	size_t n = draw(4);
	for (size_t p = 0; p < n; p++) {
		bool v6 = p == 2;
		ports[p] = (struct vip_port){.at = nth(v6, 0xc6130100, i),
					     .protocol = p == 1 ? L4_UDP : L4_TCP,
					     .sticky = draw(4) == 0,
					     .endpoints = to[p],
					     .n_endpoints = draw(ENDPOINTS)};
		for (size_t e = 0; e < ports[p].n_endpoints; e++)
			to[p][e] = nth(v6, 0xc6120100, draw(100));
	}
	(void)snprintf(name, sizeof(name), "s%u", i);
	CHECK(vip_table_set(t, "shop", name, ports, n));
}

static void change_pods(struct vip_table *t)
{
	struct ip ips[8];
	uint32_t n = draw(N_ELEMS(ips) + 1);
	for (uint32_t i = 0; i < n; i++)
		ips[i] = nth(i % 2, 0xc6120100, draw(20)).ip;
	vip_table_set_pods(t, ips, n);
}

/* A whole listing of a map is in no particular order: its elements, sorted. */
static int compare_slices(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	int cmp = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);
	return cmp ? cmp : (x->len > y->len) - (x->len < y->len);
}

static void add_elements(struct buf *out, const char *map)
{
	struct slice all[1000];
	size_t n = 0;
	char command[64];
	struct buf listed;
	buf_init(&listed, RULES_MAX);
	(void)snprintf(command, sizeof(command), "list %s inet hark-vips %s\n",
		       strncmp(map, "pods", 4) == 0 ? "set" : "map", map);
	CHECK(nft_query(command, &listed, &world.err));
	struct slice rest = buf_slice(&listed);
	CHECK(rest.len > 0);
	while (rest.len && n < N_ELEMS(all)) {
		struct slice element = slice_cut(&rest, ',');
		/* the first one stands behind "elements = {", the last before "}" */
		for (size_t i; (i = slice_find(element, '=')) < element.len;)
			element = slice_sub(element, i + 1, element.len);
		all[n++] = slice_trim(element);
	}
	CHECK(n < N_ELEMS(all));
	qsort(all, n, sizeof(all[0]), compare_slices);
	for (size_t i = 0; i < n; i++)
		for (struct slice words = all[i]; words.len;) {
			struct slice word = slice_trim(slice_cut(&words, ' '));
			/* line ends stand wherever the listing breaks its lines */
			for (size_t c = 0; c < word.len; c++)
				if (!strchr(" \t\n{}", word.at[c]))
					CHECK(buf_putc(out, word.at[c]));
			CHECK(buf_putc(out, words.len ? ' ' : '\n'));
		}
	buf_fini(&listed);
}

static void list(struct buf *out)
{
	static const char *const maps[] = {"services-v4",  "services-v6", "endpoints-v4",
					   "endpoints-v6", "pods-v4",     "pods-v6"};
	for (size_t i = 0; i < N_ELEMS(maps); i++) {
		CHECK(buf_printf(out, "%s:\n", maps[i]));
		add_elements(out, maps[i]);
	}
}

static void apply(struct vip_table *t)
{
	struct buf out;
	buf_init(&out, RULES_MAX);
	CHECK(vip_table_commands(t, &out));
	const char *text = buf_cstr(&out);
	CHECK(text);
	if (!nft_run(text, &world.err)) {
		fprintf(stderr, "%s\n", text);
		CHECK(false);
	}
	buf_fini(&out);
}

static int any_changes(struct node *node, void *arg)
{
	struct vip_table *t = vip_table_new(&node->cfg);
	size_t bytes = 0;
	(void)arg; /* none */
	for (int round = 0; round < ROUNDS; round++) {
		struct buf changed, anew;
		buf_init(&changed, RULES_MAX);
		buf_init(&anew, RULES_MAX);
		for (uint32_t n = draw(4) + 1; n--;)
			change_service(t, draw(SERVICES));
		if (draw(3) == 0)
			change_pods(t);
		apply(t);
		list(&changed);
		vip_table_failed(t);
		apply(t);
		list(&anew);
		if (!slice_eq(buf_slice(&changed), buf_slice(&anew))) {
			fprintf(stderr, "changed:\n%.*s\nanew:\n%.*s\n",
				SLICE_FMT(buf_slice(&changed)), SLICE_FMT(buf_slice(&anew)));
			CHECK(false);
		}
		bytes += buf_len(&anew);
		buf_fini(&changed);
		buf_fini(&anew);
	}
	CHECK(bytes > ROUNDS * SERVICES * 50); /* it was something that was compared */
	vip_table_free(t);
	return 0;
}

/* The runner: what was refused is told, and the next script runs all the same. */

struct outcome {
	bool done, failed;
	char why[sizeof(((struct err *)0)->text)];
};

static void on_done(void *ctx, const struct err *err)
{
	struct outcome *o = ctx;
	o->done = true;
	o->failed = err != NULL;
	(void)snprintf(o->why, sizeof(o->why), "%s", err ? err->text : "");
}

static struct outcome run_script(struct nft_runner *r, const char *script)
{
	struct outcome o = {0};
	nft_runner_run(r, slice_of(script), on_done, &o);
	CHECK(nft_runner_busy(r));
	turn_until(&o.done);
	CHECK(!nft_runner_busy(r));
	return o;
}

static int runner(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct nft_runner *r = nft_runner_new(node->loop, &world.err);
	struct buf large;
	CHECK(r);
	CHECK(!run_script(r, "add table inet a\n").failed);
	struct outcome o = run_script(r, "add table inet b\nadd chain inet nowhere c\n");
	CHECK(o.failed && strstr(o.why, "nftables"));
	CHECK(run_script(r, "delete table inet b\n").failed); /* all of a script or nothing */
	buf_init(&large, 8 * RULES_MAX);
	CHECK(buf_puts(&large, "add set inet a s { type ipv4_addr; }\nadd element inet a s { "));
	for (uint32_t i = 0; i < 100000; i++) {
		char text[ADDR_TEXT];
		struct ip ip = ip_v4(0x0a000000 + i);
		CHECK(buf_puts(&large, ip_text(&ip, text)) && buf_puts(&large, ", "));
	}
	CHECK(buf_puts(&large, "10.9.9.9 }\n"));
	CHECK(!run_script(r, buf_cstr(&large)).failed);
	CHECK(!run_script(r, "delete set inet a s\n").failed); /* nothing is left of the long one */
	buf_fini(&large);
	nft_runner_run(r, SLICE("add table inet c\n"), on_done, &o);
	nft_runner_free(r); /* while it works */
	return 0;
}

static void test_any_changes(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-vips", any_changes);
}

static void test_runner(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-runner", runner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_changes),
		cmocka_unit_test(test_runner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
