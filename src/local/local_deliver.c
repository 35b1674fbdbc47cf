#include "local/local.h"
#include "mail/address.h"
#include <unistd.h>

/* The user's name: the local part in lower case, without extension. */
static const char *user_name(const struct local_job *job)
{
	struct str local = address_local(str_c(job->recipient));
	char *name = pool_strndup(job->pool, local.p, local.n);
	ptrdiff_t at;

	ascii_lower(name);
	at = address_extension(str_c(name), job->settings->cfg->recipient_delimiter);
	if (at >= 0)
		name[at] = '\0';
	return name;
}

static bool is_maildir(const char *path)
{
	size_t n = strlen(path);

	return n > 0 && path[n - 1] == '/';
}

static const struct dsn *deliver_to(struct local_job *job, const char *path, bool shared)
{
	return is_maildir(path) ? local_maildir(job, path, shared) : local_mailbox(job, path, shared);
}

/*
 * Without root everything is delivered as the user that the mail system runs as: to that user's home, or for
 * all to the directories below mail_spool_directory.
 */
static bool may_use_home(const struct local_user *user)
{
	return geteuid() == 0 || user->uid == geteuid();
}

static const struct dsn *deliver_to_user(struct local_job *job, struct local_user *user)
{
	const struct config *cfg = job->settings->cfg;
	bool maildirs = is_maildir(cfg->mail_spool_directory);

	if (cfg->home_mailbox[0] && may_use_home(user))
		return deliver_to(job, pool_printf(job->pool, "%s/%s", user->home, cfg->home_mailbox), false);
	if (geteuid() != 0) {
		user->uid = geteuid();
		user->gid = getegid();
	}
	return deliver_to(job,
		pool_printf(job->pool, maildirs ? "%s%s/" : "%s/%s", cfg->mail_spool_directory, user->name),
		true);
}

/* NULL: no loop. */
static const struct dsn *check_loop(struct local_job *job)
{
	struct err err = {""};
	bool found = false;
	enum spool_status status = local_content_delivered_to(job->reader, job->recipient, &found, &err);

	job->corrupt = status == SPOOL_CORRUPT;
	if (status != SPOOL_OK || !spool_rewind(job->reader))
		return dsn_make(job->pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", err.text);
	if (!found)
		return NULL;
	return dsn_make(job->pool, DSN_FAILED, "5.4.6", "mail forwarding loop for %s", job->recipient);
}

const struct dsn *local_deliver(struct local_job *job)
{
	const struct dsn *loop = check_loop(job);
	const char *name = user_name(job);
	struct local_user *user = pool_alloc(job->pool, sizeof(*user));
	struct err err = {""};

	if (loop)
		return loop;
	job->user = user;
	switch (local_user_find(job->pool, name, user, &err)) {
	case LOCAL_USER_FOUND:
		return deliver_to_user(job, user);
	case LOCAL_USER_UNKNOWN:
		return dsn_make(job->pool, DSN_FAILED, "5.1.1", "unknown user: \"%s\"", name);
	default:
		return dsn_make(
			job->pool, DSN_DELAYED, "4.3.0", "cannot find user \"%s\": %s", name, err.text);
	}
}
