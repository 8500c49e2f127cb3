#include "cli/file_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/mem.h"

enum { FILE_BYTES_MAX = 32 * 1024 * 1024 };

static bool read_stream(struct file_list *f, FILE *from, const char *name, struct err *err)
{
	struct buf text;
	buf_init(&text, FILE_BYTES_MAX);
	for (;;) {
		size_t room;
		char *at = buf_reserve(&text, 4096, &room);
		if (!at) {
			buf_fini(&text);
			return err_set(err, ERR_LIMIT, "%s: larger than %d bytes", name,
				       FILE_BYTES_MAX);
		}
		size_t n = fread(at, 1, room, from);
		buf_commit(&text, n);
		if (n < room)
			break;
	}
	if (ferror(from)) {
		buf_fini(&text);
		return err_sys(err, "%s", name);
	}
	if (f->n == f->size) {
		f->size = f->size ? 2 * f->size : 16;
		f->at = mem_grow(f->at, f->size, sizeof(*f->at));
	}
	f->at[f->n++] = (struct apply_file){.name = arena_dup(f->arena, slice_of(name)),
					    .text = arena_dup_slice(f->arena, buf_slice(&text))};
	buf_fini(&text);
	return true;
}

static bool read_file(struct file_list *f, const char *path, struct err *err)
{
	FILE *from = fopen(path, "re");
	if (!from)
		return err_sys(err, "%s", path);
	bool ok = read_stream(f, from, path, err);
	(void)fclose(from); /* only read from */
	return ok;
}

static int is_manifest(const struct dirent *entry)
{
	struct slice name = slice_of(entry->d_name);
	return entry->d_name[0] != '.' &&
	       (slice_ends(name, SLICE(".yaml")) || slice_ends(name, SLICE(".yml")) ||
		slice_ends(name, SLICE(".json")));
}

static bool read_folder(struct file_list *f, const char *path, struct err *err)
{
	struct dirent **names;
	int n = scandir(path, &names, is_manifest, alphasort);
	bool ok = true;

	if (n < 0)
		return err_sys(err, "%s", path);
	for (int i = 0; i < n; i++) {
		const char *slash = slice_ends(slice_of(path), SLICE("/")) ? "" : "/";
		ok = ok &&
		     read_file(f, arena_printf(f->arena, "%s%s%s", path, slash, names[i]->d_name),
			       err);
		free(names[i]);
	}
	free(names);
	if (ok && n == 0)
		return err_set(err, ERR_BAD_INPUT, "%s: no *.yaml, *.yml or *.json in there", path);
	return ok;
}

static bool read_path(struct file_list *f, const char *path, struct err *err)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return read_stream(f, stdin, "(standard input)", err);
	if (stat(path, &st) < 0)
		return err_sys(err, "%s", path);
	return S_ISDIR(st.st_mode) ? read_folder(f, path, err) : read_file(f, path, err);
}

bool file_list_read(struct file_list *f, const struct arg_list *given, char **operands, unsigned n,
		    struct err *err)
{
	*f = (struct file_list){.arena = arena_new()};
	for (size_t i = 0; i < given->n; i++)
		if (!read_path(f, given->at[i], err))
			return false;
	for (unsigned i = 0; i < n; i++)
		if (!read_path(f, operands[i], err))
			return false;
	return true;
}

void file_list_fini(struct file_list *f)
{
	free(f->at);
	arena_free(f->arena);
}

json_t *file_list_json(const struct file_list *f, struct err *err)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++) {
		json_t *text = json_stringn(f->at[i].text.at, f->at[i].text.len);
		json_t *name = json_string(f->at[i].name);
		if (!text || !name) {
			(void)err_set(err, ERR_BAD_INPUT, "%s: no UTF-8 text",
				      f->at[i].name); /* NULL says so too */
			json_decref(text);
			json_decref(name);
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, json_pack("{s:o, s:o}", "name", name, "text", text));
	}
	return json_pack("{s:o}", "files", list);
}
