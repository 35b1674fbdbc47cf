#include "config/config.h"

#include "base/hash.h"
#include "base/mem.h"
#include "config/defaults.h"
#include "config/expand.h"
#include "config/main_cf.h"
#include "config/rows.h"
#include "config/values.h"
#include <unistd.h>

struct config_value {
	const char *raw;
	const char *text;      /* expanded; NULL: cannot be */
	const struct row *row; /* NULL: user-defined */
	bool twin;	       /* the row's lmtp_ twin */
	bool set;	       /* in main.cf or by an override */
};

struct config_names {
	struct pool *pool;
	struct hash *values; /* struct config_value by name */
	const char *directory;
};

struct loader {
	struct config *cfg;
	const struct config_source *source;
	config_warn_fn warn;
	void *arg;
	struct err *err;
	const char *path; /* of main.cf */
};

static void warn_text(const struct loader *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void warn_text(const struct loader *l, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!l->warn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->warn(l->arg, text);
}

static struct config_value *find(const struct config *cfg, const char *name)
{
	return hash_get(cfg->names->values, str_c(name));
}

static struct config_value *define(struct loader *l, const char *name)
{
	struct config_names *n = l->cfg->names;
	struct config_value *v = find(l->cfg, name);

	if (v)
		return v;
	v = pool_alloc(n->pool, sizeof(*v));
	v->raw = "";
	hash_put(n->values, str_c(name), v);
	return v;
}

static void set(struct loader *l, const char *name, const char *raw)
{
	struct config_value *v = define(l, name);

	v->raw = pool_strdup(l->cfg->names->pool, raw);
	v->set = true;
}

static void define_rows(struct loader *l)
{
	char name[ROW_NAME_MAX];
	struct buf dflt = BUF(4096);

	for (size_t i = 0; i < row_count(); i++) {
		struct config_value *v = define(l, row_name(&rows[i]));

		v->row = &rows[i];
		v->raw = rows[i].dflt ? rows[i].dflt : "";
		if (!rows[i].twin)
			continue;
		v = define(l, row_twin_name(&rows[i], name));
		v->row = &rows[i];
		v->twin = true;
		v->raw = pool_strdup(l->cfg->names->pool, row_twin_default(&rows[i], &dflt));
	}
	buf_free(&dflt);
}

static void take_entries(struct loader *l, const struct main_cf *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct main_cf_entry *e = &m->entries[i];
		const struct config_value *old = find(l->cfg, e->name);

		if (old && old->set && strcmp(old->raw, e->value) != 0)
			warn_text(l, "%s, line %d: overriding earlier entry: %s=%s", l->path, e->line,
				e->name, old->raw);
		set(l, e->name, e->value);
	}
}

static bool read_main(struct loader *l)
{
	struct main_cf *m;

	if (l->source->main_text)
		m = main_cf_parse(str_c(l->source->main_text), l->path, l->warn, l->arg, l->err);
	else
		m = main_cf_load(l->path, l->warn, l->arg, l->err);
	if (!m)
		return false;
	take_entries(l, m);
	main_cf_free(&m);
	return true;
}

static void take_overrides(struct loader *l)
{
	const struct config_source *s = l->source;
	char pid[32];

	for (size_t i = 0; i < s->override_count; i++)
		set(l, s->overrides[i].name, s->overrides[i].value);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	set(l, "process_id", pid);
	set(l, "process_name", s->program ? s->program : "");
	set(l, "service_name", s->service ? s->service : "");
	set(l, "config_directory", l->cfg->names->directory);
	if (s->stress)
		set(l, "stress", "yes");
}

static enum expand_found look_up(void *arg, const char *name, const char **value)
{
	const struct config_value *v = find(arg, name);

	if (!v)
		return EXPAND_UNDEFINED;
	*value = v->raw;
	return v->row && v->row->type == ROW_RAW ? EXPAND_FINAL : EXPAND_AGAIN;
}

/* The expanded value in the pool; NULL with err. */
static const char *expand_value(struct loader *l, const char *name, struct err *err)
{
	struct config_value *v = define(l, name);
	struct buf out = BUF(EXPAND_MAX);

	if (v->row && v->row->type == ROW_RAW)
		v->text = v->raw;
	else if (expand(v->raw, look_up, l->cfg, &out, err))
		v->text = pool_strdup(l->cfg->names->pool, buf_cstr(&out));
	else
		err_prefix(err, "parameter %s", name);
	buf_free(&out);
	return v->text;
}

static void set_default(struct loader *l, const char *name, char *value)
{
	define(l, name)->raw = pool_strdup(l->cfg->names->pool, value);
	x_free(&value);
}

static bool compute_names(struct loader *l)
{
	bool host_set = find(l->cfg, "myhostname")->set, domain_set = find(l->cfg, "mydomain")->set;
	const char *text;

	if (!host_set) {
		text = domain_set ? expand_value(l, "mydomain", l->err) : "";
		if (!text)
			return false;
		set_default(l, "myhostname", default_myhostname(text));
	}
	if (!domain_set) {
		text = expand_value(l, "myhostname", l->err);
		if (!text)
			return false;
		set_default(l, "mydomain", default_mydomain(text));
	}
	return true;
}

static bool compute_networks(struct loader *l)
{
	const char *style, *interfaces, *protocols;
	char *networks;

	if (find(l->cfg, "mynetworks")->set)
		return true;
	style = expand_value(l, "mynetworks_style", l->err);
	interfaces = style ? expand_value(l, "inet_interfaces", l->err) : NULL;
	protocols = interfaces ? expand_value(l, "inet_protocols", l->err) : NULL;
	networks = protocols ? default_mynetworks(style, interfaces, protocols, l->err) : NULL;
	if (!networks)
		return false;
	set_default(l, "mynetworks", networks);
	return true;
}

