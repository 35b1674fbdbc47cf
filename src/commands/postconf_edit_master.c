#include "base/logical.h"
#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/postconf.h"

#define LINE_MAX_BYTES (4 * 1024 * 1024)

struct request {
	const char *text;
	struct pattern pattern;
	struct master_entry entry; /* -Me: what takes the place */
	bool matched;
};

struct requests {
	struct request *list;
	size_t count;
	unsigned flags;
};

static void parse_new_entry(struct request *r)
{
	struct err err;

	if (master_entry_parse(str_c(r->pattern.value), &r->entry, &err))
		return;
	if (strcmp(err.text, "bad field count") == 0)
		command_die(1, "bad field count: \"%s\"", r->text);
	command_die(1, "%s", err.text);
}

static void parse_entry_request(struct request *r, unsigned flags)
{
	if (!postconf_pattern(r->text, 2, flags & PC_EDIT, &r->pattern) || r->pattern.parts < 2)
		command_die(1, "-Me, -MX or -M# requires service_name/type");
	if (!(flags & PC_EDIT))
		return;
	if (!r->pattern.value)
		command_die(1, "-Me requires service_name/type=value");
	parse_new_entry(r);
}

static void parse_field_request(struct request *r)
{
	const struct pattern *p = &r->pattern;
	int field = 0;

	if (!postconf_pattern(r->text, 3, true, &r->pattern) || p->parts < 3 || !p->value)
		command_die(1, "-Fe requires service_name/type/field=value");
	if (strcmp(p->part[2], "*") == 0)
		command_die(1, "-Fe does not accept wild-card field name");
	while (field <= FIELD_COUNT && strcmp(p->part[2], master_field_names[field]) != 0)
		field++;
	if (field > FIELD_COUNT)
		command_die(1, "invalid service attribute name: \"%s\"", p->part[2]);
	if (field < FIELD_COUNT && !master_field_valid((enum master_field)field, p->value))
		command_die(1, "invalid %s field \"%s\" in \"%s\"", p->part[2], p->value, p->value);
}

static void parse_parameter_request(struct request *r, unsigned flags)
{
	const struct pattern *p = &r->pattern;

	if (!postconf_pattern(r->text, 3, flags & PC_EDIT, &r->pattern) || p->parts < 3)
		command_die(1, "-Pe or -PX requires service_name/type/parameter");
	if (strcmp(p->part[2], "*") == 0)
		command_die(1, "-Pe does not accept wild-card parameter name");
	if ((flags & PC_EDIT) && !p->value)
		command_die(1, "-Pe requires service_name/type/parameter=value");
	if (p->value && strpbrk(p->value, " \t\r\n"))
		command_die(1, "-Pe does not accept whitespace in parameter value");
}

static void parse_requests(struct requests *all, char *const *texts)
{
	for (; *texts; texts++) {
		struct request *r;

		if (strchr(*texts, '\n'))
			command_die(1, "-e, -X, or -# accepts no multi-line input");
		all->list = x_realloc(all->list, (all->count + 1) * sizeof(*all->list));
		r = &all->list[all->count++];
		*r = (struct request){.text = *texts};
		if (all->flags & PC_MASTER_PARAMS)
			parse_parameter_request(r, all->flags);
		else if (all->flags & PC_MASTER_FIELDS)
			parse_field_request(r);
		else
			parse_entry_request(r, all->flags);
	}
}

static void set_command(struct master_entry *e, const char *command)
{
	char *line = x_asprintf("%s %s %s %s %s %s %s %s", e->fields[0], e->fields[1], e->fields[2],
		e->fields[3], e->fields[4], e->fields[5], e->fields[6], command);
	struct master_entry fresh;
	struct err err;

	if (!master_entry_parse(str_c(line), &fresh, &err))
		command_die(1, "%s", err.text);
	master_entry_clear(e);
	*e = fresh;
	x_free(&line);
}

static void set_field(struct master_entry *e, const struct pattern *p)
{
	for (int i = 0; i < FIELD_COUNT; i++) {
		if (strcmp(p->part[2], master_field_names[i]) == 0) {
			x_free(&e->fields[i]);
			e->fields[i] = x_strdup(p->value);
			return;
		}
	}
	set_command(e, p->value);
}

static void remove_args(struct master_entry *e, size_t at, size_t n)
{
	for (size_t i = at; i < at + n; i++)
		x_free(&e->argv[i]);
	memmove(&e->argv[at], &e->argv[at + n], (e->argc - at - n + 1) * sizeof(*e->argv));
	e->argc -= n;
}

static void insert_override(struct master_entry *e, size_t at, char *override)
{
	e->argv = x_realloc(e->argv, (e->argc + 3) * sizeof(*e->argv));
	memmove(&e->argv[at + 2], &e->argv[at], (e->argc - at + 1) * sizeof(*e->argv));
	e->argv[at] = x_strdup("-o");
	e->argv[at + 1] = override;
	e->argc += 2;
}

/* Where the options end; *found: the first -o with that name, 0 for none. */
static size_t find_override(const struct master_entry *e, const char *name, size_t *found)
{
	struct str n, value;
	size_t i = 1;

	*found = 0;
	while (i < e->argc && master_is_option(e->argv[i])) {
		bool override = strcmp(e->argv[i], "-o") == 0 && i + 1 < e->argc;

		if (override && !*found && main_cf_split(str_c(e->argv[i + 1]), &n, &value, NULL) &&
			str_is(n, name))
			*found = i;
		i += override ? 2 : 1;
	}
	return i;
}

