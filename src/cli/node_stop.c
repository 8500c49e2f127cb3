#include "cli/node_stop.h"

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>

enum { POLITE_MS = 20000 }; /* longer than a node gives its Pods */

bool node_stop(struct node_handle *node, bool ended, int hurry_fd, struct err *err)
{
	struct pollfd wait[] = {{.fd = node->pidfd, .events = POLLIN},
				{.fd = hurry_fd, .events = POLLIN}};
	/* a signal that cannot be sent finds nobody: then node_kill has nothing to do either */
	if (!ended && pidfd_send_signal(node->pidfd, SIGTERM, NULL, 0) == 0)
		(void)poll(wait, 2, POLITE_MS); /* ended or not: killed next */
	return node_kill(node, err);
}
