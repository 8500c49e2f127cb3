/*
 * For the controllers' tests: resources written as JSON with single quotes.
 *
 *   struct store *s = store_new();
 *   put(s, KIND_POD, "{'metadata': {'name': 'a'}, 'spec': {...}}");
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/store.h"

static inline struct object *make(enum kind kind, const char *text)
{
	struct err err = {0};
	char *json = mem_strdup(text);
	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	struct object *o = object_from_json(kind, slice_of(json), false, &err);
	if (!o)
		fail_msg("%s: %s", err.text, json);
	free(json);
	return o;
}

static inline void put(struct store *s, enum kind kind, const char *text)
{
	struct err err = {0};
	struct object *o = make(kind, text);
	if (!store_apply(s, o, STORE_CREATE_OR_REPLACE, 0, NULL, &err))
		fail_msg("%s", err.text);
	object_put(o);
}

/* A Pod of namespace "default" with label app=APP and one container port `web`; MORE: further members
 * of its spec, with a comma before them. */
static inline void put_pod(struct store *s, const char *name, const char *app, unsigned web_port,
			   const char *ip, bool ready, const char *more)
{
	char text[1024];
	snprintf(text, sizeof(text),
		 "{'metadata': {'name': '%s', 'labels': {'app': '%s'}},"
		 " 'spec': {'containers': [{'name': 'c', 'command': ['x'], 'ports': [{'name': "
		 "'web', "
		 "'containerPort': %u}]}]%s},"
		 " 'status': {'phase': 'Running', 'podIP': '%s', 'podIPs': [{'ip': '%s'}],"
		 " 'conditions': [{'type': 'Ready', 'status': '%s'}]}}",
		 name, app, web_port, more, ip, ip, ready ? "True" : "False");
	put(s, KIND_POD, text);
}
