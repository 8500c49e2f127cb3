#include "cli/sidecar.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "model/sidecar.h"
#include "net/sock.h"
#include "rest/client.h"
#include "sandbox/exec.h"
#include "sandbox/netns.h"

enum { CONNECT_MS = 5000, ANSWER_MS = 10000 };

bool sidecar_is_there(const json_t *pod)
{
	return pod_container_name(pod, SIDECAR_NAME) != NULL;
}

static bool dial(int fd, struct err *err)
{
	struct addr admin = {.ip = ip_v4(INADDR_LOOPBACK), .port = SIDECAR_ADMIN_PORT};
	struct sockaddr_storage sa;
	struct pollfd made = {.fd = fd, .events = POLLOUT};
	socklen_t len = addr_to_sockaddr(&admin, &sa);

	if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		return err_sys(err, "the sidecar's admin port");
	if (poll(&made, 1, CONNECT_MS) != 1)
		return err_set(err, ERR_NOT_NOW, "the sidecar's admin port does not answer");
	errno = net_connect_result(fd);
	return errno == 0 || err_sys(err, "the sidecar's admin port");
}

static bool call(const struct mesh_client *c, const json_t *pod, const char *method,
		 const char *path, unsigned *status, struct buf *out, struct err *err)
{
	struct rest_ask ask = {.method = method, .path = path, .timeout_ms = ANSWER_MS};
	char id[512];

	if (!sidecar_is_there(pod))
		return err_set(err, ERR_NOT_FOUND, "Pod %s/%s has no sidecar", pod_ns(pod),
			       pod_name(pod));
	pod_container_id(pod, SIDECAR_NAME, id, sizeof(id));
	int ns = exec_netns(&c->node, id, err);
	if (ns < 0)
		return err_wrap(err, "Pod %s/%s", pod_ns(pod), pod_name(pod));
	int fd = netns_socket(ns, AF_INET, SOCK_STREAM, err);
	(void)close(ns); /* a namespace's handle */
	if (fd < 0)
		return false;
	if (!dial(fd, err)) {
		(void)close(fd); /* nothing was said on it */
		return err_wrap(err, "Pod %s/%s", pod_ns(pod), pod_name(pod));
	}
	return rest_call_fd(fd, &ask, status, out, err);
}

bool sidecar_get(const struct mesh_client *c, const json_t *pod, const char *path, unsigned *status,
		 struct buf *out, struct err *err)
{
	return call(c, pod, "GET", path, status, out, err);
}

bool sidecar_post(const struct mesh_client *c, const json_t *pod, const char *path,
		  unsigned *status, struct buf *out, struct err *err)
{
	return call(c, pod, "POST", path, status, out, err);
}
