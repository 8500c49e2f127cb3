#include "cli/columns.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"

void columns_init(struct columns *c, size_t n)
{
	MUST(n <= COLUMNS_MAX);
	*c = (struct columns){.n = n};
}

void columns_row(struct columns *c, ...)
{
	va_list ap;
	va_start(ap, c);
	if (c->n_cells + c->n > c->size) {
		c->size = 2 * c->size + c->n;
		c->cells = mem_grow(c->cells, c->size, sizeof(*c->cells));
	}
	for (size_t i = 0; i < c->n; i++)
		c->cells[c->n_cells++] = mem_strdup(va_arg(ap, const char *));
	va_end(ap);
}

void columns_print(struct columns *c, struct columns_memory *memory)
{
	struct columns_memory own = {0};
	struct columns_memory *m = memory ? memory : &own;
	for (size_t i = 0; i < c->n_cells; i++) {
		size_t len = strlen(c->cells[i]);
		if (len > m->width[i % c->n])
			m->width[i % c->n] = len;
	}
	for (size_t i = 0; i < c->n_cells; i++) {
		size_t column = i % c->n;
		bool title = i < c->n;
		if (title && m->titled) {
			free(c->cells[i]);
			continue;
		}
		if (column == 0 && m->event)
			printf("%-8s  ", title ? "EVENT" : m->event);
		if (column + 1 < c->n)
			printf("%-*s  ", (int)m->width[column], c->cells[i]);
		else
			printf("%s\n", c->cells[i]);
		free(c->cells[i]);
	}
	m->titled = true;
	free(c->cells);
}

const char *columns_age(const char *since, char *out, size_t out_len)
{
	struct tm tm = {0};
	if (!strptime(since, "%Y-%m-%dT%H:%M:%S", &tm))
		return "";
	long long s = (long long)(time(NULL) - timegm(&tm));
	if (s < 0)
		s = 0;
	if (s < 120)
		snprintf(out, out_len, "%llds", s);
	else if (s < 120LL * 60)
		snprintf(out, out_len, "%lldm", s / 60);
	else if (s < 48LL * 3600)
		snprintf(out, out_len, "%lldh", s / 3600);
	else
		snprintf(out, out_len, "%lldd", s / 86400);
	return out;
}
