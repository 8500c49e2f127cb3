#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void *mem_new(size_t len)
{
	void *p = calloc(1, len ? len : 1);
	MUST(p != NULL);
	return p;
}

void *mem_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);
	MUST(p != NULL);
	return p;
}

void *mem_grow(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n ? n : 1, size ? size : 1);
	MUST(p != NULL);
	return p;
}

char *mem_strdup(const char *s)
{
	char *p = strdup(s);
	MUST(p != NULL);
	return p;
}
