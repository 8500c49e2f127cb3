/* What must hold for any client's bytes: the verdict is final, its names are within bounds. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "detect/classify.h"
#include "detect/postgres.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {(const char *)data, size};
	struct classify whole, part;
	enum word word = classify_client(bytes, &whole);
	MUST(word != WORD_MORE || size < CLASSIFY_MAX_PEEK);
	MUST(word == WORD_TLS || (whole.sni_len == 0 && whole.n_alpn == 0));
	MUST(classify_sni(&whole).len < sizeof(whole.sni) && whole.n_alpn <= CLASSIFY_MAX_ALPN);
	/* Every cut of a small input, some cuts of a large one. */
	size_t step = 1 + size / 64;
	bool certain = false;
	for (size_t cut = 0; cut <= size; cut += step) {
		enum word early = classify_client(slice_sub(bytes, 0, cut), &part);
		MUST(!certain || early == word);
		MUST(early == WORD_MORE || early == word);
		certain = early != WORD_MORE;
	}
	for (size_t cut = 0; cut <= size && cut <= PG_WORD_LEN; cut++) {
		enum pg_word early = pg_client(slice_sub(bytes, 0, cut));
		MUST(early == PG_MORE || early == pg_client(bytes));
	}
	return 0;
}
