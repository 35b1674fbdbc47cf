/* The order is Postfix's: references in main.cf, then in each service, then tables; a name is used when
 * something that is used, or any value of main.cf, names it. */
#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/postconf.h"

static char used_mark[] = "";

struct reader {
	struct postconf *pc;
	struct service *service; /* NULL: main.cf */
};

static bool is_set(const struct postconf *pc, const char *name)
{
	const struct name_value *v = names_find(pc->names, name);

	return v && v->set;
}

static bool is_builtin(const struct postconf *pc, const char *name)
{
	const struct name_value *v = names_find(pc->names, name);

	return (v && v->row) || hash_get(pc->per_service, str_c(name));
}

bool postconf_known(const struct postconf *pc, const char *name)
{
	return is_builtin(pc, name) || hash_get(pc->used, str_c(name));
}

static bool mark_local(struct service *s, const char *name)
{
	if (!hash_get(s->locals, str_c(name)))
		return false;
	hash_put(s->used, str_c(name), used_mark);
	return true;
}

static bool mark_global(struct postconf *pc, const char *name)
{
	if (is_set(pc, name))
		hash_put(pc->used, str_c(name), used_mark);
	return is_set(pc, name) || is_builtin(pc, name);
}

/* A value of main.cf may be read by every service, each with its own -o. */
static bool mark(const struct reader *r, const char *name)
{
	bool found = false;

	if (r->service)
		return mark_local(r->service, name) || mark_global(r->pc, name);
	for (size_t i = 0; i < r->pc->service_count; i++)
		found |= mark_local(&r->pc->services[i], name);
	return mark_global(r->pc, name) || found;
}

static void refer(void *arg, const char *name)
{
	const struct reader *r = arg;

	if (!mark(r, name))
		command_say(LOGL_WARNING, "%s: undefined parameter: %s",
			r->service ? r->pc->master_path : r->pc->main_path, name);
}

static void read_references(struct reader *r, const char *value)
{
	struct err err;

	if (!expand_names(value, refer, r, &err))
		postconf_warn(NULL, err.text);
}

static void read_classes(struct reader *r, const char *value)
{
	struct buf list = BUF(EXPAND_MAX);
	struct str rest, word;

	postconf_expand_set(r->pc, r->service, value, &list);
	rest = buf_slice(&list);
	while (str_word(&rest, ", \t\r\n", &word)) {
		char *name = x_strndup(word.p, word.n);

		refer(r, name);
		x_free(&name);
	}
	buf_free(&list);
}

static bool mark_table_name(void *arg, const char *name)
{
	return mark(arg, name);
}

static void read_tables(struct reader *r, const char *value)
{
	struct buf text = BUF(EXPAND_MAX);

	postconf_expand(r->pc, r->service, value, &text);
	postconf_tables(buf_slice(&text), mark_table_name, r);
	buf_free(&text);
}

/* One walk over the values that are set; fn sees those it wants. */
typedef void (*value_fn)(struct reader *r, const char *name, const char *value);

static void walk_main(struct postconf *pc, value_fn fn)
{
	struct reader r = {pc, NULL};
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(pc->names->values, &pos, &key, &value)) {
		const struct name_value *v = value;
		char *name = x_strndup(key.p, key.n);

		if (v->set)
			fn(&r, name, v->raw);
		x_free(&name);
	}
}

static void walk_service(struct postconf *pc, struct service *s, value_fn fn)
{
	struct reader r = {pc, s};
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(s->locals, &pos, &key, &value)) {
		char *name = x_strndup(key.p, key.n);

		fn(&r, name, value);
		x_free(&name);
	}
}

/* Names in values that are expanded when used are not ours to know. */
static void see_references(struct reader *r, const char *name, const char *value)
{
	const struct name_value *v = names_find(r->pc->names, name);

	if (!v || !v->row || v->row->type != ROW_RAW)
		read_references(r, value);
}

static void see_classes(struct reader *r, const char *name, const char *value)
{
	if (strcmp(name, "smtpd_restriction_classes") == 0)
		read_classes(r, value);
}

/* User-defined and older names, and texts that are expanded when used, count where something expands them. */
static void see_tables(struct reader *r, const char *name, const char *value)
{
	const struct name_value *v = names_find(r->pc->names, name);
	bool later = v && v->row && (v->row->mark == ROW_LEGACY || v->row->type == ROW_RAW);

	if (is_builtin(r->pc, name) && !later)
		read_tables(r, value);
}

void postconf_check(struct postconf *pc)
{
	static const value_fn passes[] = {see_classes, see_references, see_tables};

	for (size_t p = 0; p < sizeof(passes) / sizeof(passes[0]); p++) {
		walk_main(pc, passes[p]);
		for (size_t i = 0; i < pc->service_count; i++)
			walk_service(pc, &pc->services[i], passes[p]);
	}
}

static void warn_unused(const char *path, const char *name, const char *value)
{
	char *text = x_asprintf("%s: unused parameter: %s=%s", path, name, value);

	postconf_warn(NULL, text);
	x_free(&text);
}

static void see_unused(struct reader *r, const char *name, const char *value)
{
	if (!postconf_known(r->pc, name))
		warn_unused(r->pc->main_path, name, value);
}

static void see_unused_local(struct reader *r, const char *name, const char *value)
{
	if (!postconf_known(r->pc, name) && !hash_get(r->service->used, str_c(name)))
		warn_unused(r->pc->master_path, name, value);
}

void postconf_warn_unused_main(const struct postconf *pc)
{
	walk_main((struct postconf *)pc, see_unused);
}

void postconf_warn_unused_master(const struct postconf *pc)
{
	for (size_t i = 0; i < pc->service_count; i++)
		walk_service((struct postconf *)pc, &pc->services[i], see_unused_local);
}
