#include "nameserver/resolv_conf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { FILE_MAX = 64 * 1024 };

static struct slice next_word(struct slice *line)
{
	struct slice rest = slice_trim(*line);
	size_t len = 0;
	while (len < rest.len && rest.at[len] != ' ' && rest.at[len] != '\t')
		len++;
	*line = slice_sub(rest, len, rest.len);
	return slice_sub(rest, 0, len);
}

static void set_search(struct slice domain, struct resolv_conf *out)
{
	if (slice_ends(domain, SLICE(".")))
		domain.len--;
	if (domain.len >= sizeof(out->search))
		return; /* no name is that long */
	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.at[i];
		out->search[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	out->search[domain.len] = '\0';
}

void resolv_conf_parse(struct slice text, struct resolv_conf *out)
{
	memset(out, 0, sizeof(*out));
	while (text.len) {
		struct slice line = slice_cut(&text, '\n'), word = next_word(&line);
		struct slice value = next_word(&line);
		if (slice_is(word, "nameserver") && out->n_servers < RESOLV_SERVERS) {
			if (ip_parse(value, &out->servers[out->n_servers]))
				out->n_servers++;
		} else if (slice_is(word, "search") || slice_is(word, "domain")) {
			set_search(value, out); /* the last one counts */
		}
	}
	out->said = out->n_servers > 0;
	if (!out->said)
		out->servers[out->n_servers++] = ip_v4(0x7f000001);
}

void resolv_conf_read(const char *path, struct resolv_conf *out)
{
	char *text = mem_new(FILE_MAX);
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && len < FILE_MAX) {
		ssize_t n = read(fd, &text[len], FILE_MAX - len);
		if (n <= 0)
			break; /* what was read counts */
		len += (size_t)n;
	}
	if (fd >= 0)
		(void)close(fd); /* only read */
	resolv_conf_parse((struct slice){text, len}, out);
	free(text);
}
