/* Final destinations: mailboxes, commands, files. */
#include "base/clock.h"
#include "base/log.h"
#include "base/sys_identity.h"
#include "local/local.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADERS_MAX 16384

static const struct dsn *later(const struct local_plan *plan, const char *text)
{
	return dsn_make(plan->pool, DSN_DELAYED, "4.3.0", "%s", text);
}

static struct deliver_job make_job(const struct local_plan *plan, const struct local_leaf *leaf,
	const struct deliver_user *user, int context)
{
	return (struct deliver_job){
		.settings = &plan->env->deliver,
		.pool = plan->pool,
		.reader = plan->reader,
		.sender = leaf->where.sender,
		.delivered = plan->env->delivered_contexts & context ? leaf->where.delivered : NULL,
		.original = plan->env->cfg->enable_original_recipient ? leaf->where.original : NULL,
		.queue_id = plan->agent->request->qid.text,
		.user = user,
	};
}

/* ---- commands */

static const char *attribute(const struct local_plan *plan, const char *name)
{
	return delivery_attribute(plan->agent->request, name);
}

/* user NULL: in nobody's name, with neither home nor shell. */
static const char *const *make_environment(
	const struct local_plan *plan, const struct local_where *where, const struct deliver_user *user)
{
	const struct local_name *name = &where->name;
	const char *filter = plan->env->cfg->command_expansion_filter;
	const struct {
		const char *name, *value;
	} rows[] = {
		{"USER", name->user},
		{"LOGNAME", name->user},
		{"LOCAL", name->local},
		{"EXTENSION", name->extension[0] ? name->extension : NULL},
		{"DOMAIN", name->domain[0] ? name->domain : NULL},
		{"RECIPIENT", name->address},
		{"ORIGINAL_RECIPIENT", where->original},
		{"SENDER", where->sender},
		{"CLIENT_ADDRESS", attribute(plan, "client_address")},
		{"CLIENT_HELO", attribute(plan, "helo_name")},
		{"CLIENT_HOSTNAME", attribute(plan, "client_name")},
		{"CLIENT_PROTOCOL", attribute(plan, "protocol_name")},
		{"SASL_METHOD", attribute(plan, "sasl_method")},
		{"SASL_SENDER", attribute(plan, "sasl_sender")},
		{"SASL_USERNAME", attribute(plan, "sasl_username")},
	};
	struct deliver_environment e;

	deliver_environment_begin(&e, plan->pool, plan->env->cfg->export_environment);
	deliver_environment_set(&e, "HOME", user ? user->home : NULL, NULL);
	deliver_environment_set(&e, "SHELL", user ? user->shell : NULL, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		deliver_environment_set(&e, rows[i].name, rows[i].value, filter);
	return e.list;
}

/* false: command_execution_directory makes no sense. */
static bool find_directory(const struct local_plan *plan, const struct local_where *where,
	const struct deliver_user *user, const char **directory)
{
	const struct config *cfg = plan->env->cfg;
	struct buf out = BUF(4096);
	struct err err = {""};
	bool ok;

	*directory = NULL;
	if (!cfg->command_execution_directory[0])
		return true;
	ok = local_names_expand(cfg->command_execution_directory, &where->name, user,
		cfg->execution_directory_expansion_filter, true, &out, &err);
	if (ok)
		*directory = pool_strdup(plan->pool, buf_cstr(&out));
	else
		log_warning("parameter command_execution_directory: %s", err.text);
	buf_free(&out);
	return ok;
}

/* named: the user in whose name the command runs, or NULL; rights: as whom. */
static const struct dsn *run(struct local_plan *plan, const struct local_leaf *leaf, const char *text,
	const struct deliver_user *named, const struct deliver_user *rights)
{
	const struct deliver_form form = {.eol = "\n"};
	struct deliver_job job = make_job(plan, leaf, rights, CONTEXT_COMMAND);
	struct deliver_command command = {
		.program = "local: fatal",
		.argv = deliver_shell_words(plan->pool, text, plan->env->cfg->local_command_shell),
		.env = make_environment(plan, &leaf->where, named),
		.uid = rights->uid,
		.gid = rights->gid,
		.time_limit = plan->env->cfg->command_time_limit,
		.file_limit = plan->env->cfg->mailbox_size_limit,
	};
	struct deliver_command_result result;
	struct buf head = BUF(HEADERS_MAX);
	const struct dsn *dsn;

	if (!find_directory(plan, &leaf->where, named, &command.directory))
		return later(plan, "mail system configuration error");
	deliver_from_line(job.sender, clock_real(), &head);
	deliver_headers(&job, &head);
	deliver_command_run(&job, buf_slice(&head), &form, &command, &result);
	if (result.end == COMMAND_NOT_STARTED)
		log_warning("%s for uid=%u gid=%u", result.err.text, rights->uid, rights->gid);
	dsn = deliver_command_status(
		plan->pool, &result, text, pool_printf(plan->pool, "delivered to command: %s", text));
	plan->corrupt |= job.corrupt;
	buf_free(&result.output);
	buf_free(&head);
	return dsn;
}

static const struct dsn *to_command(struct local_plan *plan, const struct local_leaf *leaf)
{
	const struct deliver_user *rights = local_rights(plan->env, &leaf->where);

	return run(plan, leaf, leaf->text, rights == leaf->where.rights ? rights : NULL, rights);
}

/* ---- files */

static const struct dsn *to_file(struct local_plan *plan, const struct local_leaf *leaf)
{
	struct deliver_job job = make_job(plan, leaf, local_rights(plan->env, &leaf->where), CONTEXT_FILE);
	const struct dsn *dsn = deliver_to_path(&job, leaf->text, DELIVER_FILE);

	plan->corrupt |= job.corrupt;
	return dsn;
}

/* ---- a user's mailbox */

/* Without root everything is delivered as the user that the mail system runs as: to that user's home, or for
 * all to the directories below mail_spool_directory. */
static bool may_use_home(const struct deliver_user *user)
{
	return geteuid() == 0 || user->uid == geteuid();
}

static const struct dsn *to_mailbox(
	struct local_plan *plan, const struct local_leaf *leaf, struct deliver_user *user)
{
	const struct config *cfg = plan->env->cfg;
	struct deliver_job job = make_job(plan, leaf, user, CONTEXT_FILE);
	const char *spool = cfg->mail_spool_directory;
	bool maildirs = spool[0] && spool[strlen(spool) - 1] == '/';
	const struct dsn *dsn;

	if (cfg->home_mailbox[0] && may_use_home(user)) {
		dsn = deliver_to_path(
			&job, pool_printf(plan->pool, "%s/%s", user->home, cfg->home_mailbox), DELIVER_HOME);
	} else {
		if (geteuid() != 0) {
			user->uid = geteuid();
			user->gid = getegid();
		}
		dsn = deliver_to_path(&job,
			pool_printf(plan->pool, maildirs ? "%s%s/" : "%s/%s", spool, user->name),
			DELIVER_SHARED);
	}
	plan->corrupt |= job.corrupt;
	return dsn;
}

/* NULL: it is there, or need not be. */
static const struct dsn *missing_home(struct local_plan *plan, const struct deliver_user *user)
{
	struct sys_identity saved = {0};
	const struct dsn *dsn = NULL;
	struct err err = {""};
	struct stat st;
	char why[128];

	if (!plan->env->cfg->require_home_directory || !may_use_home(user))
		return NULL;
	if (!sys_act_as(&saved, user->uid, user->gid, &err))
		return later(plan, err.text);
	if (stat(user->home, &st) < 0)
		dsn = later(plan, pool_printf(plan->pool, "cannot access home directory %s: %s", user->home,
					  strerror_r(errno, why, sizeof(why))));
	sys_act_back(&saved);
	return dsn;
}

/* mailbox_command_maps, by the name with its extension and without; else mailbox_command. NULL: no answer. */
static const char *command_of(struct local_plan *plan, const struct local_name *name)
{
	struct maps *maps = plan->env->command_maps;
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status = maps_lookup(maps, str_c(name->local), &value, &err);
	const char *command = plan->env->cfg->mailbox_command;

	if (status == TABLE_NOT_FOUND && name->extension[0])
		status = maps_lookup_part(maps, str_c(name->user), &value, &err);
	if (status == TABLE_FOUND)
		command = pool_strdup(plan->pool, buf_cstr(&value));
	else if (status != TABLE_NOT_FOUND)
		command = NULL;
	if (!command)
		log_warning("mailbox_command_maps: %s", err.text);
	buf_free(&value);
	return command;
}

static const struct dsn *to_user(struct local_plan *plan, const struct local_leaf *leaf)
{
	struct deliver_user *user = pool_alloc(plan->pool, sizeof(*user));
	const struct dsn *dsn = missing_home(plan, leaf->user);
	const struct local_where as = {.rights = leaf->user};
	const char *command;

	*user = *leaf->user;
	if (dsn)
		return dsn;
	command = command_of(plan, &leaf->where.name);
	if (!command)
		return later(plan, "mailbox_command_maps lookup failure");
	if (command[0])
		return run(plan, leaf, command, user, local_rights(plan->env, &as));
	return to_mailbox(plan, leaf, user);
}

const struct dsn *local_leaf_deliver(struct local_plan *plan, const struct local_leaf *leaf)
{
	if (!spool_rewind(plan->reader))
		return later(plan, "cannot read the message");
	switch (leaf->kind) {
	case LEAF_COMMAND:
		return to_command(plan, leaf);
	case LEAF_FILE:
		return to_file(plan, leaf);
	default:
		return to_user(plan, leaf);
	}
}
