/*
 * Large blocks of OpenSSL come from the worker inside whose call they are asked for: a record each way
 * (16.2 KiB) and the messages of a handshake (21.3 KiB) are needed for the length of a call or of a
 * handshake, again and again. From malloc() each of them is a search, and between two of them the
 * small blocks settle that live as long as the connection: some thousand connections later half of the
 * heap is gaps.
 *
 * They are ordinary blocks of malloc(), of one size, so whoever frees or grows them elsewhere does no
 * harm. OpenSSL asks and frees on the thread of the call, so no lock is needed.
 */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tls/inside.h"

enum {
	BLOCK = 22 * 1024,
	BLOCK_LEAST = 16 * 1024, /* smaller ones come from malloc(), larger ones too */
	BLOCK_SLACK = 4096,      /* what malloc() may have made of BLOCK */
};

static _Thread_local struct tls_worker *lender;

void tls_lend(struct tls_worker *w)
{
	lender = w;
}

static void *block_malloc(size_t len, const char *file, int line)
{
	(void)file, (void)line; /* of OpenSSL's source */
	struct tls_worker *w = lender;
	if (!w || len < BLOCK_LEAST || len > BLOCK)
		return malloc(len);
	if (w->n_blocks == 0)
		return malloc(BLOCK);
	w->n_blocks--;
	if (w->n_blocks < w->least_blocks)
		w->least_blocks = w->n_blocks;
	return w->blocks[w->n_blocks];
}

static bool is_block(void *at)
{
	size_t len = malloc_usable_size(at);
	return len >= BLOCK && len < BLOCK + BLOCK_SLACK;
}

static void block_free(void *at, const char *file, int line)
{
	(void)file, (void)line; /* as above */
	struct tls_worker *w = lender;
	if (w && at && is_block(at)) {
		if (w->n_blocks < TLS_BLOCKS) {
			w->blocks[w->n_blocks++] = at;
			return;
		}
		w->given_back += BLOCK;
	}
	free(at);
}

static void *block_realloc(void *at, size_t len, const char *file, int line)
{
	if (!at)
		return block_malloc(len, file, line);
	if (len > 0)
		return realloc(at, len);
	block_free(at, file, line);
	return NULL;
}

void tls_memory_init(void)
{
	/* Fails where OpenSSL has allocated already: then malloc() goes on. */
	if (!MEM_ONE_EACH)
		(void)CRYPTO_set_mem_functions(block_malloc, block_realloc, block_free);
}

size_t tls_worker_trim(struct tls_worker *w, bool all)
{
	unsigned spare = all ? w->n_blocks : w->least_blocks;
	size_t given_back = w->given_back + (size_t)spare * BLOCK;
	while (spare-- > 0)
		free(w->blocks[--w->n_blocks]);
	w->least_blocks = w->n_blocks;
	w->given_back = 0;
	return given_back;
}
