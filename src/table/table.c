#include "base/mem.h"
#include "table/database_pool.h"
#include "table/settings.h"
#include "table/table_outside.h"
#include "table/table_watch.h"

static const struct table_type *const types[] = {
#define TABLE_TYPE(id) &table_type_##id,
#include "table/types.def"
#undef TABLE_TYPE
};

const struct table_type *table_type_find(struct str name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (str_is(name, types[i]->name))
			return types[i];
	}
	return NULL;
}

void table_each_type(void (*name)(void *arg, const char *type), void *arg)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (!types[i]->present || types[i]->present(types[i]))
			name(arg, types[i]->name);
	}
}

struct table *table_new(const struct table_type *type, const char *spec, int flags)
{
	struct table *t = x_alloc(sizeof(*t));

	t->type = type;
	t->spec = x_strdup(spec);
	t->flags = flags;
	t->pattern = type->pattern;
	t->remote = type->remote;
	return t;
}

struct table *table_try(const char *spec, int flags, struct table_watch **watch, struct err *err)
{
	struct str all = str_c(spec);
	ptrdiff_t colon = str_find(all, ':');
	const struct table_type *type;
	struct table *t;

	if (colon <= 0 || (size_t)colon + 1 == all.n) {
		err_set(err, "open dictionary: expecting \"type:name\" form instead of \"%s\"", spec);
		return NULL;
	}
	type = table_type_find(str_first(all, (size_t)colon));
	if (!type) {
		err_set(err, "unsupported dictionary type: %.*s", (int)colon, spec);
		return NULL;
	}
	if ((flags & TABLE_NO_UNAUTH) && type->unauthenticated) {
		err_set(err, "%s map is not allowed for security-sensitive data", spec);
		return NULL;
	}
	t = table_new(type, spec, flags);
	if (!type->open(t, spec + colon + 1, err)) {
		*watch = t->watch;
		t->watch = NULL;
		table_close(&t);
	}
	return t;
}

struct table *table_open(const char *spec, int flags, struct err *err)
{
	struct table_watch *watch = NULL;
	struct table *t = table_try(spec, flags, &watch, err);

	table_watch_free(&watch);
	return t;
}

void table_ask_outside(struct table *t)
{
	t->outside = true;
	table_outside_allow(t->spec);
}

void table_close(struct table **tp)
{
	struct table *t = *tp;

	if (!t)
		return;
	if (t->type->close)
		t->type->close(t);
	table_watch_free(&t->watch);
	for (size_t i = 0; i < t->warning_count; i++)
		x_free(&t->warnings[i]);
	x_free(&t->warnings);
	x_free(&t->spec);
	x_free(tp);
}

static enum table_status ask(struct table *t, struct str key, struct buf *value, struct err *err)
{
	enum table_status status;

	if (t->outside && table_outside_active())
		return table_outside_lookup(t->spec, t->flags, key, value, NULL, err);
	table_watch_enter(t);
	status = t->type->lookup(t, key, value, err);
	table_watch_leave(t);
	return status;
}

static enum table_status lookup_folded(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct buf folded = BUF(2 * TABLE_KEY_MAX);
	enum table_status status;

	table_fold(key, &folded);
	status = ask(t, buf_slice(&folded), value, err);
	buf_free(&folded);
	return status;
}

enum table_status table_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	enum table_status status;
	size_t before = value->len;

	if (!t->pattern && (key.n > TABLE_KEY_MAX || str_has_nul(key)))
		return TABLE_NOT_FOUND;
	if ((t->flags & TABLE_FOLD) && !t->pattern)
		status = lookup_folded(t, key, value, err);
	else
		status = ask(t, key, value, err);
	if (status == TABLE_FOUND && value->over) {
		buf_truncate(value, before);
		err_set(err, "the result is too long");
		return TABLE_RETRY;
	}
	return status;
}

enum table_status table_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	enum table_status status;

	if (!t->type->each) {
		err_set(err, "sequence operation is not supported");
		return TABLE_MISCONFIGURED;
	}
	table_watch_enter(t);
	status = t->type->each(t, entry, arg, err);
	table_watch_leave(t);
	return status;
}

const char *table_spec(const struct table *t)
{
	return t->spec;
}

bool table_is_pattern(const struct table *t)
{
	return t->pattern;
}

void table_warn(struct table *t, const char *fmt, ...)
{
	struct buf text = BUF(2000);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	t->warnings = x_realloc(t->warnings, (t->warning_count + 1) * sizeof(*t->warnings));
	t->warnings[t->warning_count++] = buf_take(&text);
}

void table_warn_settings(struct table *t, const struct settings *s)
{
	for (size_t i = 0; settings_warning(s, i); i++)
		table_warn(t, "%s: %s", t->spec, settings_warning(s, i));
}

bool table_tick(struct buf *which)
{
	database_pool_close_idle();
	return table_watch_stuck(which);
}

static table_report_fn reporter; /* set once, before there are threads */

void table_report_to(table_report_fn report)
{
	reporter = report;
}

static table_unavailable_fn on_unavailable; /* set once, before there are threads */

void table_on_unavailable(table_unavailable_fn unavailable)
{
	on_unavailable = unavailable;
}

void table_unavailable(const char *text)
{
	if (on_unavailable)
		on_unavailable(text);
}

void table_report(enum log_level level, const char *fmt, ...)
{
	struct buf text = BUF(2 * TABLE_VALUE_MAX);
	va_list ap;

	if (!reporter)
		return;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	reporter(level, buf_cstr(&text));
	buf_free(&text);
}

void table_pass_warnings(struct table *to, const struct table *from)
{
	for (size_t i = 0; i < from->warning_count; i++)
		table_warn(to, "%s", from->warnings[i]);
}

void table_warnings(const struct table *t, table_warn_fn warn, void *arg)
{
	for (size_t i = 0; i < t->warning_count; i++)
		warn(arg, t->warnings[i]);
}
