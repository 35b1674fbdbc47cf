#include "base/logical.h"
#include "base/mem.h"
#include "base/sys.h"
#include "commands/command_log.h"
#include "commands/postconf.h"
#include <errno.h>
#include <unistd.h>

#define FILE_MAX (4 * 1024 * 1024)

/* Values come from files that anyone may have written: nothing unprintable reaches the terminal. */
void postconf_warn(void *arg, const char *text)
{
	char *shown = x_strdup(text);

	for (char *p = shown; *p; p++) {
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	}
	command_say(LOGL_WARNING, "%s", shown);
	x_free(&shown);
}

static const char *const read_only[] = {"process_id", "process_name", "service_name", NULL};

static bool among(const char *word, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(word, *words) == 0)
			return true;
	}
	return false;
}

static void warn_read_only(const char *path, const char *name, const char *value)
{
	char *text = x_asprintf("%s: read-only parameter assignment: %s=%s", path, name, value);

	postconf_warn(NULL, text);
	x_free(&text);
}

static void refuse_read_only(struct postconf *pc)
{
	for (size_t i = 0; read_only[i]; i++) {
		struct name_value *v = names_find(pc->names, read_only[i]);

		if (v->set)
			warn_read_only(pc->main_path, read_only[i], v->raw);
		v->set = false;
		v->raw = "";
	}
}

static void refuse_read_only_locals(const struct postconf *pc, struct service *s)
{
	for (size_t i = 0; read_only[i]; i++) {
		const char *value = hash_get(s->locals, str_c(read_only[i]));

		if (value && !(pc->flags & PC_DEFAULTS))
			warn_read_only(pc->master_path, read_only[i], value);
		hash_delete(s->locals, str_c(read_only[i]));
	}
}

static void read_main(struct postconf *pc)
{
	struct err err;
	struct main_cf *m = main_cf_load(pc->main_path, postconf_warn, NULL, &err);

	if (!m)
		command_die(1, "%s", err.text);
	names_take(pc->names, m, pc->main_path, postconf_warn, NULL);
	main_cf_free(&m);
	refuse_read_only(pc);
}

static void take_override(struct postconf *pc, const char *text)
{
	struct str name, value;
	struct err err;
	char *n, *v;

	if (!main_cf_split(str_c(text), &name, &value, &err)) {
		command_say(LOGL_FATAL, "invalid parameter override: %s: %.*s", text,
			(int)strcspn(err.text, ":"), err.text);
		exit(1);
	}
	n = x_strndup(name.p, name.n);
	v = x_strndup(value.p, value.n);
	if (among(n, read_only))
		warn_read_only(pc->main_path, n, v);
	else
		names_set(pc->names, n, v);
	x_free(&n);
	x_free(&v);
}

static void fix_names(struct postconf *pc)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	names_define(pc->names, "process_id")->raw = pool_strdup(pc->names->pool, pid);
	names_define(pc->names, "process_name")->raw = "postconf";
	if (pc->flags & PC_DEFAULTS)
		names_define(pc->names, "config_directory")->raw = DEFAULT_CONFIG_DIRECTORY;
	else if (pc->directory)
		names_set(pc->names, "config_directory", pc->directory);
}

static void take_locals(struct service *s)
{
	struct str name, value;
	struct err err;

	s->locals = hash_new(free);
	s->used = hash_new(NULL);
	for (size_t i = 1; i + 1 < s->entry.argc && master_is_option(s->entry.argv[i]); i++) {
		if (strcmp(s->entry.argv[i], "-o") != 0)
			continue;
		if (main_cf_split(str_c(s->entry.argv[++i]), &name, &value, &err)) {
			free(hash_put(s->locals, name, x_strndup(value.p, value.n)));
		} else {
			err_prefix(&err, "master.cf");
			postconf_warn(NULL, err.text);
		}
	}
}

static void add_service(struct postconf *pc, struct str line, int number)
{
	struct service *s;
	struct err err;

	pc->services = x_realloc(pc->services, (pc->service_count + 1) * sizeof(*pc->services));
	s = &pc->services[pc->service_count++];
	if (!master_entry_parse(line, &s->entry, &err)) {
		if (strcmp(err.text, "bad field count") == 0 || strncmp(err.text, "missing '}'", 11) == 0)
			err_prefix(&err, "file %s: line %d", pc->master_path, number);
		command_die(1, "%s", err.text);
	}
	s->entry.line = number;
	take_locals(s);
	refuse_read_only_locals(pc, s);
}

