/* What must hold for any server's bytes: the kind is final, and GREET_MORE is short. */
#include <stdint.h>

#include "base/err.h"
#include "detect/greet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {(const char *)data, size};
	struct greet whole = greet_server(bytes);
	MUST(whole.kind != GREET_MORE || size < 9);
	MUST(greet_name(whole.protocol)[0] != '\0');
	MUST(!whole.refusal || whole.kind == GREET_WORDS);
	for (size_t cut = 0; cut <= size && cut < GREET_ENOUGH; cut++) {
		struct greet early = greet_server(slice_sub(bytes, 0, cut));
		MUST(early.kind == GREET_MORE || early.kind == whole.kind);
	}
	struct greet enough = greet_server(slice_sub(bytes, 0, GREET_ENOUGH));
	MUST(enough.kind == whole.kind && enough.protocol == whole.protocol &&
	     enough.refusal == whole.refusal);
	return 0;
}
