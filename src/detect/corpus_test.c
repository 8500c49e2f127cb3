/* Every real first word, cut at every byte: what the classifiers and the machine make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "detect/corpus_test.h"
#include "detect/first_word.h"

static const char *folder;
static struct corpus corpus;

static int setup(void **state)
{
	(void)state; /* the corpus is static: every test only reads it */
	corpus_load(&corpus, folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state; /* as above */
	corpus_free(&corpus);
	return 0;
}

static void every_file_stands_in_the_index(void **state)
{
	(void)state; /* none */
	static const char *const sides[] = {"client", "server"};
	for (size_t i = 0; i < N_ELEMS(sides); i++) {
		char path[4096];
		assert_true(snprintf(path, sizeof(path), "%s/%s", folder, sides[i]) > 0);
		DIR *dir = opendir(path);
		assert_non_null(dir);
		for (struct dirent *entry; (entry = readdir(dir));) {
			char file[512];
			bool seen = entry->d_name[0] == '.';
			assert_true(snprintf(file, sizeof(file), "%s/%s", sides[i], entry->d_name) >
				    0);
			for (size_t w = 0; w < corpus.n && !seen; w++)
				seen = strcmp(corpus.words[w].file, file) == 0;
			if (!seen)
				fail_msg("%s is not in index.txt", file);
		}
		assert_int_equal(closedir(dir), 0);
	}
}

static void names_of(const struct classify *c, char *sni, char *alpn, size_t size)
{
	size_t n = 0;
	(void)snprintf(sni, size, "%.*s", SLICE_FMT(classify_sni(c))); /* SIZE is ample */
	alpn[0] = '\0';
	for (unsigned i = 0; i < c->n_alpn; i++)
		n += (size_t)snprintf(&alpn[n], size - n, "%s%.*s", i ? "," : "",
				      SLICE_FMT(classify_alpn(c, i)));
	if (!*sni)
		memcpy(sni, "-", 2);
	if (!*alpn)
		memcpy(alpn, "-", 2);
}

static void clients_cut_at_every_byte(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < corpus.n; i++) {
		const struct corpus_word *w = &corpus.words[i];
		for (size_t cut = 0; w->client && cut <= w->bytes.len; cut++) {
			struct classify c;
			char sni[300], alpn[300];
			enum word want = cut < w->certain_at ? WORD_MORE : w->word;
			if (classify_client(slice_sub(w->bytes, 0, cut), &c) != want)
				fail_msg("%s cut at %zu: %s", w->file, cut, word_name(c.word));
			names_of(&c, sni, alpn, sizeof(sni));
			assert_string_equal(sni, want == WORD_TLS ? w->sni : "-");
			assert_string_equal(alpn, want == WORD_TLS ? w->alpn : "-");
		}
	}
}

/* The same ClientHello in records of any size, as RFC 8446 5.1 allows. */
static void hellos_spread_over_records(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < corpus.n; i++) {
		const struct corpus_word *w = &corpus.words[i];
		if (!w->client || w->word != WORD_TLS)
			continue;
		struct slice message = slice_sub(w->bytes, 5, w->bytes.len);
		for (size_t size = 1; size <= message.len; size = size * 2 + 1) {
			struct buf wire;
			struct classify c;
			char sni[300], alpn[300];
			buf_init(&wire, 65536);
			for (size_t at = 0; at < message.len; at += size) {
				struct slice part = slice_sub(message, at, size);
				char head[5] = {22, 3, 1, (char)(part.len >> 8), (char)part.len};
				assert_true(buf_append(&wire, (struct slice){head, 5}));
				assert_true(buf_append(&wire, part));
			}
			size_t len = buf_len(&wire);
			assert_int_equal(
				classify_client(slice_sub(buf_slice(&wire), 0, len - 1), &c),
				WORD_MORE);
			assert_int_equal(classify_client(buf_slice(&wire), &c), WORD_TLS);
			names_of(&c, sni, alpn, sizeof(sni));
			assert_string_equal(sni, w->sni);
			assert_string_equal(alpn, w->alpn);
			buf_fini(&wire);
		}
	}
}

/* A hello with one byte changed is still a hello or none, and never anything else. */
static void hellos_with_a_byte_changed(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < corpus.n; i++) {
		const struct corpus_word *w = &corpus.words[i];
		if (!w->client || w->word != WORD_TLS)
			continue;
		for (size_t at = 1; at < w->bytes.len; at++) {
			char old = w->memory[at];
			struct classify c;
			w->memory[at] = (char)(old ^ 0xff);
			enum word word = classify_client(w->bytes, &c);
			assert_true(word == WORD_TLS || word == WORD_OPAQUE || word == WORD_MORE);
			assert_true(word == WORD_TLS || c.sni_len == 0);
			w->memory[at] = old;
		}
	}
}

static void servers_cut_at_every_byte(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < corpus.n; i++) {
		const struct corpus_word *w = &corpus.words[i];
		for (size_t cut = 0; !w->client && cut <= w->bytes.len; cut++) {
			struct greet g = greet_server(slice_sub(w->bytes, 0, cut));
			const char *name = greet_name(g.protocol);
			bool named = strcmp(name, "tcp") != 0 && strcmp(name, "smtp-or-ftp") != 0;
			if ((g.kind != GREET_MORE && g.kind != w->kind) ||
			    (named && strcmp(name, w->protocol) != 0) || (g.refusal && !w->refusal))
				fail_msg("%s cut at %zu: kind %d, %s", w->file, cut, g.kind, name);
			if (cut == w->bytes.len) {
				assert_int_equal(g.kind, w->kind);
				assert_string_equal(name, w->protocol);
				assert_int_equal(g.refusal, w->refusal);
			}
		}
	}
}

