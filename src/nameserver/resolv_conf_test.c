#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "nameserver/resolv_conf.h"

static const struct {
	const char *rule, *text;
	const char *servers, *searches; /* one space behind each */
} cases[] = {
	{"as in a Pod",
	 "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n"
	 "options ndots:5\n",
	 "10.96.0.10 ", "shop.svc.cluster.local svc.cluster.local cluster.local "},
	{"none said: the machine itself", "options ndots:5\n", "127.0.0.1 ", ""},
	{"three at most",
	 "nameserver 192.0.2.1\nnameserver ::1\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
	 "192.0.2.1 ::1 192.0.2.3 ", ""},
	{"what is no address", "nameserver here\nnameserver 192.0.2.1\n", "192.0.2.1 ", ""},
	{"comments", "# nameserver 192.0.2.9\n; search x\nnameserver 192.0.2.1 # mine\n",
	 "192.0.2.1 ", ""},
	{"the last of search and domain", "domain a.example\nsearch b.example c.example\n",
	 "127.0.0.1 ", "b.example c.example "},
	{"domain after search, of one word", "search b.example\ndomain a.example c.example\n",
	 "127.0.0.1 ", "a.example "},
	{"case and the last dot", "search Corp.EXAMPLE.com.\n", "127.0.0.1 ", "corp.example.com "},
	{"the root searches nothing", "search . a.example\n", "127.0.0.1 ", "a.example "},
	{"what no host's name has in it",
	 "search \\007.cluster.local \x01.x b.example x(y) a;b -- a_b.example\n", "127.0.0.1 ",
	 "b.example -- a_b.example "},
	{"tabs and line ends of others",
	 "search\ta.example\tb.example\r\nnameserver\t192.0.2.1\r\n", "192.0.2.1 ",
	 "a.example b.example "},
};

static void reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct resolv_conf c;
		char servers[256] = "", searches[256] = "", ip[ADDR_TEXT];
		print_message("%s\n", cases[i].rule);
		resolv_conf_parse(slice_of(cases[i].text), &c);
		for (unsigned k = 0; k < c.n_servers; k++) {
			strcat(servers, ip_text(&c.servers[k], ip));
			strcat(servers, " ");
		}
		for (unsigned k = 0; k < c.n_searches; k++) {
			struct slice s = resolv_conf_search(&c, k);
			strncat(searches, s.at, s.len);
			strcat(searches, " ");
		}
		assert_string_equal(servers, cases[i].servers);
		assert_string_equal(searches, cases[i].searches);
	}
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void notices_changes(void **state)
{
	(void)state;
	char path[] = "/tmp/hark-resolv-XXXXXX", other[64];
	close(mkstemp(path));
	(void)snprintf(other, sizeof(other), "%s.new", path);
	put(path, "nameserver 192.0.2.1\n");
	struct resolv_file f = {.path = path};
	assert_true(resolv_file_changed(&f));
	assert_false(resolv_file_changed(&f));
	put(path, "nameserver 192.0.2.11\n"); /* written in place */
	assert_true(resolv_file_changed(&f));
	assert_false(resolv_file_changed(&f));
	put(other, "nameserver 192.0.2.12\n"); /* another file of the same length in its place */
	assert_int_equal(rename(other, path), 0);
	assert_true(resolv_file_changed(&f));
	assert_false(resolv_file_changed(&f));
	unlink(path); /* away: what it said holds */
	assert_false(resolv_file_changed(&f));
	put(path, "nameserver 192.0.2.13\n");
	assert_true(resolv_file_changed(&f));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(notices_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
