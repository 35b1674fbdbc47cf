/* unix:passwd.byname and unix:group.byname: the system's accounts, in the form of their files. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "base/mem.h"
#include "table/table_type.h"

#define ACCOUNT_TEXT_MAX (1u << 20) /* scratch room for one entry; a group may have many members */

typedef int (*account_fn)(const char *name, char *scratch, size_t size, struct buf *value, bool *found);

static int account_user(const char *name, char *scratch, size_t size, struct buf *value, bool *found)
{
	struct passwd entry, *pw;
	int error = getpwnam_r(name, &entry, scratch, size, &pw);

	*found = error == 0 && pw != NULL;
	if (*found)
		buf_printf(value, "%s:%s:%lu:%lu:%s:%s:%s", pw->pw_name, pw->pw_passwd,
			(unsigned long)pw->pw_uid, (unsigned long)pw->pw_gid, pw->pw_gecos, pw->pw_dir,
			pw->pw_shell);
	return error;
}

static int account_group(const char *name, char *scratch, size_t size, struct buf *value, bool *found)
{
	struct group entry, *gr;
	int error = getgrnam_r(name, &entry, scratch, size, &gr);

	*found = error == 0 && gr != NULL;
	if (!*found)
		return error;
	buf_printf(value, "%s:%s:%lu:", gr->gr_name, gr->gr_passwd, (unsigned long)gr->gr_gid);
	for (char **member = gr->gr_mem; *member; member++)
		buf_printf(value, "%s%s", member == gr->gr_mem ? "" : ",", *member);
	return 0;
}

static bool unix_open(struct table *t, const char *name, struct err *err)
{
	bool user = strcmp(name, "passwd.byname") == 0;

	if (!user && strcmp(name, "group.byname") != 0)
		return err_set(err, "unknown table: %s", t->spec);
	table_ask_outside(t);
	t->state = x_alloc(sizeof(account_fn));
	*(account_fn *)t->state = user ? account_user : account_group;
	return true;
}

static void unix_close(struct table *t)
{
	x_free(&t->state);
}

static bool means_absent(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static enum table_status unix_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	account_fn ask = *(account_fn *)t->state;
	char *name = x_strndup(key.p, key.n), *scratch = NULL;
	bool found = false;
	int error = ERANGE;

	for (size_t size = 2048; error == ERANGE && size <= ACCOUNT_TEXT_MAX; size *= 4) {
		scratch = x_realloc(scratch, size);
		error = ask(name, scratch, size, value, &found);
	}
	x_free(&scratch);
	x_free(&name);
	if (found)
		return TABLE_FOUND;
	if (means_absent(error))
		return TABLE_NOT_FOUND;
	errno = error;
	err_errno(err, "account lookup");
	return TABLE_RETRY;
}

const struct table_type table_type_unix = {
	.name = "unix", .remote = true, .open = unix_open, .close = unix_close, .lookup = unix_lookup};
