/* Objects found in a stream are the same whole and byte by byte; members and elements stay inside
 * the text they were found in. */
#include <stdint.h>

#include "api/skim.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t run(struct slice bytes, size_t step)
{
	struct framer f;
	uint64_t sum = 0;
	framer_init(&f, 1 << 16);
	for (size_t at = 0; at < bytes.len; at += step) {
		struct slice piece = slice_sub(bytes, at, step), object;
		enum framer_result r;
		while ((r = framer_next(&f, &piece, &object)) == FRAMER_OBJECT) {
			struct slice value;
			char text[64];
			sum = sum * 31 + object.len;
			if (skim_member(object, "a", &value)) {
				MUST(value.len < object.len);
				MUST(!skim_string(value, text, sizeof(text)) || value.len < 66);
				for (struct slice e; skim_element(&value, &e);)
					sum = sum * 31 + e.len;
			}
		}
		if (r == FRAMER_BAD) {
			sum = sum * 31 + 1;
			break;
		}
	}
	framer_fini(&f);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {(const char *)data, size};
	if (size && size < 1 << 16)
		MUST(run(bytes, size) == run(bytes, 1));
	return 0;
}
