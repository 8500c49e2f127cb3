/* What authority.c (its life, tokens, service) and authority_root.c (the change of its root) share. */
#pragma once
#include "base/name_set.h"
#include "control/ca_service.h"
#include "local/authority.h"
#include "local/ca_dir.h"

struct authority {
	struct node *node;
	struct store *store;
	char *dir;       /* NULL: in memory */
	struct ca *ca;   /* signs, and says which roots are trusted */
	struct ca *next; /* TRUSTING: what will sign; else NULL */
	enum authority_phase phase;
	struct keypair *token_key;
	struct token_keys *keys;
	struct ca_service *service;
	struct grpc_server *server;
	int64_t server_renew_s; /* when its own certificate is made anew */
	char addr[ADDR_TEXT];
	char roots_dir[NODE_PATH_LEN];
	struct timer check;      /* once a minute */
	struct name_set holders; /* Pods that have a certificate of ours */
	struct name_set renewed; /* those that asked since the roots changed; while they do */
	struct timer renewals;   /* somebody did, or is gone */
	struct store_watch pods;
};

int64_t authority_now_s(void);
struct ca *authority_new_root(const struct authority *a, struct err *err) MUST_CHECK;
/* CA signs from now on, and its roots are those to trust. Takes a reference. On failure nothing has
 * changed. */
bool authority_use(struct authority *a, struct ca *ca, struct err *err) MUST_CHECK;
/* CA as the authority kept in the folder; nothing to do without one. */
bool authority_keep(const struct authority *a, const struct ca *ca, struct err *err) MUST_CHECK;
/* authority_root.c: at the start, where the folder may show a change that had begun; each certificate
 * issued. */
void authority_root_start(struct authority *a);
void authority_root_issued(void *ctx, const struct object *pod, const char *uri);
void authority_root_check(struct authority *a); /* now and then */
void authority_root_stop(struct authority *a);
