#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(struct err *err, enum err_kind kind, int sys, const char *fmt, va_list args)
{
	err->kind = kind;
	err->sys = sys;
	if (vsnprintf(err->text, sizeof(err->text), fmt, args) < 0)
		err->text[0] = '\0';
}

bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	if (!err)
		return false;
	va_list args;
	va_start(args, fmt);
	fill(err, kind, 0, fmt, args);
	va_end(args);
	return false;
}

bool err_sys(struct err *err, const char *fmt, ...)
{
	int sys = errno;
	if (!err)
		return false;
	va_list args;
	va_start(args, fmt);
	fill(err, ERR_SYS, sys, fmt, args);
	va_end(args);
	size_t used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s",
		       strerror(sys)); /* cut short is fine */
	return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
	if (!err)
		return false;
	char inner[sizeof(err->text)];
	memcpy(inner, err->text, sizeof(inner));
	va_list args;
	va_start(args, fmt);
	fill(err, err->kind, err->sys, fmt, args);
	va_end(args);
	size_t used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s",
		       inner); /* cut short is fine */
	return false;
}

void must_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "hark: %s:%d: must hold: %s\n", file, line, what);
	abort();
}
