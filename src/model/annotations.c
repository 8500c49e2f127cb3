#include "model/annotations.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/decode.h"

static const char *const detection_names[] = {
	[DETECTION_BOTH_ENDS] = "both-ends",
	[DETECTION_CLIENT_FIRST] = "client-first",
};

bool detection_parse(struct slice word, enum detection *out)
{
	for (size_t i = 0; i < N_ELEMS(detection_names); i++)
		if (slice_is(word, detection_names[i])) {
			*out = (enum detection)i;
			return true;
		}
	return false;
}

const char *detection_name(enum detection detection)
{
	return detection_names[detection];
}

/* The value that a list "VALUE" or "PORT=VALUE,..." has for PORT: its own part, else the one
 * without a number. Every part goes through CHECK. */
static bool pick_part(struct slice text, uint16_t port, struct slice *value, bool *found,
		      bool (*check)(struct slice value, struct err *err), struct err *err)
{
	bool own = false;
	*found = false;
	if (slice_trim(text).len == 0)
		return err_set(err, ERR_BAD_INPUT, "is empty");
	while (text.len) {
		struct slice part = slice_trim(slice_cut(&text, ','));
		struct slice right = part;
		uint64_t n = 0;
		if (slice_find(part, '=') < part.len) {
			struct slice left = slice_trim(slice_cut(&right, '='));
			right = slice_trim(right);
			if (!slice_to_u64(left, UINT16_MAX, &n) || n == 0)
				return err_set(err, ERR_BAD_INPUT, "\"%.*s\" is no port 1..65535",
					       SLICE_FMT(left));
		}
		if (!check(right, err))
			return false;
		if (n == 0 ? !own : n == port) {
			*value = right;
			*found = true;
			own = own || n;
		}
	}
	return true;
}

static bool check_detection(struct slice value, struct err *err)
{
	enum detection ignored = DETECTION_BOTH_ENDS;
	return detection_parse(value, &ignored) ||
	       err_set(err, ERR_BAD_INPUT,
		       "expected both-ends or client-first, or PORT=... of these, got \"%.*s\"",
		       SLICE_FMT(value));
}

static bool check_timeout(struct slice value, struct err *err)
{
	uint64_t ns = 0;
	return (duration_parse(value, &ns) && ns / NS_PER_MS <= UINT32_MAX &&
		(ns == 0 || ns >= NS_PER_MS)) ||
	       err_set(err, ERR_BAD_INPUT,
		       "expected a duration like \"5s\" (0s: none, else 1ms or more), or PORT=..., "
		       "got "
		       "\"%.*s\"",
		       SLICE_FMT(value));
}

bool annotation_detection(struct slice text, uint16_t port, enum detection *out, bool *found,
			  struct err *err)
{
	struct slice value = SLICE("");
	if (!pick_part(text, port, &value, found, check_detection, err))
		return false;
	return !*found || detection_parse(value, out);
}

bool annotation_timeout(struct slice text, uint16_t port, uint32_t *out_ms, bool *found,
			struct err *err)
{
	struct slice value = SLICE("");
	uint64_t ns = 0;
	if (!pick_part(text, port, &value, found, check_timeout, err))
		return false;
	if (*found && duration_parse(value, &ns))
		*out_ms = (uint32_t)(ns / NS_PER_MS);
	return true;
}
