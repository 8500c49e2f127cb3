#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static atomic_int least_level = LOG_INFO;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level least)
{
	atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < N_ELEMS(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	if (strcmp(name, "warning") == 0) {
		*out = LOG_WARN;
		return true;
	}
	return false;
}

bool log_on(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

void log_line(enum log_level level, const char *room, const char *fmt, ...)
{
	if (!log_on(level))
		return;
	char line[2048], when[40];
	int head = snprintf(line, sizeof(line),
			    "%s %s %s: ", clock_rfc3339(clock_wall_ns(), when, sizeof(when)),
			    level_names[level], room);
	size_t n = head < 0 ? 0 : (size_t)head;
	va_list args;
	va_start(args, fmt);
	int body = vsnprintf(line + n, sizeof(line) - n - 1, fmt, args);
	va_end(args);
	if (body > 0)
		n += (size_t)body;
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2; /* a long line is cut */
	for (size_t i = 0; i < n; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nowhere left to say it */
}