static void set_parameter(struct master_entry *e, const struct pattern *p)
{
	size_t found, end = find_override(e, p->part[2], &found), at = found;

	while (found) {
		remove_args(e, found, 2);
		end -= 2;
		find_override(e, p->part[2], &found);
	}
	if (p->value)
		insert_override(e, at ? at : end, x_asprintf("%s=%s", p->part[2], p->value));
}

/* An entry that a new one would collide with gives way to it. */
static bool collides(const struct requests *all, const struct request *r, const struct master_entry *e)
{
	return (all->flags & PC_MASTER) && r->entry.argc > 0 &&
	       strcmp(r->entry.fields[FIELD_NAME], e->fields[FIELD_NAME]) == 0 &&
	       strcmp(r->entry.fields[FIELD_TYPE], e->fields[FIELD_TYPE]) == 0;
}

/* The requests of -F and -P change the entry, all that match; the last one of -M that matches counts, as
 * later ones win. */
static struct request *apply(const struct requests *all, struct master_entry *e)
{
	struct request *any = NULL;

	for (size_t i = 0; i < all->count; i++) {
		struct request *r = &all->list[i];

		if (!postconf_matches(&r->pattern, e) && !collides(all, r, e))
			continue;
		any = r;
		if (all->flags & PC_MASTER_PARAMS)
			set_parameter(e, &r->pattern);
		else if (all->flags & PC_MASTER_FIELDS)
			set_field(e, &r->pattern);
		if (!(all->flags & PC_MASTER))
			r->matched = true;
	}
	return any;
}

static void put_entry(struct edit *e, const struct master_entry *entry)
{
	postconf_format_entry(PC_FOLD, entry, NULL, NULL, &e->new);
	buf_putc(&e->new, '\n');
}

static bool is_comment(struct str line)
{
	struct str text = str_strip(line);

	return text.n == 0 || text.p[0] == '#';
}

/* The physical lines of one entry: comments among them stay, the rest is dropped or commented out. */
static void put_lines(struct edit *e, struct str lines, unsigned flags, bool changed)
{
	while (lines.n) {
		ptrdiff_t end = str_find(lines, '\n');
		struct str line = str_first(lines, end < 0 ? lines.n : (size_t)end + 1);

		lines = str_from(lines, line.n);
		if (changed && !is_comment(line) && !(flags & PC_COMMENT))
			continue;
		if (changed && !is_comment(line))
			buf_putc(&e->new, '#');
		buf_str(&e->new, line);
		if (!str_ends(line, STR("\n")))
			buf_putc(&e->new, '\n');
	}
}

/* The new form of an entry; of several that a request of -M matches only the first is replaced, the others
 * go. */
static void put_changed(
	struct edit *e, const struct requests *all, struct request *r, const struct master_entry *entry)
{
	if (!r)
		return;
	if (all->flags & (PC_MASTER_FIELDS | PC_MASTER_PARAMS))
		put_entry(e, entry);
	else if ((all->flags & PC_EDIT) && !r->matched)
		put_entry(e, &r->entry);
	r->matched = true;
}

/* Writes the comments that lie before the entry and takes them off. */
static struct str put_leading_comments(struct edit *e, struct str lines)
{
	struct str rest = lines;

	while (rest.n) {
		ptrdiff_t end = str_find(rest, '\n');
		struct str line = str_first(rest, end < 0 ? rest.n : (size_t)end + 1);

		if (!is_comment(line))
			break;
		rest = str_from(rest, line.n);
	}
	put_lines(e, str_first(lines, lines.n - rest.n), 0, false);
	return rest;
}

static void edit_entry(
	struct edit *e, const struct requests *all, struct str lines, const struct logical_line *line)
{
	struct master_entry entry;
	struct request *r;
	struct err err;

	lines = put_leading_comments(e, lines);
	if (line->orphan) {
		put_lines(e, lines, 0, false);
		return;
	}
	if (!master_entry_parse(line->text, &entry, &err))
		command_die(1, "file %s: line %d: %s", e->path, line->first, err.text);
	r = apply(all, &entry);
	put_changed(e, all, r, &entry);
	put_lines(e, lines, all->flags, r != NULL);
	master_entry_clear(&entry);
}

static void edit_lines(struct edit *e, const struct requests *all)
{
	struct str left = buf_slice(&e->old); /* what was not written yet */
	struct logical_reader reader = logical_of(left);
	struct buf buf = BUF(LINE_MAX_BYTES);
	struct logical_line line;

	/* the reader skips comments before an entry; what it passed is what belongs to the entry */
	while (logical_next(&reader, &buf, &line)) {
		edit_entry(e, all, str_first(left, left.n - reader.rest.n), &line);
		left = reader.rest;
	}
	put_lines(e, left, 0, false);
	buf_free(&buf);
}

static void finish_requests(struct edit *e, const struct requests *all)
{
	for (size_t i = 0; i < all->count; i++) {
		struct request *r = &all->list[i];

		if (!r->matched && (all->flags & PC_MASTER) && (all->flags & PC_EDIT))
			put_entry(e, &r->entry);
		else if (!r->matched && !(all->flags & PC_MASTER))
			command_say(LOGL_WARNING, "unmatched service_name/type: \"%s\"", r->text);
		postconf_pattern_clear(&r->pattern);
		master_entry_clear(&r->entry);
	}
	x_free(&all->list);
}

void postconf_edit_master(const char *path, unsigned flags, char *const *texts)
{
	struct requests all = {.flags = flags};
	struct edit e;

	parse_requests(&all, texts);
	postconf_open(&e, path);
	edit_lines(&e, &all);
	finish_requests(&e, &all);
	postconf_replace(&e);
}
