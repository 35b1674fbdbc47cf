#include "base/log.h"
#include "local/local.h"
#include "mail/address.h"
#include "table/lmdb_file.h"
#include "table/table.h"
#include <sys/stat.h>

struct alias_table {
	struct table *table;
	char *type, *name; /* of a table that is a file; else NULL */
};

struct local_aliases {
	struct alias_table *list;
	size_t count;
};

/* Types that are a file; NULL: of LMDB. */
static const struct {
	const char *type, *suffix;
} file_types[] = {{"hash", NULL}, {"btree", NULL}, {"lmdb", NULL}, {"cdb", ".cdb"}, {"texthash", ""},
	{"regexp", ""}, {"pcre", ""}, {"cidr", ""}};

static char *file_of(const char *type, const char *name)
{
	for (size_t i = 0; i < sizeof(file_types) / sizeof(file_types[0]); i++) {
		if (strcmp(file_types[i].type, type) != 0)
			continue;
		if (!file_types[i].suffix)
			return lmdb_file_find(type, name);
		return x_asprintf("%s%s", name, file_types[i].suffix);
	}
	return NULL;
}

/* Tables are read directly, proxy: or not: commands depend on whose they are. */
static void add_table(struct local_aliases *a, struct str word)
{
	struct alias_table *t = &a->list[a->count++];
	const char *colon;
	char *spec;

	if (str_starts(word, STR("proxy:")))
		word = str_from(word, 6);
	spec = x_strndup(word.p, word.n);
	colon = strchr(spec, ':');
	if (colon && colon[1] == '/') {
		t->type = x_strndup(spec, (size_t)(colon - spec));
		t->name = x_strdup(colon + 1);
	}
	t->table = table_open_or_wait(spec, TABLE_FOLD | TABLE_NO_SUBST | TABLE_NO_UNAUTH);
	table_warnings(t->table, log_warn, NULL);
	x_free(&spec);
}

struct local_aliases *local_aliases_open(const char *list, struct err *err)
{
	struct local_aliases *a = x_alloc(sizeof(*a));
	struct str rest = str_c(list), word;

	a->list = x_alloc((strlen(list) + 1) * sizeof(*a->list));
	while (str_group(&rest, ", \t\r\n", &word))
		add_table(a, word);
	return a;
}

void local_aliases_close(struct local_aliases **pa)
{
	struct local_aliases *a = *pa;

	if (!a)
		return;
	for (size_t i = 0; i < a->count; i++) {
		table_close(&a->list[i].table);
		x_free(&a->list[i].type);
		x_free(&a->list[i].name);
	}
	x_free(&a->list);
	x_free(pa);
}

static bool find_owner(const struct alias_table *t, uid_t *owner, struct err *err)
{
	char *file = t->type ? file_of(t->type, t->name) : NULL;
	struct stat st = {0};
	bool ok = !file || stat(file, &st) == 0 || err_errno(err, "owner of %s", file);

	*owner = st.st_uid;
	x_free(&file);
	return ok;
}

/* Names that need quotes stand in tables with them, or, in older ones, without. */
static enum table_status find_in(struct table *t, const char *name, struct buf *value, struct err *err)
{
	struct buf quoted = BUF(4 * ADDRESS_MAX);
	enum table_status status = TABLE_NOT_FOUND;

	address_quote(str_c(name), &quoted);
	if (!str_is(buf_slice(&quoted), name))
		status = table_lookup(t, buf_slice(&quoted), value, err);
	buf_free(&quoted);
	return status == TABLE_NOT_FOUND ? table_lookup(t, str_c(name), value, err) : status;
}

enum table_status local_aliases_find(struct local_aliases *aliases, const char *name, bool part,
	struct buf *value, uid_t *owner, struct err *err)
{
	for (size_t i = 0; i < aliases->count; i++) {
		const struct alias_table *t = &aliases->list[i];
		enum table_status status;

		if (part && table_is_pattern(t->table))
			continue;
		buf_clear(value);
		status = find_in(t->table, name, value, err);
		if (status == TABLE_FOUND && !find_owner(t, owner, err))
			return TABLE_RETRY;
		if (status != TABLE_NOT_FOUND)
			return status;
	}
	return TABLE_NOT_FOUND;
}
