#include "capture/nft.h"

#include <nftables/libnftables.h>

#include "base/slice.h"

/* The library's message has several lines: the error, then the command with a marker below. The
 * first line says it all but where; of the second we keep as much as fits. */
static bool fail(struct err *err, const char *message)
{
	struct slice rest = slice_of(message);
	struct slice what = slice_trim(slice_cut(&rest, '\n'));
	struct slice where = slice_trim(slice_cut(&rest, '\n'));
	if (what.len == 0)
		return err_set(err, ERR_NOT_NOW,
			       "nftables refused the commands without saying why");
	if (where.len == 0)
		return err_set(err, ERR_NOT_NOW, "nftables: %.*s", SLICE_FMT(what));
	return err_set(err, ERR_NOT_NOW, "nftables: %.*s: in `%.*s`", SLICE_FMT(what),
		       SLICE_FMT(where));
}

static bool run(const char *commands, struct buf *out, struct err *err)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft)
		return err_sys(err, "nftables context");
	bool ok = false;
	if (nft_ctx_buffer_error(nft) != 0 || nft_ctx_buffer_output(nft) != 0) {
		(void)err_set(err, ERR_NOT_NOW, "nftables: no buffers");
		goto done;
	}
	if (nft_run_cmd_from_buffer(nft, commands) != 0) {
		(void)fail(err, nft_ctx_get_error_buffer(nft));
		goto done;
	}
	if (out && !buf_puts(out, nft_ctx_get_output_buffer(nft))) {
		(void)err_set(err, ERR_LIMIT, "the rules do not fit into %zu bytes", out->max);
		goto done;
	}
	ok = true;
done:
	nft_ctx_free(nft);
	return ok;
}

bool nft_run(const char *commands, struct err *err)
{
	return run(commands, NULL, err);
}

bool nft_query(const char *commands, struct buf *out, struct err *err)
{
	return run(commands, out, err);
}
