#include "config/master_cf.h"

#include "base/logical.h"
#include "base/mem.h"
#include "base/sys.h"
#include "config/compare.h"
#include "config/main_cf.h"
#include "config/master_entry.h"
#include "config/names.h"

#define MASTER_CF_MAX (4 * 1024 * 1024) /* bytes of the file */

static const char *const type_names[] = {"inet", "unix", "fifo", "pass", "unix-dgram"};

const char *service_type_name(enum service_type type)
{
	return type_names[type];
}

static enum service_type type_of(const char *name)
{
	enum service_type type = SERVICE_INET;

	while (strcmp(name, type_names[type]) != 0)
		type++;
	return type;
}

static bool flag(const char *text, bool dflt)
{
	return *text == '-' ? dflt : *text == 'y';
}

/* Services of levels below 1 are jailed unless master.cf says otherwise. */
static bool default_chroot(const struct config *cfg)
{
	int64_t level;

	return compare_parse_level(str_c(cfg->compatibility_level), &level) && level < (INT64_C(1) << 32);
}

static int number(const char *text, int dash)
{
	struct str s = str_c(text);
	int64_t n = 0;

	if (str_is(s, "-"))
		return dash;
	str_to_i64(str_ends(s, STR("?")) ? str_first(s, s.n - 1) : s, 0, INT32_MAX, &n);
	return (int)n;
}

static void fill_columns(struct master_service *s, const struct master_entry *e, const struct config *cfg)
{
	s->name = x_strdup(e->fields[FIELD_NAME]);
	s->type = type_of(e->fields[FIELD_TYPE]);
	s->is_private = s->type != SERVICE_INET && flag(e->fields[FIELD_PRIVATE], true);
	s->unprivileged = flag(e->fields[FIELD_UNPRIVILEGED], true);
	s->chroot = flag(e->fields[FIELD_CHROOT], default_chroot(cfg));
	s->wakeup = number(e->fields[FIELD_WAKEUP], 0);
	s->wakeup_if_used = strchr(e->fields[FIELD_WAKEUP], '?') != NULL;
	s->maxproc = number(e->fields[FIELD_MAXPROC], -1);
	s->line = e->line;
}

static bool add_override(struct master_service *s, const char *text, struct err *err)
{
	struct str name, value;

	if (!text)
		return err_set(err, "-o without name=value");
	if (!main_cf_split(str_c(text), &name, &value, err))
		return false;
	s->overrides = x_realloc(s->overrides, (s->override_count + 1) * sizeof(*s->overrides));
	s->overrides[s->override_count++] =
		(struct config_pair){x_strndup(name.p, name.n), x_strndup(value.p, value.n)};
	return true;
}

static bool fill_arguments(struct master_service *s, const struct master_entry *e, struct err *err)
{
	bool options = true;
	size_t n = 0;

	s->argv = x_alloc((e->argc + 1) * sizeof(*s->argv));
	for (size_t i = 0; i < e->argc; i++) {
		const char *arg = e->argv[i];

		options = options && (i == 0 || master_is_option(arg));
		if (i > 0 && options && strcmp(arg, "-o") == 0) {
			if (!add_override(s, e->argv[++i], err))
				return false;
			continue;
		}
		s->argv[n++] = x_strdup(arg);
	}
	s->command = s->argv[0];
	return true;
}

static bool check_service(const struct master_cf *m, const struct master_service *s,
	const struct master_entry *e, struct err *err)
{
	if (strchr(s->command, '/'))
		return err_set(err, "bad program name \"%s\": names a path", s->command);
	if (s->type == SERVICE_INET && flag(e->fields[FIELD_PRIVATE], false))
		return err_set(err, "inet service \"%s\" cannot be private", s->name);
	for (size_t i = 0; i + 1 < m->count; i++) {
		if (m->services[i].type == s->type && strcmp(m->services[i].name, s->name) == 0)
			return err_set(err,
				"duplicate entry for service \"%s\" type \"%s\", first in line %d", s->name,
				service_type_name(s->type), m->services[i].line);
	}
	return true;
}

static bool add_service(
	struct master_cf *m, const struct master_entry *e, const struct config *cfg, struct err *err)
{
	struct master_service *s;

	m->services = x_realloc(m->services, (m->count + 1) * sizeof(*m->services));
	s = &m->services[m->count++];
	*s = (struct master_service){.line = e->line};
	fill_columns(s, e, cfg);
	return fill_arguments(s, e, err) && check_service(m, s, e, err);
}

static bool parse(struct master_cf *m, struct str content, const struct config *cfg, struct buf *buf,
	int *line, struct err *err)
{
	struct logical_reader r = logical_of(content);
	struct logical_line l;

	while (logical_next(&r, buf, &l)) {
		struct master_entry e;
		bool ok;

		*line = l.first;
		if (l.orphan)
			return err_set(
				err, "logical line must not start with whitespace: \"%.30s\"", l.text.p);
		if (!master_entry_parse(l.text, &e, err))
			return false;
		e.line = l.first;
		ok = add_service(m, &e, cfg, err);
		master_entry_clear(&e);
		if (!ok)
			return false;
	}
	return true;
}

struct master_cf *master_cf_parse(
	const struct config *cfg, struct str content, const char *path, struct err *err)
{
	struct master_cf *m = x_alloc(sizeof(*m));
	struct buf line_buf = BUF(MASTER_CF_MAX);
	struct err inner;
	int line = 0;

	if (!parse(m, content, cfg, &line_buf, &line, &inner)) {
		err_set(err, "%s: line %d: %s", path, line, inner.text);
		master_cf_free(&m);
	}
	buf_free(&line_buf);
	return m;
}

struct master_cf *master_cf_load(const struct config *cfg, struct err *err)
{
	struct buf content = BUF(MASTER_CF_MAX);
	char *path = x_asprintf("%s/master.cf", config_directory(cfg));
	const char *text = cfg->names->master_text;
	struct master_cf *m = NULL;

	if (text)
		m = master_cf_parse(cfg, str_c(text), path, err);
	else if (sys_read_file(path, &content, err))
		m = master_cf_parse(cfg, buf_slice(&content), path, err);
	buf_free(&content);
	x_free(&path);
	return m;
}

static void free_service(struct master_service *s)
{
	for (size_t i = 0; i < s->override_count; i++) {
		x_free(&s->overrides[i].name);
		x_free(&s->overrides[i].value);
	}
	for (char **arg = s->argv; arg && *arg; arg++)
		x_free(arg);
	x_free(&s->argv);
	x_free(&s->overrides);
	x_free(&s->name);
}

void master_cf_free(struct master_cf **m)
{
	if (!*m)
		return;
	for (size_t i = 0; i < (*m)->count; i++)
		free_service(&(*m)->services[i]);
	x_free(&(*m)->services);
	x_free(m);
}

const struct master_service *master_cf_find(
	const struct master_cf *m, const char *name, enum service_type type)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->services[i].type == type && strcmp(m->services[i].name, name) == 0)
			return &m->services[i];
	}
	return NULL;
}
