/* What mesh.c and mesh_routes.c share: the parts of a running mesh. */
#pragma once
#include "control/api_server.h"
#include "local/authority.h"
#include "local/mesh.h"
#include "local/pods.h"

struct mesh_waiter;

struct mesh {
	struct node *node;
	struct loop *loop;
	struct store *store;
	struct deployments *deployments;
	struct services *services;
	struct entry_vips *entry_vips;
	struct endpoints *endpoints;
	struct nft_runner *rules; /* those of vips */
	struct vips *vips;
	struct pods *pods;
	struct authority *authority;
	struct cluster_dns *dns;
	struct api_server *admin, *sidecars;
	struct io signals;
	bool stopping;
};

/* Adds /hark/v1/... to the admin server. */
void mesh_routes(struct mesh *m);
