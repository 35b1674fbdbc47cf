/* The types whose tables are in a database: what they have in common. The rest is in loadable modules. */
#include <unistr.h>

#include "base/mem.h"
#include "config/config.h"
#include "table/database_module.h"
#include "table/database_pool.h"
#include "table/table_type.h"
#include "table/template.h"

#define INTERVAL_MAX 1000000 /* seconds */

struct database {
	const struct database_driver *driver;
	void *state; /* the driver's */
	struct database_pool *pool;
	char *result_format;
	size_t expansion_limit;	  /* values of one answer; 0: any number */
	struct matchlist *domain; /* NULL: none */
};

/* The values of one answer, each in result_format, joined by commas. */
struct collected {
	struct database_answer answer; /* first: drivers know only this */
	const struct database *db;
	const char *spec;
	struct str key;
	struct buf *value;
	size_t start; /* where the answer begins in value */
	size_t count;
	bool too_many;
};

/* ---- opening */

static bool open_domain(struct table *t, struct database *db, struct settings *s, struct err *err)
{
	const char *list = settings_text(s, "domain", "");

	if (*list == '\0')
		return true;
	db->domain = matchlist_open("domain", list, MATCH_EXACT, err);
	return db->domain != NULL;
}

/* Where the setting has an older name, an empty one is as good as none. */
static const char *result_format(struct database *db, struct settings *s)
{
	const char *old = db->driver->old_format_setting;
	const char *format = settings_text(s, "result_format", old ? "" : "%s");

	return *format || !old ? format : settings_text(s, old, "%s");
}

static bool open_settings(struct table *t, struct database *db, struct settings *s, struct err *err)
{
	const char *format = result_format(db, s);
	int limit;

	if (!*format)
		return err_set(err, "result_format is empty");
	db->result_format = x_strdup(format);
	if (!template_check("result_format", format, err) ||
		!settings_number(s, "expansion_limit", 0, 0, INT32_MAX, &limit, err) ||
		!open_domain(t, db, s, err))
		return false;
	db->expansion_limit = (size_t)limit;
	return true;
}

static bool open_driver(struct table *t, struct database *db, struct settings *s, struct err *err)
{
	const char *hosts = "";
	int idle, retry;

	if (!db->driver->open(s, &db->state, err) ||
		!settings_number(s, "idle_interval", POOL_IDLE_SECONDS, 1, INTERVAL_MAX, &idle, err) ||
		!settings_number(s, "retry_interval", POOL_RETRY_SECONDS, 0, INTERVAL_MAX, &retry, err))
		return false;
	for (const char *const *name = db->driver->ignored; name && *name; name++) {
		if (settings_text(s, *name, NULL))
			table_warn(t, "%s: ignoring %s", t->spec, *name);
	}
	if (db->driver->hosts_setting)
		hosts = settings_text(s, db->driver->hosts_setting, db->driver->hosts_default);
	db->pool = database_pool_open(db->driver, db->state, hosts);
	database_pool_set_intervals(db->pool, idle, retry);
	return true;
}

static bool database_open(struct table *t, const char *name, struct err *err)
{
	struct database *db = x_alloc(sizeof(*db));
	struct settings *s;
	bool ok;

	t->state = db;
	db->driver = database_module_load(t->type->name, err);
	if (!db->driver)
		return false;
	s = settings_open(name, config_latest_text, err);
	ok = s && open_settings(t, db, s, err) && open_driver(t, db, s, err);
	if (ok)
		table_warn_settings(t, s);
	settings_close(&s);
	if (ok && db->driver->files_only)
		table_ask_outside(t);
	return ok || err_prefix(err, "%s", t->spec);
}

static void database_close(struct table *t)
{
	struct database *db = t->state;

	if (!db)
		return;
	database_pool_close(&db->pool);
	if (db->state)
		db->driver->close(db->state);
	matchlist_close(&db->domain);
	x_free(&db->result_format);
	x_free(&t->state);
}

static bool database_present(const struct table_type *type)
{
	return database_module_present(type->name);
}

/* ---- looking up */

static void forget(struct database_answer *answer)
{
	struct collected *c = (struct collected *)answer;

	buf_truncate(c->value, c->start);
	c->value->over = false;
	c->count = 0;
	c->too_many = false;
}

/* A NUL ends a value: columns of a fixed number of bytes are padded with them. */
static bool collect(struct database_answer *answer, struct str bytes)
{
	struct collected *c = (struct collected *)answer;
	struct str value = str_until(bytes, '\0');
	struct buf one = BUF(TABLE_VALUE_MAX);
	bool more = true;

	if (value.n == 0) {
		table_report(LOGL_WARNING,
			"table \"%s\": empty lookup result for: \"" STR_FMT "\" -- ignored", c->spec,
			STR_ARG(str_first(c->key, 100)));
		return true;
	}
	if (template_expand(c->db->result_format, value, c->key, NULL, NULL, &one)) {
		c->too_many = c->db->expansion_limit && ++c->count > c->db->expansion_limit;
		if (c->value->len > c->start)
			buf_putc(c->value, ',');
		buf_str(c->value, buf_slice(&one));
		more = !c->too_many;
	}
	c->value->over |= one.over;
	buf_free(&one);
	return more && !c->value->over;
}

static enum table_status in_domain(struct database *db, struct str key, struct err *err)
{
	ptrdiff_t at = str_rfind(key, '@');

	if (!db->domain)
		return TABLE_FOUND;
	if (at <= 0 || (size_t)at + 1 == key.n)
		return TABLE_NOT_FOUND;
	return matchlist_name(db->domain, str_from(key, (size_t)at + 1), err);
}

static enum table_status ask_database(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct database *db = t->state;
	struct collected c = {.answer = {collect},
		.db = db,
		.spec = t->spec,
		.key = key,
		.value = value,
		.start = value->len};
	enum database_status status = database_pool_ask(db->pool, key, &c.answer, forget, err);

	if (status != DATABASE_DONE) {
		forget(&c.answer);
		return TABLE_RETRY;
	}
	if (c.too_many) {
		forget(&c.answer);
		err_set(err, "more than expansion_limit = %zu results for '" STR_FMT "'", db->expansion_limit,
			STR_ARG(key));
		return TABLE_RETRY;
	}
	return value->len > c.start || value->over ? TABLE_FOUND : TABLE_NOT_FOUND;
}

/* Keys that are not text are in no database, and some servers refuse them. */
static enum table_status database_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct database *db = t->state;
	enum table_status status;

	if (key.n == 0 || u8_check((const uint8_t *)key.p, key.n) ||
		!template_applies(db->result_format, key, false) || !db->driver->applies(db->state, key))
		return TABLE_NOT_FOUND;
	status = in_domain(db, key, err);
	return status == TABLE_FOUND ? ask_database(t, key, value, err) : status;
}

#define DATABASE_TYPE(id)                                                                                    \
	const struct table_type table_type_##id = {.name = #id,                                              \
		.remote = true,                                                                              \
		.present = database_present,                                                                 \
		.open = database_open,                                                                       \
		.close = database_close,                                                                     \
		.lookup = database_lookup};
DATABASE_TYPE(ldap)
DATABASE_TYPE(mysql)
DATABASE_TYPE(pgsql)
DATABASE_TYPE(sqlite)
