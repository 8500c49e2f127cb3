/* The texts of the mesh configuration; a NUL parts the two. */
#include <stdint.h>
#include <string.h>

#include "model/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct slice rest = {(const char *)data, size};
	struct slice mesh = slice_cut(&rest, '\0');
	struct slice hark = slice_cut(&rest, '\0');
	const struct pair pairs[] = {{"hark", arena_dup(a, hark)}, {"mesh", arena_dup(a, mesh)}};
	const struct config_map config_map = {{pairs, 2}};
	const struct object o = {.kind = KIND_CONFIG_MAP, .config_map = &config_map};
	struct mesh_config config;
	struct err err = {0};
	if (mesh_config_decode(&o, a, &config, &err))
		MUST(config.access_log_file && config.trust_domain && config.root_namespace);
	else
		MUST(err.text[0]);
	arena_free(a);
	return 0;
}
