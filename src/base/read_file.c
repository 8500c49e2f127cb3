#include "base/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool read_file(const char *path, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, "%s", path);
	bool ok = true;
	for (;;) {
		size_t room = 0;
		char *to = buf_reserve(out, 1, &room);
		if (!to) {
			ok = err_set(err, ERR_LIMIT, "%s: more than %zu bytes", path, out->max);
			break;
		}
		ssize_t n = read(fd, to, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ok = err_sys(err, "%s", path);
		if (n <= 0)
			break;
		buf_commit(out, (size_t)n);
	}
	(void)close(fd); /* nothing was written */
	return ok;
}
