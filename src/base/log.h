/*
 * One line per event on standard error: time, level, room, then text that reads `what key=value
 * key=value`.
 *
 *   log_info("local", "pod ready name=%s ip=%s", name, ip);
 *
 * Info: what an operator acts on. Debug: one line per state change, free when off. Never a key, a
 * token or a body. Any thread; each line is one write(2).
 */
#pragma once
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level least);
/* "debug", "info", "warn" or "error" (Istio's "warning" too); false for anything else. */
bool log_level_parse(const char *name, enum log_level *out);
bool log_on(enum log_level level);
void log_line(enum log_level level, const char *room, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_debug(room, ...) (log_on(LOG_DEBUG) ? log_line(LOG_DEBUG, room, __VA_ARGS__) : (void)0)
#define log_info(room, ...) log_line(LOG_INFO, room, __VA_ARGS__)
#define log_warn(room, ...) log_line(LOG_WARN, room, __VA_ARGS__)
#define log_error(room, ...) log_line(LOG_ERROR, room, __VA_ARGS__)