static void parse_master(struct postconf *pc, struct str text)
{
	struct logical_reader r = logical_of(text);
	struct buf buf = BUF(FILE_MAX);
	struct logical_line line;

	while (logical_next(&r, &buf, &line)) {
		if (!line.orphan) {
			add_service(pc, line.text, line.first);
			continue;
		}
		command_say(LOGL_WARNING, "%s: logical line must not start with whitespace: \"%.30s\"",
			pc->master_path, line.text.p);
	}
	buf_free(&buf);
}

static void read_master(struct postconf *pc)
{
	struct buf text = BUF(FILE_MAX);
	struct err err;

	if (sys_read_file(pc->master_path, &text, &err))
		parse_master(pc, buf_slice(&text));
	else if (pc->flags & (PC_MASTER | PC_MASTER_FIELDS | PC_MASTER_PARAMS))
		command_die(1, "%s", err.text);
	else
		command_say(LOGL_WARNING, "%s", err.text);
	buf_free(&text);
}

static void add_per_service(struct postconf *pc, const struct service *s, const struct suffix *suffix)
{
	char *name = x_asprintf("%s%s", s->entry.fields[FIELD_NAME], suffix->suffix);

	if (!hash_get(pc->per_service, str_c(name))) {
		const struct name_value *v = names_find(pc->names, name);
		char *dflt = v && v->row ? x_strdup(v->row->dflt) : x_asprintf("$%s", suffix->fallback);

		hash_put(pc->per_service, str_c(name), dflt);
		if (!v)
			names_define(pc->names, name)->raw = pool_strdup(pc->names->pool, dflt);
	}
	x_free(&name);
}

/* What the queue manager and the command runners read for each service of these programs. */
static void define_per_service(struct postconf *pc, const struct service *s)
{
	static const char *const agents[] = {"smtp", "lmtp", "local", "virtual", "pipe", "error", NULL};
	static const char *const runners[] = {"pipe", "spawn", NULL};
	const char *program = s->entry.argv[0];

	for (const struct suffix *x = transport_suffixes; x->suffix; x++) {
		bool time_limit = strcmp(x->suffix, "_time_limit") == 0;

		if (among(program, time_limit ? runners : agents))
			add_per_service(pc, s, x);
	}
}

void postconf_load(struct postconf *pc, char *const *overrides, size_t count)
{
	struct err err;

	pc->names = names_new(pc->directory ? pc->directory : DEFAULT_CONFIG_DIRECTORY);
	pc->per_service = hash_new(free);
	pc->used = hash_new(NULL);
	if (!(pc->flags & PC_DEFAULTS))
		read_main(pc);
	fix_names(pc);
	for (size_t i = 0; i < count; i++)
		take_override(pc, overrides[i]);
	if (!names_compute(pc->names, &err))
		command_die(1, "%s", err.text);
	read_master(pc);
	for (size_t i = 0; i < pc->service_count; i++)
		define_per_service(pc, &pc->services[i]);
}

void postconf_free(struct postconf *pc)
{
	for (size_t i = 0; i < pc->service_count; i++) {
		master_entry_clear(&pc->services[i].entry);
		hash_free(&pc->services[i].locals);
		hash_free(&pc->services[i].used);
	}
	x_free(&pc->services);
	hash_free(&pc->per_service);
	hash_free(&pc->used);
	names_free(&pc->names);
	x_free(&pc->main_path);
	x_free(&pc->master_path);
}

struct scope {
	const struct service *service;
	struct config_names *names;
	bool set_only; /* defaults do not count */
};

/* What the service's processes find there. */
static const char *own_name(const struct service *s, const char *name)
{
	if (strcmp(name, "service_name") == 0)
		return s->entry.fields[FIELD_NAME];
	if (strcmp(name, "process_name") == 0)
		return s->entry.argv[0];
	return NULL;
}

static enum expand_found look_up(void *arg, const char *name, const char **value)
{
	const struct scope *scope = arg;

	if (scope->service) {
		*value = own_name(scope->service, name);
		if (*value)
			return EXPAND_FINAL;
		*value = hash_get(scope->service->locals, str_c(name));
		if (*value)
			return EXPAND_AGAIN;
	}
	if (scope->set_only && !(names_find(scope->names, name) && names_find(scope->names, name)->set))
		return EXPAND_UNDEFINED;
	return names_look_up(scope->names, name, value);
}

static void expand_in(struct scope scope, const char *text, struct buf *out)
{
	struct err err;

	if (expand(text, look_up, &scope, out, &err))
		return;
	postconf_warn(NULL, err.text);
	command_die(1, "macro processing error");
}

void postconf_expand(struct postconf *pc, const struct service *service, const char *text, struct buf *out)
{
	expand_in((struct scope){service, pc->names, false}, text, out);
}

void postconf_expand_set(
	struct postconf *pc, const struct service *service, const char *text, struct buf *out)
{
	expand_in((struct scope){service, pc->names, true}, text, out);
}
