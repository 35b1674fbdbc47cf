#include "commands/command_spool.h"

#include "base/sys.h"

struct spool *command_spool_open(const struct config *cfg, struct err *err)
{
	struct spool_options options = {
		.queue_directory = cfg->queue_directory,
		.hash_queue_names = cfg->hash_queue_names,
		.hash_queue_depth = cfg->hash_queue_depth,
		.long_ids = cfg->enable_long_queue_ids,
	};

	if (!sys_user(cfg->mail_owner, &options.owner, &options.group, err)) {
		err_prefix(err, "mail_owner");
		return NULL;
	}
	return spool_open(&options, err);
}

bool command_queue_id(const char *text, struct queue_id *id)
{
	struct str s = str_c(text);

	*id = (struct queue_id){""};
	if (!queue_id_valid(s) || s.n >= sizeof(id->text))
		return false;
	memcpy(id->text, s.p, s.n);
	return true;
}
