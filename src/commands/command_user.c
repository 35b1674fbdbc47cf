#include "commands/command_user.h"

#include <pwd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "mail/address.h"
#include "table/table.h"

#define BLANKS ", \t\r\n"

const char *command_user_name(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw ? pw->pw_name : NULL;
}

bool command_user_allowed(const char *parameter, const char *list, const char *what, struct err *err)
{
	struct matchlist *m = matchlist_open(parameter, list, 0, err);
	const char *name = command_user_name();
	enum table_status found;

	if (!m)
		return false;
	if (!name)
		name = "unknown";
	found = matchlist_name(m, str_c(name), err);
	matchlist_close(&m);
	if (found == TABLE_NOT_FOUND)
		err_set(err, "User %s(%u) is not allowed to %s", name, getuid(), what);
	return found == TABLE_FOUND;
}

bool command_user_allowed_queue(
	const struct config *cfg, const char *parameter, const char *list, const char *what, struct err *err)
{
	uid_t owner;
	gid_t group;

	if (getuid() == 0)
		return true;
	if (!sys_user(cfg->mail_owner, &owner, &group, err))
		return false;
	return getuid() == owner || command_user_allowed(parameter, list, what, err);
}

/* The sender as patterns have it: in lower case, without the extension of its local part. */
static void fold_sender(const struct config *cfg, const char *sender, struct buf *out)
{
	const char *at = strrchr(sender, '@');
	struct str local = {sender, at ? (size_t)(at - sender) : strlen(sender)};
	ptrdiff_t extension = address_extension(local, cfg->recipient_delimiter);
	struct buf plain = BUF(ADDRESS_MAX);

	buf_str(&plain, extension >= 0 ? str_first(local, (size_t)extension) : local);
	buf_puts(&plain, at ? at : "");
	table_fold(buf_slice(&plain), out);
	buf_free(&plain);
}

/* "*", "@domain", a whole address, or what stands for the empty one and for nothing else. */
static bool pattern_allows(const char *empty, struct str pattern, struct str sender)
{
	const char *at = memrchr(sender.p, '@', sender.n);

	if (str_is(pattern, "*"))
		return true;
	if (sender.n == 0 || str_case_is(pattern, empty))
		return sender.n == 0 && str_case_is(pattern, empty);
	if (pattern.p[0] == '@')
		return at && str_eq(pattern, str_from(sender, (size_t)(at - sender.p)));
	return str_eq(pattern, sender);
}

static bool patterns_allow(const struct config *cfg, struct str patterns, const char *sender)
{
	struct buf folded = BUF(TABLE_VALUE_MAX), address = BUF(ADDRESS_MAX);
	bool allowed = false;
	struct str rest, word;

	table_fold(patterns, &folded);
	fold_sender(cfg, sender, &address);
	rest = buf_slice(&folded);
	while (!allowed && str_word(&rest, BLANKS, &word))
		allowed = pattern_allows(cfg->empty_address_local_login_sender_maps_lookup_key, word,
			str_c(buf_cstr(&address)));
	buf_free(&folded);
	buf_free(&address);
	return allowed;
}

bool command_user_may_send_from(const struct config *cfg, const char *sender, struct err *err)
{
	struct maps *maps =
		maps_open("local_login_sender_maps", cfg->local_login_sender_maps, TABLE_NO_UNAUTH, err);
	struct buf patterns = BUF(TABLE_VALUE_MAX);
	const char *name = command_user_name();
	char *key = name ? x_strdup(name) : x_asprintf("uid:%u", getuid());
	enum table_status found = maps ? maps_lookup(maps, str_c(key), &patterns, err) : TABLE_MISCONFIGURED;
	bool allowed = found == TABLE_FOUND && patterns_allow(cfg, buf_slice(&patterns), sender);

	if (!allowed && (found == TABLE_FOUND || found == TABLE_NOT_FOUND))
		err_set(err, "not authorized to use sender='%s'", sender);
	maps_close(&maps);
	buf_free(&patterns);
	x_free(&key);
	return allowed;
}
