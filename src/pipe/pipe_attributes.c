#include "base/sys.h"
#include "pipe/pipe.h"
#include <unistd.h>

static bool parse_flags(const char *value, int *flags, struct err *err)
{
	static const struct {
		char letter;
		int bit;
	} rows[] = {{'B', PIPE_BLANK}, {'D', PIPE_DELIVERED}, {'F', PIPE_FROM}, {'O', PIPE_ORIGINAL},
		{'R', PIPE_RETURN_PATH}, {'X', PIPE_FINAL}, {'h', PIPE_FOLD_HOST}, {'q', PIPE_QUOTE},
		{'u', PIPE_FOLD_USER}, {'.', PIPE_QUOTE_DOT}, {'>', PIPE_QUOTE_FROM}};

	for (; *value; value++) {
		size_t i = 0;

		while (i < sizeof(rows) / sizeof(rows[0]) && rows[i].letter != *value)
			i++;
		if (i == sizeof(rows) / sizeof(rows[0]))
			return err_set(err, "flags=: unknown flag: %c", *value);
		*flags |= rows[i].bit;
	}
	return true;
}

static const char *unescape(const char *text, struct pool *pool)
{
	struct buf out = BUF(strlen(text) + 1);
	const char *result;

	while (*text) {
		char c = *text++;
		int meant = c == '\\' ? str_take_escape(&text) : -1;

		buf_putc(&out, meant < 0 ? c : (char)meant);
	}
	result = pool_strdup(pool, buf_cstr(&out));
	buf_free(&out);
	return result;
}

static bool parse_user(const char *value, const char *mail_owner, struct pool *pool,
	struct pipe_attributes *out, struct err *err)
{
	const char *colon = strchr(value, ':');
	const char *name = pool_strndup(pool, value, colon ? (size_t)(colon - value) : strlen(value));
	uid_t owner_uid;
	gid_t owner_gid;

	out->has_user = true;
	if (!sys_user(name, &out->uid, &out->gid, err) || (colon && !sys_group(colon + 1, &out->gid, err)))
		return err_prefix(err, "user=");
	if (out->uid == 0)
		return err_set(err, "user= command-line attribute specifies root privileges");
	if (out->gid == 0)
		return err_set(err, "user= command-line attribute specifies privileged group id 0");
	if (geteuid() != 0)
		return true;
	if (!sys_user(mail_owner, &owner_uid, &owner_gid, err))
		return false;
	if (out->uid == owner_uid)
		return err_set(
			err, "user= command-line attribute specifies mail system owner %s", mail_owner);
	if (out->gid == owner_gid)
		return err_set(err,
			"user= command-line attribute specifies the group of mail system owner %s",
			mail_owner);
	return true;
}

/* One attribute but for argv=. */
static bool parse_one(const char *word, const char *mail_owner, struct pool *pool,
	struct pipe_attributes *out, struct err *err)
{
	const char *value = strchr(word, '=');
	struct str name = {word, value ? (size_t)(value - word) : 0};

	value = value ? value + 1 : "";
	if (str_is(name, "flags"))
		return parse_flags(value, &out->flags, err);
	if (str_is(name, "user"))
		return parse_user(value, mail_owner, pool, out, err);
	if (str_is(name, "directory"))
		out->directory = value;
	else if (str_is(name, "chroot"))
		out->root = value;
	else if (str_is(name, "eol"))
		out->eol = unescape(value, pool);
	else if (str_is(name, "null_sender"))
		out->null_sender = value;
	else if (!str_is(name, "size"))
		return err_set(err, "unknown attribute name: %s", word);
	else if (!str_to_u64(str_c(value), INT64_MAX, &out->size_limit))
		return err_set(err, "bad size= value: %s", value);
	return true;
}

/* The command itself is what follows argv= in its word; its arguments are the words behind. */
static bool take_command(char *const *args, struct pool *pool, struct pipe_attributes *out, struct err *err)
{
	size_t n = 0;
	char **argv;

	while (args[n])
		n++;
	argv = pool_alloc(pool, (n + 1) * sizeof(*argv));
	argv[0] = args[0] + strlen("argv=");
	for (size_t i = 1; i < n; i++)
		argv[i] = args[i];
	out->argv = argv;
	return argv[0][0] || err_set(err, "missing command after argv=");
}

bool pipe_attributes_parse(char *const *args, const char *mail_owner, struct pool *pool,
	struct pipe_attributes *out, struct err *err)
{
	*out = (struct pipe_attributes){.eol = "\n", .null_sender = "MAILER-DAEMON"};
	for (; *args && !str_starts(str_c(*args), STR("argv=")); args++) {
		if (!parse_one(*args, mail_owner, pool, out, err))
			return false;
	}
	if (!out->has_user)
		return err_set(err, "missing user= command-line attribute");
	if (!*args)
		return err_set(err, "missing argv= command-line attribute");
	return take_command(args, pool, out, err);
}
