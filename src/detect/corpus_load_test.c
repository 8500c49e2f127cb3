#include "detect/corpus_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* The caller frees it. */
static char *read_file(const char *folder, const char *file, size_t *size)
{
	char path[4096];
	MUST(snprintf(path, sizeof(path), "%s/%s", folder, file) < (int)sizeof(path));
	FILE *f = fopen(path, "rb");
	MUST(f != NULL);
	MUST(fseek(f, 0, SEEK_END) == 0);
	long len = ftell(f);
	MUST(len > 0 && fseek(f, 0, SEEK_SET) == 0);
	char *bytes = mem_new((size_t)len);
	MUST(fread(bytes, 1, (size_t)len, f) == (size_t)len);
	MUST(fclose(f) == 0);
	*size = (size_t)len;
	return bytes;
}

static bool client_row(const char *line, struct corpus_word *w)
{
	char word[16];
	if (sscanf(line, "%63s %15s %zu %63s %63s", w->file, word, &w->certain_at, w->sni,
		   w->alpn) != 5)
		return false;
	w->client = true;
	for (w->word = WORD_HTTP1; w->word < WORD_OPAQUE; w->word++)
		if (strcmp(word_name(w->word), word) == 0)
			break;
	return strcmp(word_name(w->word), word) == 0;
}

static bool server_row(const char *line, struct corpus_word *w)
{
	static const char *const kinds[] = {"more", "http2", "http1", "words"};
	char kind[16], serves[16];
	if (sscanf(line, "%63s %15s %31s %15s", w->file, kind, w->protocol, serves) != 4)
		return false;
	size_t k = 0;
	while (k < N_ELEMS(kinds) && strcmp(kinds[k], kind) != 0)
		k++;
	w->kind = (enum greet_kind)k;
	w->refusal = strcmp(serves, "refuses") == 0;
	return k < N_ELEMS(kinds);
}

void corpus_load(struct corpus *c, const char *folder)
{
	*c = (struct corpus){0};
	struct slice rest;
	char *text = read_file(folder, "index.txt", &rest.len);
	rest.at = text;
	while (rest.len) {
		struct slice row = slice_cut(&rest, '\n');
		if (row.len == 0 || row.at[0] == '#')
			continue;
		char line[512];
		MUST(snprintf(line, sizeof(line), "%.*s", SLICE_FMT(row)) < (int)sizeof(line));
		c->words = mem_grow(c->words, c->n + 1, sizeof(*c->words));
		struct corpus_word *w = &c->words[c->n++];
		*w = (struct corpus_word){0};
		MUST(slice_starts(row, SLICE("client/")) ? client_row(line, w)
							 : server_row(line, w));
		w->memory = read_file(folder, w->file, &w->bytes.len);
		w->bytes.at = w->memory;
	}
	free(text);
	MUST(c->n > 0);
}

void corpus_free(struct corpus *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->words[i].memory);
	free(c->words);
	*c = (struct corpus){0};
}
