#include "local/testing.h"

#include "local/deployments.h"

struct world {
	struct loop *loop;
	struct store *store;
	struct deployments *deployments;
};

static int set_up(void **state)
{
	struct err err = {0};
	struct world *w = mem_new(sizeof(*w));
	w->loop = loop_new(&err);
	assert_non_null(w->loop);
	w->store = store_new();
	w->deployments = deployments_start(w->loop, w->store);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	deployments_stop(w->deployments);
	loop_free(w->loop);
	store_free(w->store);
	free(w);
	return 0;
}

static void deploy(struct world *w, unsigned replicas, const char *command)
{
	char text[512];
	snprintf(text, sizeof(text),
		 "{'metadata': {'name': 'web'}, 'spec': {'replicas': %u, 'selector': "
		 "{'matchLabels': "
		 "{'app': 'web'}}, 'template': {'metadata': {'labels': {'app': 'web'}}, 'spec': "
		 "{'containers': [{'name': 'c', 'command': ['%s']}]}}}}",
		 replicas, command);
	put(w->store, KIND_DEPLOYMENT, text);
}

/* Pods that run COMMAND and are not ending. */
static size_t count(struct world *w, const char *command)
{
	const struct object *pod = NULL;
	size_t n = 0;
	while ((pod = store_next(w->store, KIND_POD, NULL, pod)))
		n += !pod->meta.deletion_ns &&
		     strcmp(pod->pod->spec.containers[0].command[0], command) == 0;
	return n;
}

/* Plays the Pod controller once: Pods that end are gone, one that is not ready becomes so. */
static bool pods_go_on(struct world *w)
{
	const struct object *pod = NULL;
	struct err err = {0};
	while ((pod = store_next(w->store, KIND_POD, NULL, pod))) {
		if (pod->meta.deletion_ns) {
			assert_true(store_delete(w->store, KIND_POD, pod->meta.ns, pod->meta.name,
						 &err));
			return true;
		}
		if (!pod->pod->ready) {
			struct object *ready = object_with(
				pod, "status",
				SLICE("{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\","
				      "\"status\":\"True\"}]}"),
				&err);
			assert_non_null(ready);
			assert_true(store_apply(w->store, ready, STORE_REPLACE, 0, NULL, &err));
			object_put(ready);
			return true;
		}
	}
	return false;
}

static size_t count_ready(struct world *w)
{
	const struct object *pod = NULL;
	size_t n = 0;
	while ((pod = store_next(w->store, KIND_POD, NULL, pod)))
		n += pod->pod->ready && !pod->meta.deletion_ns;
	return n;
}

static void settle(struct world *w)
{
	deployments_reconcile(w->deployments);
	while (pods_go_on(w))
		deployments_reconcile(w->deployments);
}

static void has_as_many_pods_as_it_wants(void **state)
{
	struct world *w = *state;
	deploy(w, 3, "a");
	deployments_reconcile(w->deployments);
	assert_int_equal(count(w, "a"), 3);
	assert_false(deployments_settled(w->store));
	settle(w);
	assert_true(deployments_settled(w->store));
	deploy(w, 1, "a");
	settle(w);
	assert_int_equal(count(w, "a"), 1);
	deploy(w, 0, "a");
	settle(w);
	assert_int_equal(count(w, "a"), 0);
	assert_true(deployments_settled(w->store));
}

static void pods_carry_name_label_and_owner(void **state)
{
	struct world *w = *state;
	deploy(w, 1, "a");
	deployments_reconcile(w->deployments);
	const struct object *pod = store_next(w->store, KIND_POD, NULL, NULL);
	assert_non_null(pod);
	assert_true(slice_starts(slice_of(pod->meta.name), SLICE("web-")));
	assert_int_equal(strlen(pod->meta.name), strlen("web-xxxxx"));
	assert_string_equal(pod->meta.owner_kind, "Deployment");
	assert_string_equal(pod->meta.owner_name, "web");
	assert_string_equal(pairs_get(&pod->meta.labels, "app"), "web");
	assert_non_null(pairs_get(&pod->meta.labels, "pod-template-hash"));
}

static void a_new_template_replaces_one_after_the_other(void **state)
{
	struct world *w = *state;
	deploy(w, 3, "a");
	settle(w);
	deploy(w, 3, "b");
	deployments_reconcile(w->deployments);
	assert_false(deployments_settled(w->store));
	bool more = true;
	for (int i = 0; more; i++) {
		assert_true(i < 100);
		assert_true(count_ready(w) >= 3);                /* never fewer ready */
		assert_true(count(w, "a") + count(w, "b") <= 4); /* never more than one extra */
		more = pods_go_on(w);
		deployments_reconcile(w->deployments);
	}
	assert_int_equal(count(w, "a"), 0);
	assert_int_equal(count(w, "b"), 3);
	assert_true(deployments_settled(w->store));
}

static void what_never_became_ready_is_given_up_at_once(void **state)
{
	struct world *w = *state;
	deploy(w, 2, "broken");
	deployments_reconcile(w->deployments);
	deploy(w, 2, "b");
	deployments_reconcile(w->deployments);
	assert_int_equal(count(w, "broken"), 0);
	settle(w);
	assert_int_equal(count(w, "b"), 2);
}

static void its_pods_go_with_it(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	deploy(w, 2, "a");
	settle(w);
	assert_true(store_delete(w->store, KIND_DEPLOYMENT, "default", "web", &err));
	settle(w);
	assert_int_equal(store_count(w->store, KIND_POD), 0);
}

static void comes_to_rest(void **state)
{
	struct world *w = *state;
	deploy(w, 2, "a");
	settle(w);
	uint64_t version = store_version(w->store);
	deployments_reconcile(w->deployments);
	assert_int_equal(store_version(w->store), version);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(has_as_many_pods_as_it_wants),
		TEST(pods_carry_name_label_and_owner),
		TEST(a_new_template_replaces_one_after_the_other),
		TEST(what_never_became_ready_is_given_up_at_once),
		TEST(its_pods_go_with_it),
		TEST(comes_to_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
