#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/postconf.h"

static unsigned class_of(const struct postconf *pc, const char *name)
{
	const struct name_value *v = names_find(pc->names, name);

	if (hash_get(pc->per_service, str_c(name)))
		return CLASS_SERVICE;
	return v && v->row && v->row->mark != ROW_LEGACY ? CLASS_BUILTIN : CLASS_USER;
}

static const char *value_of(struct postconf *pc, const char *name)
{
	const struct name_value *v = names_find(pc->names, name);
	const char *dflt;

	if (!(pc->flags & PC_DEFAULTS))
		return v->raw;
	dflt = hash_get(pc->per_service, str_c(name));
	if (!dflt)
		dflt = names_default(pc->names, name);
	return dflt ? dflt : v->raw;
}

static void show(struct postconf *pc, const char *name)
{
	const struct name_value *v = names_find(pc->names, name);
	struct buf text = BUF(EXPAND_MAX);

	if ((pc->flags & PC_EXPAND) && !(v->row && v->row->type == ROW_RAW)) {
		postconf_expand(pc, NULL, value_of(pc, name), &text);
		postconf_print(pc->flags, name, buf_cstr(&text));
	} else {
		postconf_print(pc->flags, name, value_of(pc, name));
	}
	buf_free(&text);
}

/* Older names are shown when they are set; they have no value of their own. */
static bool wanted(const struct postconf *pc, const char *name)
{
	const struct name_value *v = names_find(pc->names, name);

	if ((pc->flags & PC_SET) && !v->set)
		return false;
	if (v->row && v->row->mark == ROW_LEGACY && !v->set)
		return false;
	if ((pc->flags & PC_INERT) && (!v->row || (v->row->mark != ROW_INERT && v->row->mark != ROW_MOOT)))
		return false;
	return postconf_known(pc, name) && (class_of(pc, name) & pc->classes);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show_all(struct postconf *pc)
{
	char **list = x_alloc((hash_count(pc->names->values) + 1) * sizeof(*list));
	size_t count = 0, pos = 0;
	struct str key;
	void *value;

	while (hash_next(pc->names->values, &pos, &key, &value)) {
		char *name = x_strndup(key.p, key.n);

		if (wanted(pc, name))
			list[count++] = name;
		else
			x_free(&name);
	}
	qsort(list, count, sizeof(*list), by_name);
	for (size_t i = 0; i < count; i++) {
		show(pc, list[i]);
		x_free(&list[i]);
	}
	x_free(&list);
}

void postconf_show_main(struct postconf *pc, char *const *names)
{
	if (!*names)
		show_all(pc);
	for (; *names; names++) {
		if (!postconf_known(pc, *names) || !names_find(pc->names, *names))
			command_say(LOGL_WARNING, "%s: unknown parameter", *names);
		else if (!(pc->flags & PC_SET) || names_find(pc->names, *names)->set)
			show(pc, *names);
	}
}
