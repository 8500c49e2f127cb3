/* Settings as a Pod's annotations may have them, one "name=value" per line: whatever is accepted makes
 * rules in which nothing stands that was not asked for: quotes in pairs, no word of nft's smuggled in. */
#include <stdint.h>

#include "capture/capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Outside of quotes only what our own text and numbers are made of. */
static void check_rules(struct slice rules)
{
	bool quoted = false;
	for (size_t i = 0; i < rules.len; i++) {
		char c = rules.at[i];
		MUST(c == '\n' || c == '\t' || (c >= ' ' && c < 127));
		if (c == '"')
			quoted = !quoted;
		MUST(!quoted || c != '\n');
		MUST(quoted || (c != ';' || rules.at[i - 1] == '0' || rules.at[i - 1] == 't'));
	}
	MUST(!quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data, size};
	struct arena *arena = arena_new();
	struct capture_config cfg;
	struct buf rules;
	bool ok = true;
	capture_config_init(&cfg);
	buf_init(&rules, 4 * 1024 * 1024);
	while (text.len && ok) {
		struct slice line = slice_cut(&text, '\n');
		const char *name = arena_dup(arena, slice_cut(&line, '='));
		if (slice_is(slice_of(name), "dns"))
			cfg.dns = true;
		else
			ok = capture_config_set(&cfg, name, line, "fuzz", arena, NULL);
	}
	if (ok && capture_rules(&cfg, &rules, NULL))
		check_rules(buf_slice(&rules));
	buf_fini(&rules);
	arena_free(arena);
	return 0;
}
