#include "config/config.h"

#include "base/mem.h"
#include "base/sys.h"
#include "config/names.h"
#include "config/values.h"
#include <pthread.h>
#include <unistd.h>

#define ORIGIN_FILE_MAX 65536

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

static bool read_main(struct loader *l)
{
	struct main_cf *m;

	if (l->source->main_text)
		m = main_cf_parse(str_c(l->source->main_text), l->path, l->warn, l->arg, l->err);
	else
		m = main_cf_load(l->path, l->warn, l->arg, l->err);
	if (!m)
		return false;
	names_take(l->cfg->names, m, l->path, l->warn, l->arg);
	main_cf_free(&m);
	return true;
}

static void take_overrides(struct loader *l)
{
	const struct config_source *s = l->source;
	char pid[32];

	for (size_t i = 0; i < s->override_count; i++)
		names_set(l->cfg->names, s->overrides[i].name, s->overrides[i].value);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	names_set(l->cfg->names, "process_id", pid);
	names_set(l->cfg->names, "process_name", s->program ? s->program : "");
	names_set(l->cfg->names, "service_name", s->service ? s->service : "");
	names_set(l->cfg->names, "config_directory", l->cfg->names->directory);
	if (s->stress)
		names_set(l->cfg->names, "stress", "yes");
}

/* The first line of a file, as Debian has it. */
static bool read_origin(struct loader *l, const char *path, struct buf *name)
{
	struct buf text = BUF(ORIGIN_FILE_MAX);
	struct str rest, line = {"", 0};
	struct err err;

	if (!sys_read_file(path, &text, &err)) {
		buf_free(&text);
		return err_set(l->err, "parameter myorigin: %s", err.text);
	}
	rest = buf_slice(&text);
	str_word(&rest, "\n", &line);
	buf_str(name, str_trim(line));
	buf_free(&text);
	return name->len > 0 || err_set(l->err, "parameter myorigin: %s is empty", path);
}

/* A path stands for the name in that file. */
static bool take_origin(struct loader *l)
{
	const char *text = names_expand(l->cfg->names, "myorigin", l->err);
	struct buf name = BUF(ORIGIN_FILE_MAX);
	bool ok = text != NULL;

	if (ok && text[0] == '/') {
		ok = read_origin(l, text, &name);
		names_set(l->cfg->names, "myorigin", buf_cstr(&name));
		l->cfg->names->origin_from_file = true;
		text = buf_cstr(&name);
	}
	if (ok && strpbrk(text, ", \t\r$"))
		ok = err_set(l->err, "parameter myorigin: one name is wanted: \"%s\"", text);
	buf_free(&name);
	return ok;
}

/* A row of other programs whose default cannot be had either, because it refers to a bad value. */
static void store_nothing(struct loader *l, const struct row *row)
{
	if (row->type == ROW_TEXT || row->type == ROW_RAW || row->type == ROW_TABLES || row->words)
		*(const char **)(void *)((char *)l->cfg + row->offset) = "";
}

static void store_default(struct loader *l, const struct row *row, const char *name, struct name_value *v)
{
	const char *dflt = names_default(l->cfg->names, name);
	struct err ignored;

	v->raw = dflt ? dflt : "";
	if (!names_expand(l->cfg->names, name, &ignored) ||
		!value_store(l->cfg, row, name, v->text, &ignored))
		store_nothing(l, row);
}

static void lower_words(struct loader *l, struct name_value *v)
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
	struct name_value *v = names_find(l->cfg->names, name);
	struct err err;

	if (names_expand(l->cfg->names, name, &err)) {
		if (row->words)
			lower_words(l, v);
		if (value_store(l->cfg, row, name, v->text, &err))
			return true;
	}
	if (!l->source->program || !row_is_foreign(row, l->source->program))
		return err_set(l->err, "%s", err.text);
	if (v->set)
		warn_text(l, "%s", err.text);
	store_default(l, row, name, v);
	return true;
}

