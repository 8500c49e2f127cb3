/*
 * Sockets that a worker opens for its workload to dial, as the Sidecar in force says (captureMode NONE).
 * They come and go with the view; one that cannot be opened is told of once and tried again every
 * second.
 *
 *   binds_init(&w->binds, w);
 *   binds_follow(&w->binds);            // the worker has another view
 *   binds_pause(&w->binds, true);       // accepts nothing for a while
 *   binds_fini(&w->binds);              // at the end of the worker's thread: the descriptors are its own
 *
 * All of it on the worker's thread.
 */
#pragma once
#include <bsd/sys/queue.h>

#include "loop/loop.h"

struct bind;
struct worker;

struct binds {
	struct worker *worker;
	TAILQ_HEAD(bind_list, bind) all;
	struct timer retry; /* of those that are not open */
	bool paused, over;
};

void binds_init(struct binds *b, struct worker *w);
void binds_follow(struct binds *b);
void binds_pause(struct binds *b, bool on);
void binds_fini(struct binds *b);
