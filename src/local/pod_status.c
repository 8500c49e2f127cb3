#include "local/pod_status.h"

#include <string.h>

#include "base/json_out.h"

static void write_time(struct json_out *j, const char *key, uint64_t wall_ns)
{
	char text[32];
	json_cstr(j, key, clock_rfc3339(wall_ns, text, sizeof(text)));
}

static void write_ips(struct json_out *j, const struct pod_run *run)
{
	char text[ADDR_TEXT];
	enum ip_family first = run->has_ip[IP_V4] ? IP_V4 : IP_V6;

	if (!run->has_ip[first])
		return;
	json_cstr(j, "podIP", ip_text(&run->ip[first], text));
	json_open_array(j, "podIPs");
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		if (!run->has_ip[f])
			continue;
		json_open_object(j, NULL);
		json_cstr(j, "ip", ip_text(&run->ip[f], text));
		json_close(j);
	}
	json_close(j);
}

static void write_state(struct json_out *j, const struct container_life *c)
{
	json_open_object(j, "state");
	switch (c->state) {
	case LIFE_WAITING:
	case LIFE_STARTING:
	case LIFE_BACK_OFF:
		json_open_object(j, "waiting");
		json_cstr(j, "reason",
			  c->state == LIFE_BACK_OFF ? "CrashLoopBackOff" : "ContainerCreating");
		if (c->message[0])
			json_cstr(j, "message", c->message);
		json_close(j);
		break;
	case LIFE_RUNNING:
		json_open_object(j, "running");
		write_time(j, "startedAt", c->started_wall_ns);
		json_close(j);
		break;
	case LIFE_ENDED:
		json_open_object(j, "terminated");
		json_u64(j, "exitCode", (uint64_t)c->exit_code);
		json_cstr(j, "reason",
			  c->never_started    ? "StartError"
			  : c->exit_code == 0 ? "Completed"
					      : "Error");
		if (c->message[0])
			json_cstr(j, "message", c->message);
		write_time(j, "finishedAt", c->ended_wall_ns);
		json_close(j);
		break;
	}
	json_close(j);
}

static void write_containers(struct json_out *j, const struct pod_run *run, const char *key,
			     bool app)
{
	size_t n = 0;
	for (size_t i = 0; i < run->n_containers; i++)
		n += (run->containers[i].role == ROLE_APP) == app;
	if (n == 0)
		return;
	json_open_array(j, key);
	for (size_t i = 0; i < run->n_containers; i++) {
		const struct container_life *c = &run->containers[i];
		if ((c->role == ROLE_APP) != app)
			continue;
		json_open_object(j, NULL);
		json_cstr(j, "name", container_life_name(c));
		json_bool(j, "ready",
			  c->role == ROLE_INIT ? c->state == LIFE_ENDED && c->exit_code == 0
					       : c->ready);
		json_bool(j, "started", c->state == LIFE_RUNNING);
		json_u64(j, "restartCount", c->restarts);
		write_state(j, c);
		json_close(j);
	}
	json_close(j);
}

bool pod_status_write(const struct pod_run *run, struct buf *out)
{
	struct json_out j;
	bool ready = pod_run_ready(run);
	const char *message = pod_run_message(run);
	char text[ADDR_TEXT];

	json_out_init(&j, out);
	json_open_object(&j, NULL);
	json_cstr(&j, "phase", pod_run_phase(run));
	if (*message)
		json_cstr(&j, "message", message);
	json_cstr(&j, "hostIP", ip_text(&pods_node(run->pods)->gateway_v4, text));
	write_ips(&j, run);
	write_time(&j, "startTime", run->started_wall_ns);
	json_open_array(&j, "conditions");
	json_open_object(&j, NULL);
	json_cstr(&j, "type", "Ready");
	json_cstr(&j, "status", ready ? "True" : "False");
	if (!ready)
		json_cstr(&j, "reason",
			  run->state == RUN_FINISHED ? "PodCompleted" : "ContainersNotReady");
	json_close(&j);
	json_close(&j);
	write_containers(&j, run, "initContainerStatuses", false);
	write_containers(&j, run, "containerStatuses", true);
	json_close(&j);
	return !out->full;
}
