/* The delivery agent for hosted mailboxes: path, user and group of a recipient's mailbox come from tables. */
#ifndef VIRTUAL_VIRTUAL_H
#define VIRTUAL_VIRTUAL_H

#include "deliver/deliver_command.h"
#include "service/agent.h"
#include "table/table.h"

/* What all deliveries of the process share; const after the start. */
struct virtual_env {
	const struct config *cfg;
	struct deliver_settings deliver;
	struct maps *mailboxes, *uids, *gids, *filter;
};

struct virtual_env *virtual_env_new(const struct config *cfg, struct err *err);
void virtual_env_free(struct virtual_env **env);

/* Where a recipient's mail goes. */
struct virtual_mailbox {
	const char *path;
	struct deliver_user user;
};
/* NULL: found. Else why the mail bounces or waits. */
const struct dsn *virtual_lookup(
	const struct virtual_env *env, struct pool *pool, const char *recipient, struct virtual_mailbox *out);

const struct dsn *virtual_deliver(
	const struct virtual_env *env, struct deliver_job *job, const char *recipient);

#endif
