/*
 * The corpus of real first words, for tests.
 *
 *   struct corpus c;
 *   corpus_load(&c, argv[1]);          // the folder with index.txt; aborts when it is wrong
 *   for (size_t i = 0; i < c.n; i++)
 *           use(c.words[i].bytes);
 *   corpus_free(&c);
 */
#pragma once
#include "detect/classify.h"
#include "detect/greet.h"

struct corpus_word {
	char file[64];
	bool client;
	struct slice bytes; /* of .memory */
	char *memory;
	/* client */
	enum word word;
	size_t certain_at;
	char sni[64], alpn[64]; /* "-": none */
	/* server */
	enum greet_kind kind;
	char protocol[32];
	bool refusal;
};

struct corpus {
	struct corpus_word *words;
	size_t n;
};

void corpus_load(struct corpus *c, const char *folder);
void corpus_free(struct corpus *c);
