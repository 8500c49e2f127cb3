/*
 * Text in aligned columns on standard output.
 *
 *   struct columns c;
 *   columns_init(&c, 3);
 *   columns_row(&c, "NAME", "READY", "IP");      // as many texts as columns, copied
 *   columns_print(&c, NULL);                     // prints and frees
 *
 * A table that goes on has a struct columns_memory, at first zero: each print continues the last one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { COLUMNS_MAX = 12 };

struct columns_memory {
	size_t width[COLUMNS_MAX];
	bool titled;       /* the first row is not printed again */
	const char *event; /* in a column before the others; NULL: there is none */
};

struct columns {
	size_t n, n_cells, size;
	char **cells;
};

void columns_init(struct columns *c, size_t n);
void columns_row(struct columns *c, ...);                             /* exactly N const char * */
void columns_print(struct columns *c, struct columns_memory *memory); /* MEMORY may be NULL */
/* "5s", "3m", "2h", "4d" since an RFC 3339 time; "" when it is none. */
const char *columns_age(const char *since, char *out, size_t out_len);
