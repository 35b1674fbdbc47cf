#include "bounce/bounce_template.h"

#include "base/mem.h"
#include "base/sys.h"

#define FILE_LIMIT 1000000
#define TEXT_LIMIT 100000

struct bounce_templates {
	struct pool *pool;
	struct bounce_template of[TEMPLATE_COUNT];
};

static const char *const names[TEMPLATE_COUNT] = {"failure", "delay", "success", "verify"};

#define POSTMASTER_LINES                                                                                     \
	"\n"                                                                                                 \
	"If you need help, write to <postmaster> at this system and send this\n"                             \
	"report along.\n"                                                                                    \
	"\n"                                                                                                 \
	"                   The mail system\n"

static const struct bounce_template built_in[TEMPLATE_COUNT] = {
	[TEMPLATE_FAILURE] = {"us-ascii", NULL, "Undelivered Mail Returned to Sender",
		"Postmaster Copy: Undelivered Mail",
		"This is the mail system at host $myhostname.\n"
		"\n"
		"Your message could not be delivered to the recipients named below.\n"
		"The system has given up on them and will not try again. Below each\n"
		"address is the reason; the message, or its header, follows this report.\n" POSTMASTER_LINES},
	[TEMPLATE_DELAY] = {"us-ascii", NULL, "Delayed Mail (still being retried)",
		"Postmaster Warning: Delayed Mail",
		"This is the mail system at host $myhostname.\n"
		"\n"
		"This is a warning. THERE IS NO NEED TO SEND YOUR MESSAGE AGAIN.\n"
		"\n"
		"For more than $delay_warning_time_hours hour(s) the message could not be delivered to the\n"
		"recipients named below. More attempts follow until it is $maximal_queue_lifetime_days "
		"day(s) "
		"old.\n" POSTMASTER_LINES},
	[TEMPLATE_SUCCESS] = {"us-ascii", NULL, "Successful Mail Delivery Report", NULL,
		"This is the mail system at host $myhostname.\n"
		"\n"
		"Your message was delivered for the recipients named below. Where it was\n"
		"handed on to a system that does not send reports, this is the last one;\n"
		"news of a failure further on may still come from elsewhere.\n"
		"\n"
		"                   The mail system\n"},
	[TEMPLATE_VERIFY] = {"us-ascii", NULL, "Mail Delivery Status Report", NULL,
		"This is the mail system at host $myhostname.\n"
		"\n"
		"Below is what would become, or became, of your message; you asked for it.\n"
		"\n"
		"                   The mail system\n"},
};

const char *bounce_template_name(enum bounce_template_kind kind)
{
	return names[kind];
}

const struct bounce_template *bounce_template_get(
	const struct bounce_templates *t, enum bounce_template_kind kind)
{
	return t ? &t->of[kind] : &built_in[kind];
}

/* ---- the file */

struct parser {
	struct bounce_templates *templates;
	struct bounce_template found[TEMPLATE_COUNT];
	bool given[TEMPLATE_COUNT];
	struct str rest;
	int line;
	const char *path;
	struct err *err;
};

static bool next_line(struct parser *p, struct str *line)
{
	ptrdiff_t end = str_find(p->rest, '\n');

	if (p->rest.n == 0)
		return false;
	*line = end < 0 ? p->rest : str_first(p->rest, (size_t)end);
	p->rest = str_from(p->rest, end < 0 ? p->rest.n : (size_t)end + 1);
	p->line++;
	return true;
}

static bool fail(struct parser *p, int line, const char *what, struct str text)
{
	return err_set(p->err, "%s, line %d: %s \"" STR_FMT "\"", p->path, line, what,
		STR_ARG(str_first(text, 100)));
}

/* "name_template = <<WORD": the kind and the word. */
static bool parse_start(struct parser *p, struct str line, int *kind, struct str *word)
{
	ptrdiff_t equal = str_find(line, '=');
	struct str name = str_trim(str_first(line, equal < 0 ? 0 : (size_t)equal));
	struct str value = str_trim(str_from(line, (size_t)(equal + 1)));

	if (equal < 0 || !str_starts(value, STR("<<")))
		return fail(p, p->line, "expected \"name = <<WORD\", found", line);
	*word = str_trim(str_from(value, 2));
	if (word->n == 0 || word->p[0] == '\'' || word->p[0] == '"')
		return fail(p, p->line, "bad end marker", *word);
	for (*kind = 0; *kind < TEMPLATE_COUNT; (*kind)++)
		if (str_starts(name, str_c(names[*kind])) &&
			str_is(str_from(name, strlen(names[*kind])), "_template"))
			return true;
	return fail(p, p->line, "unknown template name", name);
}

static bool take_header(struct parser *p, struct bounce_template *t, struct str line)
{
	const struct {
		const char *name;
		const char **value;
	} fields[] = {
		{"Charset", &t->charset},
		{"From", &t->from},
		{"Subject", &t->subject},
		{"Postmaster-Subject", &t->postmaster_subject},
	};
	ptrdiff_t colon = str_find(line, ':');
	struct str name = str_trim(str_first(line, colon < 0 ? 0 : (size_t)colon));
	struct str value = str_trim(str_from(line, (size_t)(colon + 1)));

	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < 0x20 || (unsigned char)value.p[i] >= 0x7f)
			return fail(p, p->line, "header with other than printable ASCII characters:", name);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && colon > 0; i++)
		if (str_case_is(name, fields[i].name)) {
			*fields[i].value = pool_strndup(p->templates->pool, value.p, value.n);
			return true;
		}
	return fail(p, p->line, "unknown template header", line);
}