/* The machine. */

static const struct fw_config outbound = {.side = FW_OUTBOUND,
					  .early_allowed = true,
					  .head_start_us = FW_HEAD_START_US,
					  .partial_ms = FW_PARTIAL_MS};

static enum fw_verdict verdict_of(enum word word)
{
	switch (word) {
	case WORD_MORE:
		break;
	case WORD_HTTP1:
		return FW_HTTP1;
	case WORD_HTTP2:
		return FW_HTTP2;
	case WORD_TLS:
		return FW_TLS;
	case WORD_OPAQUE:
		return FW_OPAQUE;
	}
	return FW_UNDECIDED;
}

static enum fw_verdict verdict_of_server(const struct corpus_word *w)
{
	if (w->kind == GREET_HTTP2)
		return FW_HTTP2;
	if (w->kind == GREET_HTTP1 || w->refusal)
		return FW_PASS_ON;
	return FW_SERVER_FIRST;
}

static struct fw_answer said(struct first_word *fw, enum fw_event event, struct slice bytes)
{
	return first_word_event(fw, &(struct fw_input){event, bytes, false, FW_HEAD_START_US});
}

static struct fw_answer start_open(struct first_word *fw)
{
	struct fw_answer a = first_word_start(fw, &outbound, FW_HEAD_START_US);
	assert_int_equal(a.what, FW_OPEN_UPSTREAM);
	return said(fw, FW_UPSTREAM_OPEN, SLICE(""));
}

static void a_client_in_two_pieces_gets_its_verdict(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < corpus.n; i++) {
		const struct corpus_word *w = &corpus.words[i];
		for (size_t cut = 1; w->client && cut < w->bytes.len; cut++) {
			struct first_word fw;
			(void)start_open(&fw); /* only the client's answers matter here */
			struct fw_answer a =
				said(&fw, FW_CLIENT_BYTES, slice_sub(w->bytes, 0, cut));
			assert_int_equal(a.what == FW_DECIDED, cut >= w->certain_at);
			a = said(&fw, FW_CLIENT_BYTES, w->bytes);
			assert_int_equal(a.what, FW_DECIDED);
			assert_int_equal(a.verdict, verdict_of(w->word));
			assert_int_equal(a.who, FW_CLIENT);
		}
	}
}

static void a_server_in_two_pieces_gets_its_verdict(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < corpus.n; i++) {
		const struct corpus_word *w = &corpus.words[i];
		for (size_t cut = 1; !w->client && cut <= w->bytes.len; cut++) {
			struct first_word fw;
			struct slice piece = slice_sub(w->bytes, 0, cut);
			(void)start_open(&fw); /* only the server's answers matter here */
			struct fw_answer a = said(&fw, FW_UPSTREAM_BYTES, piece);
			if (a.what == FW_WAIT) {
				assert_int_equal(greet_server(piece).kind, GREET_MORE);
				a = said(&fw, FW_UPSTREAM_BYTES, w->bytes);
			}
			assert_int_equal(a.what, FW_DECIDED);
			/* A refusal's first bytes may look like a greeting. */
			if (!w->refusal || cut == w->bytes.len)
				assert_int_equal(a.verdict, verdict_of_server(w));
			assert_int_equal(a.who, FW_SERVER);
		}
	}
}

/* Every client against every server, cut at every byte of the one that speaks first: the first
 * certain word decides, on whichever side. */
static void every_client_meets_every_server(void **state)
{
	(void)state; /* none */
	size_t pairs = 0;
	for (size_t i = 0; i < corpus.n * corpus.n; i++) {
		const struct corpus_word *c = &corpus.words[i / corpus.n];
		const struct corpus_word *s = &corpus.words[i % corpus.n];
		if (!c->client || s->client)
			continue;
		pairs++;
		for (size_t cut = 1; cut < c->bytes.len; cut++) {
			struct first_word fw;
			(void)start_open(&fw); /* decided below */
			struct fw_answer a =
				said(&fw, FW_CLIENT_BYTES, slice_sub(c->bytes, 0, cut));
			a = said(&fw, FW_UPSTREAM_BYTES, s->bytes);
			assert_int_equal(a.what, FW_DECIDED);
			assert_int_equal(a.verdict, cut >= c->certain_at ? verdict_of(c->word)
									 : verdict_of_server(s));
			assert_int_equal(a.who, FW_CLIENT);
			assert_int_not_equal(a.teach, FW_TEACH_SERVER_FIRST);
		}
		for (size_t cut = 1; cut < s->bytes.len; cut++) {
			struct first_word fw;
			(void)start_open(&fw); /* decided below */
			struct fw_answer a =
				said(&fw, FW_UPSTREAM_BYTES, slice_sub(s->bytes, 0, cut));
			bool server = a.what == FW_DECIDED;
			enum fw_verdict verdict = a.verdict;
			a = said(&fw, FW_CLIENT_BYTES, c->bytes);
			assert_int_equal(a.what, FW_DECIDED);
			assert_int_equal(a.verdict, server ? verdict : verdict_of(c->word));
			assert_int_equal(a.who, FW_SERVER);
		}
	}
	assert_true(pairs > 100);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_file_stands_in_the_index),
		cmocka_unit_test(clients_cut_at_every_byte),
		cmocka_unit_test(hellos_spread_over_records),
		cmocka_unit_test(hellos_with_a_byte_changed),
		cmocka_unit_test(servers_cut_at_every_byte),
		cmocka_unit_test(a_client_in_two_pieces_gets_its_verdict),
		cmocka_unit_test(a_server_in_two_pieces_gets_its_verdict),
		cmocka_unit_test(every_client_meets_every_server),
	};
	MUST(argc == 2);
	folder = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
