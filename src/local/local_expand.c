/* From a recipient to its destinations. Depth is limited, so that aliases and files that name each other end.
 */
#include "base/log.h"
#include "local/local.h"
#include "mail/address.h"
#include "mail/address_list.h"

#define ALIAS_DEPTH 25
#define INCLUDE_DEPTH 100
#define FILE_MAX (16u << 20) /* bytes of a .forward or :include: file */

static void set_trouble(struct local_plan *plan, const char *status, const char *text)
{
	if (!plan->trouble)
		plan->trouble = dsn_make(plan->pool, DSN_DELAYED, status, "%s", text);
}

/* ---- addresses */

/* The extension goes on to what an alias or file gives, where that has none of its own. */
static const char *with_extension(
	const struct local_plan *plan, const struct local_where *where, const char *address)
{
	const struct local_name *from = &where->name;
	struct str local = address_local(str_c(address)), rest = str_from(str_c(address), local.n);

	if (!(plan->env->propagate & where->origin) || !from->extension[0] ||
		address_extension(local, plan->env->cfg->recipient_delimiter) >= 0)
		return address;
	return pool_printf(plan->pool, STR_FMT "%s%s" STR_FMT, STR_ARG(local), from->delimiter,
		from->extension, STR_ARG(rest));
}

static const char *rewritten(const struct local_plan *plan, const char *address)
{
	struct buf out = BUF(4 * ADDRESS_MAX);
	const char *result;

	rewrite_address(plan->env->resolver, true, str_c(address), &out);
	result = pool_strdup(plan->pool, buf_cstr(&out));
	buf_free(&out);
	return result;
}

/* Whether this agent would get the address. */
static bool is_ours(struct local_plan *plan, const struct local_where *where, const char *address, bool *ours)
{
	struct resolved to;
	struct err err = {""};
	enum table_status status =
		resolve_address(plan->env->resolver, where->sender, address, plan->pool, &to, &err);

	*ours = status == TABLE_FOUND && !to.error &&
		strcmp(to.transport, plan->agent->request->transport) == 0;
	if (status == TABLE_FOUND)
		return true;
	log_warning("%s: cannot resolve <%s>: %s", plan->agent->request->qid.text, address, err.text);
	set_trouble(plan, "4.3.0", "address resolver failure");
	return false;
}

static bool is_self(const struct local_where *where, const struct local_name *name, bool bare)
{
	return where->forward && strcmp(where->forward, name->user) == 0 &&
	       (bare || !name->extension[0] || strcmp(name->extension, where->name.extension) == 0);
}

static void expand_name(struct local_plan *plan, const struct local_where *where);

/* A name that is no alias. What a list with an owner gives becomes mail of its own. */
static void expand_member(struct local_plan *plan, const struct local_where *where)
{
	if (where->owner)
		local_plan_add(plan, LEAF_ADDRESS, where->name.address, where);
	else
		local_expand_user(plan, where);
}

static void expand_ours(
	struct local_plan *plan, const struct local_where *from, const char *address, bool bare)
{
	struct local_where where = *from;

	where.name = local_name_of(plan->env, plan->pool, address);
	where.bare = bare;
	if (is_self(from, &where.name, bare))
		local_expand_user(plan, &where);
	else if (from->indirect)
		local_plan_add(plan, LEAF_ADDRESS, address, from);
	else if (bare)
		expand_member(plan, &where);
	else
		expand_name(plan, &where);
}

void local_expand_address(struct local_plan *plan, const struct local_where *where, const char *address)
{
	bool bare = address[0] == '\\' && address[1], ours = false;

	address = rewritten(plan, with_extension(plan, where, bare ? address + 1 : address));
	if (!is_ours(plan, where, address, &ours))
		return;
	if (ours)
		expand_ours(plan, where, address, bare);
	else
		local_plan_add(plan, LEAF_ADDRESS, address, where);
}

/* ---- commands and files */