static bool looks_like_header(struct str line)
{
	ptrdiff_t colon = str_find(line, ':');

	return colon > 0 && str_find(str_first(line, (size_t)colon), ' ') < 0;
}

/* The lines up to the marker. */
static bool take_template(struct parser *p, struct bounce_template *t, struct str word)
{
	struct buf text = BUF(TEXT_LIMIT);
	int start = p->line;
	bool in_header = true, ended = false, ok = true;
	struct str line;

	while (ok && !ended && next_line(p, &line)) {
		ended = str_eq(line, word);
		if (ended)
			break;
		if (in_header && looks_like_header(line)) {
			ok = take_header(p, t, line);
		} else if (!in_header || line.n > 0) {
			in_header = false;
			buf_str(&text, line);
			buf_putc(&text, '\n');
		} else {
			in_header = false;
		}
	}
	if (ok && !ended)
		ok = fail(p, start, "template without end marker", word);
	else if (ok && text.over)
		ok = fail(p, start, "template too long, up to", word);
	t->text = pool_strdup(p->templates->pool, buf_cstr(&text));
	buf_free(&text);
	return ok;
}

static bool parse(struct parser *p)
{
	struct str line, word;
	int kind = 0;

	while (next_line(p, &line)) {
		struct str text = str_trim(line);

		if (text.n == 0 || text.p[0] == '#')
			continue;
		if (!parse_start(p, line, &kind, &word))
			return false;
		if (!take_template(p, &p->found[kind], word))
			return false;
		p->given[kind] = true;
	}
	return true;
}

static bool parse_text(struct bounce_templates *t, struct str text, const char *path, struct err *err)
{
	struct parser p = {.templates = t, .path = path, .rest = text, .err = err};

	if (str_has_nul(text))
		return err_set(err, "%s: contains NUL bytes", path);
	memcpy(p.found, t->of, sizeof(p.found));
	if (!parse(&p))
		return false;
	for (int i = 0; i < TEMPLATE_COUNT; i++)
		if (p.given[i])
			t->of[i] = p.found[i];
	return true;
}

static struct bounce_templates *templates_new(void)
{
	struct bounce_templates *t = x_alloc(sizeof(*t));

	t->pool = pool_new(4096);
	memcpy(t->of, built_in, sizeof(t->of));
	return t;
}

static void tell(config_warn_fn warn, void *arg, const struct err *err)
{
	char text[512];

	snprintf(text, sizeof(text), "%s -- using built-in templates", err->text);
	if (warn != NULL)
		warn(arg, text);
}

const char *bounce_template_from(const struct config *cfg, const struct bounce_template *t)
{
	if (t->from != NULL)
		return t->from;
	return strcmp(cfg->header_from_format, "obsolete") == 0 ? "MAILER-DAEMON (Mail Delivery System)"
								: "Mail Delivery System <MAILER-DAEMON>";
}

struct bounce_templates *bounce_templates_parse(
	struct str text, const char *path, config_warn_fn warn, void *arg)
{
	struct bounce_templates *t = templates_new();
	struct err err = {""};

	if (!parse_text(t, text, path, &err))
		tell(warn, arg, &err);
	return t;
}

struct bounce_templates *bounce_templates_load(const char *path, config_warn_fn warn, void *arg)
{
	struct buf file = BUF(FILE_LIMIT);
	struct bounce_templates *t;
	struct err err = {""};

	if (path == NULL || *path == '\0')
		return templates_new();
	if (sys_read_file(path, &file, &err)) {
		t = bounce_templates_parse(buf_slice(&file), path, warn, arg);
	} else {
		t = templates_new();
		tell(warn, arg, &err);
	}
	buf_free(&file);
	return t;
}

void bounce_templates_free(struct bounce_templates **t)
{
	if (*t == NULL)
		return;
	pool_free(&(*t)->pool);
	x_free(t);
}

/* ---- expansion */

struct expansion {
	const struct config *cfg;
	char number[32];
};

static int unit_seconds(const char *suffix)
{
	static const struct {
		const char *name;
		int seconds;
	} units[] = {{"seconds", 1}, {"minutes", 60}, {"hours", 3600}, {"days", 86400}, {"weeks", 604800}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(suffix, units[i].name) == 0)
			return units[i].seconds;
	return 0;
}

static const char *time_in_unit(struct expansion *e, const char *name, const char *parameter, int value)
{
	size_t n = strlen(parameter);
	int unit = strncmp(name, parameter, n) == 0 && name[n] == '_' ? unit_seconds(name + n + 1) : 0;

	if (unit == 0)
		return NULL;
	snprintf(e->number, sizeof(e->number), "%d", value / unit);
	return e->number;
}

static const char *lookup(void *arg, const char *name)
{
	struct expansion *e = arg;
	const char *value = time_in_unit(e, name, "delay_warning_time", e->cfg->delay_warning_time);

	return value ? value
		     : time_in_unit(e, name, "maximal_queue_lifetime", e->cfg->maximal_queue_lifetime);
}

void bounce_template_expand(const struct config *cfg, const struct bounce_template *t, struct buf *out)
{
	struct expansion e = {.cfg = cfg};
	char *text = config_expand(cfg, t->text, lookup, &e);

	buf_puts(out, text);
	x_free(&text);
}
