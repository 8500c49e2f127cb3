/*
 * Errors: one struct on the caller's stack, filled where trouble starts, wrapped on the way up,
 * spoken once at the top.
 *
 *   struct err err = {0};
 *   if (!listener_open(&ls, on, &err)) {
 *           log_error("proxy", "listener inbound: %s", err.text);
 *
 * Every err_* function returns false, so that `return err_sys(err, "bind %s", text);` is the whole
 * failure path. Nothing to free. ERR may be NULL where the caller does not want the text.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
/* An enum that takes no more bytes than its values need: for structs of which there are many. */
#define SMALL_ENUM __attribute__((packed))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

enum err_kind {
	ERR_NONE,
	ERR_SYS,       /* a system call failed; .sys holds errno */
	ERR_BAD_INPUT, /* what a person or a peer gave us is wrong */
	ERR_NOT_FOUND,
	ERR_CONFLICT, /* exists already, or another version is there */
	ERR_LIMIT,    /* a stated bound was reached */
	ERR_NOT_NOW,  /* not possible in this state (OpenSSL has an ERR_STATE of its own) */
};

struct err {
	enum err_kind kind;
	int sys; /* errno of ERR_SYS, else 0 */
	char text[1024];
};

bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Text is "WHAT: strerror(errno)". Call it before anything else can change errno. */
bool err_sys(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "PREFIX: " before the text; keeps kind and errno. */
bool err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The process is broken: say where, abort. For our own bugs only, never for what a peer or a file
 * says. */
#define MUST(x) ((x) ? (void)0 : must_failed(#x, __FILE__, __LINE__))
_Noreturn void must_failed(const char *what, const char *file, int line);