static bool store_default(struct loader *l, const struct row *row, const char *name, struct config_value *v)
{
	struct buf dflt = BUF(4096);

	v->raw = v->twin ? pool_strdup(l->cfg->names->pool, row_twin_default(row, &dflt)) : row->dflt;
	buf_free(&dflt);
	v->text = NULL;
	return expand_value(l, name, l->err) && value_store(l->cfg, row, name, v->text, l->err);
}

static void lower_words(struct loader *l, struct config_value *v)
{
	char *lower = pool_strdup(l->cfg->names->pool, v->text);

	ascii_lower(lower);
	v->text = lower;
}

/* A bad value of somebody else's parameter must not stop this program. */
static bool store_row(struct loader *l, const struct row *row)
{
	char twin[ROW_NAME_MAX];
	const char *name = l->source->lmtp && row->twin ? row_twin_name(row, twin) : row_name(row);
	struct config_value *v = find(l->cfg, name);
	struct err err;

	if (expand_value(l, name, &err)) {
		if (row->type == ROW_ENUM)
			lower_words(l, v);
		if (value_store(l->cfg, row, name, v->text, &err))
			return true;
	}
	if (!l->source->program || !row_is_foreign(row, l->source->program) || !v->set || !row->dflt)
		return err_set(l->err, "%s", err.text);
	warn_text(l, "%s", err.text);
	return store_default(l, row, name, v);
}

static bool store_rows(struct loader *l)
{
	for (size_t i = 0; i < row_count(); i++) {
		if (!store_row(l, &rows[i]))
			return false;
	}
	return true;
}

/* Names without a row, and twins that are not this program's, so that config_text never has to compute. */
static void expand_rest(struct loader *l)
{
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(l->cfg->names->values, &pos, &key, &value)) {
		struct config_value *v = value;
		struct err ignored;

		if (!v->text) {
			char *name = x_strndup(key.p, key.n);

			expand_value(l, name, &ignored);
			x_free(&name);
		}
	}
}

static void warn_marks(struct loader *l)
{
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(l->cfg->names->values, &pos, &key, &value)) {
		const struct config_value *v = value;

		if (!v->set || !v->row || (v->row->dflt && strcmp(v->raw, v->row->dflt) == 0))
			continue;
		if (v->row->mark == ROW_INERT)
			warn_text(l, "parameter " STR_FMT " is not acted on by this version", STR_ARG(key));
		else if (v->row->mark == ROW_MOOT)
			warn_text(l, "parameter " STR_FMT " has no effect here", STR_ARG(key));
	}
}

static bool load(struct loader *l)
{
	define_rows(l);
	if (!read_main(l))
		return false;
	take_overrides(l);
	if (!compute_names(l) || !compute_networks(l) || !store_rows(l))
		return false;
	expand_rest(l);
	warn_marks(l);
	return true;
}

const struct config *config_load(
	const struct config_source *source, config_warn_fn warn, void *arg, struct err *err)
{
	const char *directory = source->directory ? source->directory : getenv("MAIL_CONFIG");
	struct config *cfg = x_alloc(sizeof(*cfg));
	char *path;
	bool ok;

	if (!directory || !*directory)
		directory = DEFAULT_CONFIG_DIRECTORY;
	cfg->names = x_alloc(sizeof(*cfg->names));
	cfg->names->pool = pool_new(128 * 1024);
	cfg->names->values = hash_new(NULL);
	cfg->names->directory = pool_strdup(cfg->names->pool, directory);
	path = x_asprintf("%s/main.cf", directory);
	ok = load(&(struct loader){
		.cfg = cfg, .source = source, .warn = warn, .arg = arg, .err = err, .path = path});
	x_free(&path);
	if (!ok) {
		const struct config *failed = cfg;

		config_free(&failed);
		return NULL;
	}
	return cfg;
}

void config_free(const struct config **cfg)
{
	struct config_names *n;

	if (!*cfg)
		return;
	n = (*cfg)->names;
	hash_free(&n->values);
	pool_free(&n->pool);
	x_free(&n);
	x_free(cfg);
}

const char *config_text(const struct config *cfg, const char *name)
{
	const struct config_value *v = find(cfg, name);

	return v ? v->text : NULL;
}

const char *config_directory(const struct config *cfg)
{
	return cfg->names->directory;
}

bool config_is_set(const struct config *cfg, const char *name)
{
	const struct config_value *v = find(cfg, name);

	return v && v->set;
}

struct runtime_lookup {
	const struct config *cfg;
	config_lookup_fn lookup;
	void *arg;
};

static enum expand_found runtime_look_up(void *arg, const char *name, const char **value)
{
	const struct runtime_lookup *r = arg;

	*value = r->lookup ? r->lookup(r->arg, name) : NULL;
	if (!*value)
		*value = config_text(r->cfg, name);
	return *value ? EXPAND_FINAL : EXPAND_UNDEFINED;
}

char *config_expand(const struct config *cfg, const char *raw, config_lookup_fn lookup, void *arg)
{
	struct runtime_lookup r = {cfg, lookup, arg};
	struct buf out = BUF(EXPAND_MAX);
	struct err ignored;

	if (!expand(raw, runtime_look_up, &r, &out, &ignored)) {
		buf_clear(&out);
		buf_puts(&out, raw);
	}
	return buf_take(&out);
}
