#include "config/names.h"

#include "base/mem.h"
#include "config/defaults.h"

#define DEFAULT_MAX 4096

struct name_value *names_find(const struct config_names *n, const char *name)
{
	return hash_get(n->values, str_c(name));
}

struct name_value *names_define(struct config_names *n, const char *name)
{
	struct name_value *v = names_find(n, name);

	if (v)
		return v;
	v = pool_alloc(n->pool, sizeof(*v));
	v->raw = "";
	hash_put(n->values, str_c(name), v);
	return v;
}

void names_set(struct config_names *n, const char *name, const char *raw)
{
	struct name_value *v = names_define(n, name);

	v->raw = pool_strdup(n->pool, raw);
	v->text = NULL;
	v->set = true;
}

const char *names_default(struct config_names *n, const char *name)
{
	const struct name_value *v = names_find(n, name);
	struct buf buf = BUF(DEFAULT_MAX);
	const char *dflt;

	if (!v || !v->row || !v->row->dflt)
		return NULL;
	if (!v->twin)
		return v->row->dflt;
	dflt = pool_strdup(n->pool, row_twin_default(v->row, &buf));
	buf_free(&buf);
	return dflt;
}

static void define_row(struct config_names *n, const struct row *row, const char *name, bool twin)
{
	struct name_value *v = names_define(n, name);

	v->row = row;
	v->twin = twin;
	v->raw = names_default(n, name);
	if (!v->raw)
		v->raw = "";
}

struct config_names *names_new(const char *directory)
{
	struct config_names *n = x_alloc(sizeof(*n));
	char twin[ROW_NAME_MAX];

	n->pool = pool_new(128 * 1024);
	n->values = hash_new(NULL);
	n->directory = pool_strdup(n->pool, directory);
	for (size_t i = 0; i < row_count(); i++) {
		define_row(n, &rows[i], row_name(&rows[i]), false);
		if (rows[i].twin)
			define_row(n, &rows[i], row_twin_name(&rows[i], twin), true);
	}
	return n;
}

void names_free(struct config_names **n)
{
	if (!*n)
		return;
	hash_free(&(*n)->values);
	pool_free(&(*n)->pool);
	x_free(n);
}

static void warn_twice(
	const struct main_cf_entry *e, const char *old, const char *path, config_warn_fn warn, void *arg)
{
	char *text = x_asprintf("%s, line %d: overriding earlier entry: %s=%s", path, e->line, e->name, old);

	if (warn)
		warn(arg, text);
	x_free(&text);
}

void names_take(
	struct config_names *n, const struct main_cf *m, const char *path, config_warn_fn warn, void *arg)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct main_cf_entry *e = &m->entries[i];
		const struct name_value *old = names_find(n, e->name);

		if (old && old->set && strcmp(old->raw, e->value) != 0)
			warn_twice(e, old->raw, path, warn, arg);
		names_set(n, e->name, e->value);
	}
}

enum expand_found names_look_up(void *arg, const char *name, const char **value)
{
	const struct name_value *v = names_find(arg, name);

	if (!v)
		return EXPAND_UNDEFINED;
	*value = v->raw;
	return EXPAND_AGAIN;
}

const char *names_expand(struct config_names *n, const char *name, struct err *err)
{
	struct name_value *v = names_find(n, name);
	struct buf out = BUF(EXPAND_MAX);

	if (v->row && v->row->type == ROW_RAW)
		v->text = v->raw;
	else if (expand(v->raw, names_look_up, n, &out, err))
		v->text = pool_strdup(n->pool, buf_cstr(&out));
	else
		err_prefix(err, "parameter %s", name);
	buf_free(&out);
	return v->text;
}

static void set_default(struct config_names *n, const char *name, char *value)
{
	names_define(n, name)->raw = pool_strdup(n->pool, value);
	x_free(&value);
}

static bool compute_host(struct config_names *n, struct err *err)
{
	bool host_set = names_find(n, "myhostname")->set, domain_set = names_find(n, "mydomain")->set;
	const char *text;

	if (!host_set) {
		text = domain_set ? names_expand(n, "mydomain", err) : "";
		if (!text)
			return false;
		set_default(n, "myhostname", default_myhostname(text));
	}
	if (!domain_set) {
		text = names_expand(n, "myhostname", err);
		if (!text)
			return false;
		set_default(n, "mydomain", default_mydomain(text));
	}
	return true;
}

static bool compute_networks(struct config_names *n, struct err *err)
{
	const char *style, *interfaces, *protocols;
	char *networks;

	if (names_find(n, "mynetworks")->set)
		return true;
	style = names_expand(n, "mynetworks_style", err);
	interfaces = style ? names_expand(n, "inet_interfaces", err) : NULL;
	protocols = interfaces ? names_expand(n, "inet_protocols", err) : NULL;
	networks = protocols ? default_mynetworks(style, interfaces, protocols, err) : NULL;
	if (!networks)
		return false;
	set_default(n, "mynetworks", networks);
	return true;
}

bool names_compute(struct config_names *n, struct err *err)
{
	return compute_host(n, err) && compute_networks(n, err);
}
