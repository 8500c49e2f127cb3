#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "decide/learn.h"
#include "observe/admin.h"
#include "observe/fixture.h"

static json_t *parse(struct buf *text)
{
	json_error_t error;
	assert_false(text->full);
	json_t *o = json_loads(buf_cstr(text), JSON_REJECT_DUPLICATES, &error);
	if (!o)
		fail_msg("%s: %s", error.text, buf_cstr(text));
	return o;
}

static const char *text_at(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void config(void **state)
{
	(void)state;
	struct world w;
	struct buf text;
	world_init(&w, "shop", "web-1", observe_yaml);
	buf_init(&text, 1 << 20);
	assert_true(admin_config_json(w.view, &text));
	json_t *o = parse(&text);
	assert_string_equal(text_at(json_object_get(o, "self"), "pod"), "web-1");
	assert_string_equal(text_at(json_object_get(o, "mesh"), "outbound_traffic_policy"),
			    "ALLOW_ANY");
	assert_string_equal(text_at(json_object_get(o, "mesh"), "detection"), "both-ends");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(o, "counts"), "services")), 2);
	const json_t *services = json_object_get(o, "services");
	assert_int_equal(json_array_size(services), 2);
	const json_t *db = json_array_get(services, 0);
	assert_string_equal(text_at(db, "host"), "db.data.svc.cluster.local");
	assert_string_equal(json_string_value(json_array_get(json_object_get(db, "addresses"), 0)),
			    "198.19.0.2");
	const json_t *port = json_array_get(json_object_get(db, "ports"), 0);
	assert_string_equal(text_at(port, "protocol"), "auto");
	assert_string_equal(text_at(port, "declared_by"), "undeclared");
	const json_t *ep = json_array_get(json_object_get(port, "endpoints"), 0);
	assert_string_equal(text_at(ep, "address"), "198.18.0.2:3307");
	assert_string_equal(text_at(json_object_get(ep, "workload"), "pod"), "db-0");
	json_decref(o);
	buf_fini(&text);
	world_fini(&w);
}

static void learned(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	struct buf text;
	world_init(&w, "shop", "web-1", observe_yaml);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	learn_teach(p.live, FW_TEACH_SERVER_FIRST, GREET_IS_MYSQL);
	buf_init(&text, 1 << 20);
	assert_true(admin_learned_json(w.live, &text));
	json_t *o = parse(&text);
	const json_t *ports = json_object_get(o, "ports");
	const json_t *found = NULL;
	for (size_t i = 0; i < json_array_size(ports); i++) {
		const json_t *port = json_array_get(ports, i);
		const char *service = text_at(port, "service");
		if (service && strcmp(service, "data/db") == 0 &&
		    strcmp(text_at(port, "side"), "outbound") == 0)
			found = port;
	}
	assert_non_null(found);
	assert_string_equal(text_at(found, "learned"), "server-first");
	assert_string_equal(text_at(found, "greeting"), "mysql");
	assert_string_equal(text_at(found, "app_protocol"), "mysql");
	assert_int_equal(json_integer_value(json_object_get(found, "port")), 3307);
	json_decref(o);
	buf_fini(&text);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config),
		cmocka_unit_test(learned),
	};
	return cmocka_run_group_tests_name("observe/admin", tests, NULL, NULL);
}
