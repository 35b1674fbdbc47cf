/* A name that is no alias: .forward files, and which way its mailbox is filled. */
#include "base/log.h"
#include "local/local.h"
#include "mail/address.h"
#include <unistd.h>

#define FORWARD_MAX (1u << 20) /* bytes of a .forward file */

static void fail_later(struct local_plan *plan, const struct local_where *where, const char *text)
{
	local_plan_fail(plan, where, dsn_make(plan->pool, DSN_DELAYED, "4.3.0", "%s", text));
}

/* ---- transports */

/* By the name with its extension, then without. */
static enum table_status find(
	struct maps *maps, const struct local_name *name, struct buf *value, struct err *err)
{
	enum table_status status = maps_lookup(maps, str_c(name->local), value, err);

	if (status == TABLE_NOT_FOUND && name->extension[0])
		status = maps_lookup_part(maps, str_c(name->user), value, err);
	return status;
}

/* true: another transport has the recipient, or a table could not be asked. */
static bool try_transport(struct local_plan *plan, const struct local_where *where, struct maps *maps,
	const char *parameter, const char *otherwise)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status = find(maps, &where->name, &value, &err);
	const char *transport = status == TABLE_FOUND ? pool_strdup(plan->pool, buf_cstr(&value)) : otherwise;

	buf_free(&value);
	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND) {
		log_warning("%s: %s", parameter, err.text);
		fail_later(plan, where, pool_printf(plan->pool, "%s lookup failure", parameter));
		return true;
	}
	if (transport[0])
		local_plan_add(plan, LEAF_PASS, transport, where);
	return transport[0] != '\0';
}

/* ---- .forward */

/* One candidate of forward_path. false: there is no such file, or nothing is in it: look on. */
static bool try_forward(struct local_plan *plan, const struct local_where *from,
	const struct deliver_user *user, const char *path)
{
	struct buf text = BUF(FORWARD_MAX);
	struct local_where where = *from;
	struct err err = {""};
	size_t before = plan->named;
	uid_t owner;
	bool found = true;

	where.origin = ORIGIN_FORWARD;
	where.rights = user;
	where.forward = user->name;
	where.alias = NULL;
	where.indirect = true;
	switch (local_file_read(path, user, true, &text, &owner, &err)) {
	case LOCAL_FILE_READ:
		local_expand_text(plan, &where, buf_slice(&text));
		break;
	case LOCAL_FILE_ABSENT:
		found = false;
		break;
	case LOCAL_FILE_REFUSED:
		log_warning("%s", err.text);
		break;
	case LOCAL_FILE_TROUBLE:
		fail_later(plan, from, err.text);
		break;
	}
	buf_free(&text);
	plan->expanded |= plan->named > before;
	return found;
}

/* The first file of forward_path that is there. */
static void find_forward(
	struct local_plan *plan, const struct local_where *where, const struct deliver_user *user)
{
	const struct config *cfg = plan->env->cfg;
	struct str rest = str_c(cfg->forward_path), word;
	bool found = false;

	while (!found && str_word(&rest, ", \t\r\n", &word)) {
		struct buf path = BUF(4096);
		struct err err = {""};

		if (local_names_expand(pool_strndup(plan->pool, word.p, word.n), &where->name, user,
			    cfg->forward_expansion_filter, true, &path, &err) &&
			buf_cstr(&path)[0] == '/' && !path.over)
			found = try_forward(plan, where, user, buf_cstr(&path));
		else if (err.text[0])
			log_warning("parameter forward_path: %s", err.text);
		buf_free(&path);
	}
}

/* A user's files are looked at once in a delivery, and not while they name the user. true: they gave
 * destinations. */
static bool expand_forward(
	struct local_plan *plan, const struct local_where *where, const struct deliver_user *user)
{
	size_t before = plan->named;

	if (where->forward || (geteuid() != 0 && geteuid() != user->uid))
		return false;
	find_forward(plan, where, user);
	return plan->named > before || plan->trouble;
}

/* ---- nobody of that name */

static void unknown(struct local_plan *plan, const struct local_where *where)
{
	local_plan_fail(plan, where,
		dsn_make(plan->pool, DSN_FAILED, "5.1.1", "unknown user: \"%s\"", where->name.user));
}

static void relay(struct local_plan *plan, const struct local_where *from)
{
	struct buf out = BUF(4 * ADDRESS_MAX);
	struct local_where where = *from;
	struct local_targets targets = {0};
	struct err err = {""};

	where.relayed = true;
	if (!local_names_expand(plan->env->cfg->luser_relay, &from->name, NULL, NULL, false, &out, &err)) {
		log_warning("parameter luser_relay: %s", err.text);
		fail_later(plan, from, "mail system configuration error");
	} else {
		local_value_parse(plan->pool, buf_slice(&out), &targets);
		if (targets.count == 1 && targets.list[0].kind == TARGET_ADDRESS) {
			plan->expanded = true;
			local_expand_address(plan, &where, targets.list[0].text);
		} else {
			log_warning("parameter luser_relay: \"%s\" is not one address", buf_cstr(&out));
			fail_later(plan, from, "mail system configuration error");
		}
	}
	buf_free(&out);
}

static void expand_unknown(struct local_plan *plan, const struct local_where *where)
{
	const struct config *cfg = plan->env->cfg;

	if (try_transport(plan, where, plan->env->fallback_maps, "fallback_transport_maps",
		    cfg->fallback_transport))
		return;
	if (cfg->luser_relay[0] && !where->relayed)
		relay(plan, where);
	else
		unknown(plan, where);
}

/* ---- all together */

static void fill_mailbox(
	struct local_plan *plan, const struct local_where *where, const struct deliver_user *user)
{
	const struct config *cfg = plan->env->cfg;
	struct local_leaf *leaf;

	if (try_transport(
		    plan, where, plan->env->transport_maps, "mailbox_transport_maps", cfg->mailbox_transport))
		return;
	if (!user) {
		expand_unknown(plan, where);
		return;
	}
	leaf = local_plan_add(plan, LEAF_MAILBOX, "", where);
	if (leaf)
		leaf->user = user;
}

static void expand_user(struct local_plan *plan, const struct local_where *where)
{
	struct deliver_user *user = pool_alloc(plan->pool, sizeof(*user));
	struct err err = {""};

	switch (deliver_user_find(plan->pool, where->name.user, user, &err)) {
	case DELIVER_USER_FOUND:
		if (!where->bare && expand_forward(plan, where, user))
			return;
		fill_mailbox(plan, where, user);
		return;
	case DELIVER_USER_UNKNOWN:
		fill_mailbox(plan, where, NULL);
		return;
	case DELIVER_USER_TROUBLE:
		log_warning("%s", err.text);
		fail_later(plan, where, pool_printf(plan->pool, "cannot find user \"%s\"", where->name.user));
		return;
	}
}

void local_expand_user(struct local_plan *plan, const struct local_where *from)
{
	struct local_where where = *from;

	if (!plan->env->cfg->frozen_delivered_to)
		where.delivered = from->name.address;
	expand_user(plan, &where);
}