static void refuse(struct local_plan *plan, const struct local_where *where, const char *what)
{
	local_plan_fail(
		plan, where, dsn_make(plan->pool, DSN_FAILED, "5.7.1", "mail to %s is restricted", what));
}

static void expand_command(struct local_plan *plan, const struct local_where *where, const char *command)
{
	if (plan->env->command_origins & where->origin)
		local_plan_add(plan, LEAF_COMMAND, command, where);
	else
		refuse(plan, where, "command");
}

/* "~/name" is in the home of the user whose file says so. */
static void expand_file(struct local_plan *plan, const struct local_where *where, const char *path)
{
	if (!(plan->env->file_origins & where->origin)) {
		refuse(plan, where, "file");
		return;
	}
	if (path[0] == '~')
		path = pool_printf(plan->pool, "%s%s", where->rights ? where->rights->home : "", path + 1);
	local_plan_add(plan, LEAF_FILE, path, where);
}

/* ---- :include: */

void local_expand_text(struct local_plan *plan, const struct local_where *where, struct str text)
{
	struct str line;

	while (!plan->trouble && str_word(&text, "\n", &line)) {
		struct local_targets targets = {0};

		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		local_value_parse(plan->pool, line, &targets);
		local_expand_targets(plan, where, &targets);
	}
}

/* In the absence of a user, commands and files are the file's owner's. */
static bool take_owner(struct local_plan *plan, struct local_where *where, uid_t owner)
{
	struct deliver_user *user;
	struct err err = {""};

	if (where->rights || owner == 0)
		return true;
	user = pool_alloc(plan->pool, sizeof(*user));
	if (deliver_user_of(plan->pool, owner, user, &err) != DELIVER_USER_FOUND) {
		log_warning("no user has the id %u of a file's owner. %s", owner, err.text);
		set_trouble(plan, "4.3.0", "cannot find the owner of an alias");
		return false;
	}
	where->rights = user;
	return true;
}

static void include_failed(struct local_plan *plan, const struct local_where *where, const char *why)
{
	log_warning(":include: %s", why);
	local_plan_fail(
		plan, where, dsn_make(plan->pool, DSN_FAILED, "5.3.5", "mail system configuration error"));
}

static void expand_include(struct local_plan *plan, const struct local_where *from, const char *path)
{
	struct local_where where = *from;
	struct buf text = BUF(FILE_MAX);
	struct err err = {""};
	enum local_file found;
	uid_t owner;

	where.origin = ORIGIN_INCLUDE;
	where.indirect = true;
	if (++where.includes > INCLUDE_DEPTH) {
		local_plan_fail(plan, from,
			dsn_make(plan->pool, DSN_FAILED, "5.4.6", ":include: files name each other: %s",
				path));
		return;
	}
	if (path[0] != '/') {
		include_failed(plan, from, pool_printf(plan->pool, "%s uses a relative path", path));
		return;
	}
	found = local_file_read(path, from->rights, false, &text, &owner, &err);
	if (found == LOCAL_FILE_TROUBLE)
		set_trouble(plan, "4.3.0", err.text);
	else if (found != LOCAL_FILE_READ)
		include_failed(plan, from, err.text);
	else if (take_owner(plan, &where, owner))
		local_expand_text(plan, &where, buf_slice(&text));
	buf_free(&text);
}

void local_expand_targets(
	struct local_plan *plan, const struct local_where *where, const struct local_targets *targets)
{
	plan->named += targets->count;
	for (size_t i = 0; i < targets->count && !plan->trouble; i++) {
		const struct local_target *t = &targets->list[i];

		if (t->kind == TARGET_COMMAND)
			expand_command(plan, where, t->text);
		else if (t->kind == TARGET_FILE)
			expand_file(plan, where, t->text);
		else if (t->kind == TARGET_INCLUDE)
			expand_include(plan, where, t->text);
		else
			local_expand_address(plan, where, t->text);
	}
}

/* ---- aliases */

