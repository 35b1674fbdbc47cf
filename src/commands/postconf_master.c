#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/postconf.h"

struct value_scope {
	struct postconf *pc;
	const struct service *service;
};

static void expand_value(void *arg, const char *value, struct buf *out)
{
	struct value_scope *s = arg;

	postconf_expand(s->pc, s->service, value, out);
}

static void show_entry(struct postconf *pc, const struct service *s)
{
	struct value_scope scope = {pc, s};
	struct buf line = BUF(EXPAND_MAX * 2);
	char *name = x_asprintf("%s/%s", s->entry.fields[FIELD_NAME], s->entry.fields[FIELD_TYPE]);

	postconf_format_entry(
		pc->flags, &s->entry, pc->flags & PC_EXPAND ? expand_value : NULL, &scope, &line);
	if (pc->flags & PC_JSON)
		postconf_print(PC_JSON, name, buf_cstr(&line));
	else
		puts(buf_cstr(&line));
	x_free(&name);
	buf_free(&line);
}

static void show_command(struct postconf *pc, const struct service *s, const char *name)
{
	struct value_scope scope = {pc, s};
	struct buf line = BUF(EXPAND_MAX * 2);
	size_t label = pc->flags & PC_HIDE_NAME ? 0 : strlen(name) + 2;

	if (pc->flags & (PC_JSON | PC_HIDE_VALUE)) {
		postconf_format_command(
			0, &s->entry, 0, pc->flags & PC_EXPAND ? expand_value : NULL, &scope, &line);
		postconf_print(pc->flags, name, buf_cstr(&line));
	} else {
		if (label)
			buf_printf(&line, "%s =", name);
		postconf_format_command(pc->flags, &s->entry, label,
			pc->flags & PC_EXPAND ? expand_value : NULL, &scope, &line);
		puts(buf_cstr(&line));
	}
	buf_free(&line);
}

static void show_fields(struct postconf *pc, const struct service *s, const struct pattern *p)
{
	for (int i = 0; i <= FIELD_COUNT; i++) {
		char *name;

		if (p->parts > 2 && strcmp(p->part[2], "*") != 0 &&
			strcmp(p->part[2], master_field_names[i]) != 0)
			continue;
		name = x_asprintf("%s/%s/%s", s->entry.fields[FIELD_NAME], s->entry.fields[FIELD_TYPE],
			master_field_names[i]);
		if (i == FIELD_COUNT)
			show_command(pc, s, name);
		else
			postconf_print(pc->flags, name, s->entry.fields[i]);
		x_free(&name);
	}
}

static void show_parameter(struct postconf *pc, const struct service *s, struct str name, const char *value)
{
	struct buf text = BUF(EXPAND_MAX);
	char *label = x_asprintf(
		"%s/%s/" STR_FMT, s->entry.fields[FIELD_NAME], s->entry.fields[FIELD_TYPE], STR_ARG(name));

	if (pc->flags & PC_EXPAND)
		postconf_expand(pc, s, value, &text);
	else
		buf_puts(&text, value);
	postconf_print(pc->flags, label, buf_cstr(&text));
	x_free(&label);
	buf_free(&text);
}

static bool show_parameters(struct postconf *pc, const struct service *s, const struct pattern *p)
{
	bool any = false;
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(s->locals, &pos, &key, &value)) {
		if (p->parts > 2 && strcmp(p->part[2], "*") != 0 && !str_is(key, p->part[2]))
			continue;
		show_parameter(pc, s, key, value);
		any = true;
	}
	return any;
}

static bool show_service(struct postconf *pc, const struct service *s, const struct pattern *p)
{
	if (!postconf_matches(p, &s->entry))
		return false;
	if (pc->flags & PC_MASTER_PARAMS)
		return show_parameters(pc, s, p);
	if (pc->flags & PC_MASTER_FIELDS)
		show_fields(pc, s, p);
	else
		show_entry(pc, s);
	return true;
}

static void check_field_name(const struct pattern *p)
{
	if (p->parts < 3 || strcmp(p->part[2], "*") == 0)
		return;
	for (int i = 0; i <= FIELD_COUNT; i++) {
		if (strcmp(p->part[2], master_field_names[i]) == 0)
			return;
	}
	command_say(LOGL_FATAL, "invalid service attribute name: \"%s\"", p->part[2]);
	exit(1);
}

static void parse_request(const struct postconf *pc, const char *text, struct pattern *p)
{
	if (pc->flags & PC_MASTER_PARAMS) {
		if (!postconf_pattern(text, 3, false, p))
			command_die(1, "-P option requires service_name[/type[/parameter]]");
	} else if (pc->flags & PC_MASTER_FIELDS) {
		if (!postconf_pattern(text, 3, false, p))
			command_die(1, "-F option requires service_name[/type[/field]]");
		check_field_name(p);
	} else if (!postconf_pattern(text, 2, false, p)) {
		command_die(1, "-M option requires service_name[/type]");
	}
}

void postconf_show_master(struct postconf *pc, char *const *requests)
{
	static char everything[] = "*";
	char *const all[] = {everything, NULL};

	if (!*requests)
		requests = all;
	for (; *requests; requests++) {
		struct pattern p;
		bool any = requests == all;

		parse_request(pc, *requests, &p);
		for (size_t i = 0; i < pc->service_count; i++)
			any |= show_service(pc, &pc->services[i], &p);
		if (!any)
			command_say(LOGL_WARNING, "unmatched request: \"%s\"", *requests);
		postconf_pattern_clear(&p);
	}
}