static bool is_derived(const struct loader *l, const struct row *row)
{
	const struct name_value *v = names_find(l->cfg->names, row_name(row));

	return !v->set && strchr(v->raw, '$');
}

/* Rows whose default refers to others come last, so that an error names the parameter that was set. */
static bool store_rows(struct loader *l)
{
	for (int derived = 0; derived < 2; derived++) {
		for (size_t i = 0; i < row_count(); i++) {
			if (is_derived(l, &rows[i]) == derived && !store_row(l, &rows[i]))
				return false;
		}
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
		struct name_value *v = value;
		struct err ignored;

		if (!v->text) {
			char *name = x_strndup(key.p, key.n);

			names_expand(l->cfg->names, name, &ignored);
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
		const struct name_value *v = value;

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
	if (!read_main(l))
		return false;
	take_overrides(l);
	if (!names_compute(l->cfg->names, l->err) || !take_origin(l) || !store_rows(l))
		return false;
	expand_rest(l);
	warn_marks(l);
	return true;
}

bool config_origin_from_file(const struct config *cfg)
{
	return cfg->names->origin_from_file;
}

/* For config_latest_text; set when a configuration is loaded, cleared when it is freed. */
static struct {
	pthread_mutex_t lock;
	const struct config *cfg;
} latest = {.lock = PTHREAD_MUTEX_INITIALIZER};

void config_make_latest(const struct config *cfg)
{
	pthread_mutex_lock(&latest.lock);
	latest.cfg = cfg;
	pthread_mutex_unlock(&latest.lock);
}

static void forget_latest(const struct config *cfg)
{
	pthread_mutex_lock(&latest.lock);
	if (latest.cfg == cfg)
		latest.cfg = NULL;
	pthread_mutex_unlock(&latest.lock);
}

char *config_latest_text(const char *name)
{
	const char *text;
	char *copy = NULL;

	pthread_mutex_lock(&latest.lock);
	text = latest.cfg ? config_text(latest.cfg, name) : NULL;
	if (text)
		copy = x_strdup(text);
	pthread_mutex_unlock(&latest.lock);
	return copy;
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
	cfg->names = names_new(directory);
	cfg->names->main_text = pool_strdup(cfg->names->pool, source->main_text);
	cfg->names->master_text = pool_strdup(cfg->names->pool, source->master_text);
	path = x_asprintf("%s/main.cf", directory);
	ok = load(&(struct loader){
		.cfg = cfg, .source = source, .warn = warn, .arg = arg, .err = err, .path = path});
	x_free(&path);
	if (!ok) {
		const struct config *failed = cfg;

		config_free(&failed);
		return NULL;
	}
	config_make_latest(cfg);
	return cfg;
}

void config_free(const struct config **cfg)
{
	struct config_names *n;

	if (!*cfg)
		return;
	forget_latest(*cfg);
	n = (*cfg)->names;
	names_free(&n);
	x_free(cfg);
}

const char *config_text(const struct config *cfg, const char *name)
{
	const struct name_value *v = names_find(cfg->names, name);

	return v ? v->text : NULL;
}

const char *config_directory(const struct config *cfg)
{
	return cfg->names->directory;
}

struct runtime_lookup {
	const struct config *cfg;
	config_lookup_fn lookup;
	void *arg;
};

static enum expand_found runtime_look_up(void *arg, const char *name, const char **value)
{
	const struct runtime_lookup *r = arg;
	const struct name_value *v;

	*value = r->lookup ? r->lookup(r->arg, name) : NULL;
	if (*value)
		return EXPAND_FINAL;
	v = names_find(r->cfg->names, name);
	if (!v || !v->text)
		return EXPAND_UNDEFINED;
	*value = v->text;
	return v->row && v->row->type == ROW_RAW ? EXPAND_AGAIN : EXPAND_FINAL;
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
