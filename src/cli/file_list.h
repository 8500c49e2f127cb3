/*
 * The files that -f and operands name: folders give their *.yaml, *.yml and *.json in the order of
 * names, "-" is standard input.
 *
 *   struct file_list files;
 *   if (!file_list_read(&files, &given, operands, n, &err)) ...
 *   apply_check(files.at, files.n, &messages);
 *   file_list_fini(&files);
 */
#pragma once
#include <jansson.h>

#include "cli/args.h"
#include "local/apply.h"

struct file_list {
	struct apply_file *at;
	size_t n, size;
	struct arena *arena;
};

/* OPERANDS follow those of GIVEN. Fini in any case. */
bool file_list_read(struct file_list *f, const struct arg_list *given, char **operands, unsigned n,
		    struct err *err) MUST_CHECK;
void file_list_fini(struct file_list *f);
/* {"files": [{"name", "text"}]}; NULL: a file is no UTF-8 text, which ERR names. */
json_t *file_list_json(const struct file_list *f, struct err *err);
