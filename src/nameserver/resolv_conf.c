#include "nameserver/resolv_conf.h"

#include <string.h>

#include "base/log.h"
#include "base/read_file.h"

enum { FILE_MAX = 64 * 1024, NAME_MAX_LEN = 253 };

static struct slice next_word(struct slice *line)
{
	struct slice rest = slice_trim(*line);
	size_t len = 0;
	while (len < rest.len && rest.at[len] != ' ' && rest.at[len] != '\t')
		len++;
	*line = slice_sub(rest, len, rest.len);
	return slice_sub(rest, 0, len);
}

/* Of what else names may have in them the text is another than the bytes ("\\007"): no host is called so. */
static bool is_plain(struct slice domain)
{
	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.at[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

static void add_search(struct slice domain, struct resolv_conf *out)
{
	size_t at = out->search_at[out->n_searches];
	if (slice_ends(domain, SLICE(".")))
		domain.len--;
	if (domain.len == 0 || !is_plain(domain) ||
	    domain.len > NAME_MAX_LEN || /* no name is that long */
	    domain.len > sizeof(out->text) - at || out->n_searches == RESOLV_SEARCHES)
		return;
	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.at[i];
		out->text[at + i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	out->search_at[++out->n_searches] = (uint16_t)(at + domain.len);
}

void resolv_conf_parse(struct slice text, struct resolv_conf *out)
{
	memset(out, 0, sizeof(*out));
	while (text.len) {
		struct slice line = slice_cut(&text, '\n'), word = next_word(&line);
		if (slice_is(word, "nameserver") && out->n_servers < RESOLV_SERVERS) {
			if (ip_parse(next_word(&line), &out->servers[out->n_servers]))
				out->n_servers++;
			continue;
		}
		bool domain = slice_is(word, "domain");
		if (!domain && !slice_is(word, "search"))
			continue;
		out->n_searches = 0; /* the last line of either counts */
		do {
			add_search(next_word(&line), out);
		} while (!domain && line.len);
	}
	out->said = out->n_servers > 0;
	if (!out->said)
		out->servers[out->n_servers++] = ip_v4(0x7f000001);
}

void resolv_conf_read(const char *path, struct resolv_conf *out)
{
	struct buf text;
	struct err err = {0};
	buf_init(&text, FILE_MAX);
	if (!read_file(path, &text, &err)) /* what was read counts, and nothing is an answer, too */
		log_debug("dns", "%s", err.text);
	resolv_conf_parse(buf_slice(&text), out);
	buf_fini(&text);
}

struct slice resolv_conf_search(const struct resolv_conf *c, unsigned i)
{
	return (struct slice){&c->text[c->search_at[i]],
			      (size_t)(c->search_at[i + 1] - c->search_at[i])};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool resolv_file_changed(struct resolv_file *f)
{
	struct stat now;
	if (stat(f->path, &now) < 0)
		return false;
	/* The time of a change counts beside that of a write, which a copy may keep (cp -p). */
	bool same = f->known && f->dev == now.st_dev && f->ino == now.st_ino &&
		    f->size == now.st_size && same_time(&f->mtime, &now.st_mtim) &&
		    same_time(&f->ctime, &now.st_ctim);
	*f = (struct resolv_file){.path = f->path,
				  .known = true,
				  .dev = now.st_dev,
				  .ino = now.st_ino,
				  .size = now.st_size,
				  .mtime = now.st_mtim,
				  .ctime = now.st_ctim};
	return !same;
}