static enum table_status find_alias(
	struct local_plan *plan, const char *name, bool part, struct buf *value, uid_t *owner)
{
	struct err err = {""};
	enum table_status status = local_aliases_find(plan->env->aliases, name, part, value, owner, &err);

	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND) {
		log_warning("%s: lookup of '%s' failed: %s", plan->agent->request->qid.text, name, err.text);
		set_trouble(plan, "4.3.0", "alias database unavailable");
	}
	return status;
}

/* What owner-list stands for, when that is one address. */
static const char *owner_target(struct local_plan *plan, struct str value, const char *otherwise)
{
	struct local_targets targets = {0};

	local_value_parse(plan->pool, value, &targets);
	if (targets.count != 1 || targets.list[0].kind != TARGET_ADDRESS || targets.list[0].text[0] == '\\')
		return otherwise;
	return targets.list[0].text;
}

/* A list with an owner: errors go to the owner, and each member's mail has a fate of its own. */
static void look_for_owner(struct local_plan *plan, struct local_where *where)
{
	const char *owner = pool_printf(plan->pool, "owner-%s", where->alias);
	struct buf value = BUF(TABLE_VALUE_MAX);
	uid_t uid;

	if (plan->env->cfg->owner_request_special &&
		find_alias(plan, owner, false, &value, &uid) == TABLE_FOUND) {
		if (plan->env->cfg->expand_owner_alias)
			owner = owner_target(plan, buf_slice(&value), owner);
		where->sender = rewritten(plan, owner);
		where->original = NULL;
		where->owner = plan->owned = true;
	} else if (plan->env->cfg->reset_owner_alias) {
		where->owner = false;
	}
	buf_free(&value);
}

static void expand_alias(struct local_plan *plan, const struct local_where *from, const char *name,
	const struct buf *value, uid_t owner)
{
	struct local_where where = *from;
	struct local_targets targets = {0};

	where.origin = ORIGIN_ALIAS;
	where.alias = name;
	where.rights = NULL;
	if (++where.aliases > ALIAS_DEPTH) {
		log_warning("alias database loop for %s", name);
		local_plan_fail(plan, from,
			dsn_make(plan->pool, DSN_FAILED, "5.4.6", "alias database loop for %s", name));
		return;
	}
	if (!plan->env->cfg->frozen_delivered_to)
		where.delivered = from->name.address;
	plan->expanded = true;
	look_for_owner(plan, &where);
	local_value_parse(plan->pool, buf_slice(value), &targets);
	if (targets.count == 0) {
		log_warning("no recipient in alias lookup result for %s", name);
		set_trouble(plan, "4.3.0", "alias database unavailable");
	} else if (take_owner(plan, &where, owner)) {
		local_expand_targets(plan, &where, &targets);
	}
}

/* true: the name is an alias, or it could not be found out. */
static bool try_alias(struct local_plan *plan, const struct local_where *where, const char *name, bool part)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = TABLE_NOT_FOUND;
	uid_t owner;

	if (!where->alias || strcmp(where->alias, name) != 0)
		status = find_alias(plan, name, part, &value, &owner);
	if (status == TABLE_FOUND)
		expand_alias(plan, where, name, &value, owner);
	buf_free(&value);
	return status != TABLE_NOT_FOUND;
}

static void expand_name(struct local_plan *plan, const struct local_where *where)
{
	const struct local_name *name = &where->name;

	if (try_alias(plan, where, name->local, false))
		return;
	if (name->extension[0] && try_alias(plan, where, name->user, true))
		return;
	expand_member(plan, where);
}

void local_expand(struct local_plan *plan)
{
	const struct delivery_recipient *r = plan->recipient;
	const struct delivery_request *request = plan->agent->request;
	struct local_where where = {
		.name = local_name_of(plan->env, plan->pool, r->address),
		.sender = request->sender,
		.delivered = r->address,
		.original = r->original && r->original[0] ? r->original : r->address,
	};

	where.bare = local_is_for_mailbox(plan);
	if (where.bare)
		local_expand_user(plan, &where);
	else
		expand_name(plan, &where);
}
