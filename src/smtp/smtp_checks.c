#include "smtp/smtp_checks.h"

#include "base/log.h"
#include "base/mem.h"
#include "mail/event.h"
#include "mail/header_addresses.h"

#define TEXT_SHOWN 60 /* bytes of the line in the log */

bool smtp_checks_open(const struct smtp_client *client, struct smtp_checks **cp, struct err *err)
{
	const struct config *cfg = client->cfg;
	struct smtp_checks *c = x_alloc(sizeof(*c));
	const struct {
		struct smtp_check *check;
		const char *smtp, *lmtp, *maps;
	} rows[] = {
		{&c->header, "smtp_header_checks", "lmtp_header_checks", cfg->smtp_header_checks},
		{&c->mime_header, "smtp_mime_header_checks", "lmtp_mime_header_checks",
			cfg->smtp_mime_header_checks},
		{&c->nested_header, "smtp_nested_header_checks", "lmtp_nested_header_checks",
			cfg->smtp_nested_header_checks},
		{&c->body, "smtp_body_checks", "lmtp_body_checks", cfg->smtp_body_checks},
	};
	bool any = false, ok = true;

	c->lmtp = client->lmtp;
	c->utf8 = cfg->smtputf8_enable;
	for (size_t i = 0; ok && i < sizeof(rows) / sizeof(*rows); i++) {
		rows[i].check->parameter = client->lmtp ? rows[i].lmtp : rows[i].smtp;
		rows[i].check->maps = maps_open(rows[i].check->parameter, rows[i].maps, 0, err);
		ok = rows[i].check->maps != NULL;
		if (ok)
			maps_warnings(rows[i].check->maps, log_warn, NULL);
		any = any || (ok && !maps_empty(rows[i].check->maps));
		c->deep = c->deep || (i > 0 && ok && !maps_empty(rows[i].check->maps));
	}
	if (ok && any)
		*cp = c;
	else
		smtp_checks_free(&c);
	return ok;
}

void smtp_checks_free(struct smtp_checks **c)
{
	if (!*c)
		return;
	maps_close(&(*c)->header.maps);
	maps_close(&(*c)->mime_header.maps);
	maps_close(&(*c)->nested_header.maps);
	maps_close(&(*c)->body.maps);
	x_free(c);
}

void check_result_free(struct check_result *r)
{
	buf_free(&r->prepended);
	buf_free(&r->replacement);
}

/* A line that a rule matched. */
struct matched {
	const struct smtp_check *check;
	const char *qid, *where; /* "header", "body" */
	struct str text, argument;
	struct check_result *result;
	bool utf8; /* the log may show it */
};

static void log_matched(const struct matched *m, const char *action)
{
	struct buf argument = BUF(TABLE_VALUE_MAX + 1);
	char text[TEXT_SHOWN + 1];

	buf_str(&argument, m->argument);
	EVENT_LOG(SENT_CONTENT, ev_text("qid", m->qid), ev_text("action", action), ev_text("where", m->where),
		ev_text("text", event_content(m->text, m->utf8, text, sizeof(text))),
		ev_text("reason", argument.len ? buf_cstr(&argument) : NULL));
	buf_free(&argument);
}

static void act_dunno(const struct matched *m)
{
	m->result->drop = false;
}

static void act_info(const struct matched *m)
{
	log_matched(m, "info");
}

static void act_warn(const struct matched *m)
{
	log_matched(m, "warning");
}

static void act_ignore(const struct matched *m)
{
	m->result->drop = true;
}

static void act_strip(const struct matched *m)
{
	log_matched(m, "strip");
	m->result->drop = true;
}

/* Whether the text of PREPEND or REPLACE can stand where it is to stand. */
static bool is_text_for(const struct matched *m, const char *action)
{
	if (m->argument.n == 0)
		log_warning("%s action without text in %s map", action, m->check->parameter);
	else if (strcmp(m->where, "header") == 0 && header_name_length(m->argument) == 0)
		log_warning("bad %s header text \"" STR_FMT
			    "\" in %s map -- need \"headername: headervalue\"",
			action, STR_ARG(m->argument), m->check->parameter);
	else
		return true;
	return false;
}

static void act_prepend(const struct matched *m)
{
	if (!is_text_for(m, "PREPEND"))
		return;
	log_matched(m, "prepend");
	buf_str(&m->result->prepended, m->argument);
}

static void act_replace(const struct matched *m)
{
	if (!is_text_for(m, "REPLACE"))
		return;
	log_matched(m, "replace");
	m->result->replaced = true;
	buf_str(&m->result->replacement, m->argument);
}

/* The actions that make sense when mail is on its way out already (header_checks(5)). */
static const struct {
	const char *name;
	void (*act)(const struct matched *m);
} actions[] = {
	{"DUNNO", act_dunno},
	{"IGNORE", act_ignore},
	{"INFO", act_info},
	{"OK", act_dunno},
	{"PREPEND", act_prepend},
	{"REPLACE", act_replace},
	{"STRIP", act_strip},
	{"WARN", act_warn},
};

static void follow(struct matched *m, struct str rule)
{
	struct str rest = rule, word;

	if (!str_word(&rest, " \t\r\n", &word))
		return;
	m->argument = str_trim(rest);
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (str_case_is(word, actions[i].name)) {
			actions[i].act(m);
			return;
		}
	}
	log_warning("unsupported command in %s map: " STR_FMT, m->check->parameter, STR_ARG(rule));
}

static bool look_up(const struct smtp_checks *c, struct matched *m, struct err *err)
{
	struct buf rule = BUF(TABLE_VALUE_MAX);
	enum table_status status;

	m->utf8 = c->utf8;
	m->result->drop = m->result->replaced = false;
	m->result->prepended = m->result->replacement = BUF(TABLE_VALUE_MAX);
	status = maps_lookup(m->check->maps, m->text, &rule, err);
	if (status == TABLE_FOUND)
		follow(m, buf_slice(&rule));
	else if (status != TABLE_NOT_FOUND)
		err_prefix(err, "%s %s checks lookup error", c->lmtp ? "lmtp" : "smtp", m->where);
	buf_free(&rule);
	return status == TABLE_FOUND || status == TABLE_NOT_FOUND;
}

static const struct smtp_check *check_for(
	const struct smtp_checks *c, enum mime_section section, struct str header, bool own)
{
	if (section == MIME_PART || (!own && mime_is_header(str_first(header, header_name_length(header)))))
		return &c->mime_header;
	return section == MIME_NESTED ? &c->nested_header : &c->header;
}

/* Patterns see the lines of a header joined by LF. */
bool smtp_checks_header(const struct smtp_checks *c, const char *qid, enum mime_section section,
	struct str header, bool own, struct check_result *r, struct err *err)
{
	struct matched m = {
		.check = check_for(c, section, header, own), .qid = qid, .where = "header", .result = r};
	struct buf text = BUF(header.n + 1);
	bool ok;

	for (size_t i = 0; i < header.n; i++) {
		if (header.p[i] != '\r' || i + 1 == header.n || header.p[i + 1] != '\n')
			buf_putc(&text, header.p[i]);
	}
	m.text = buf_slice(&text);
	ok = look_up(c, &m, err);
	buf_free(&text);
	return ok;
}

bool smtp_checks_body(const struct smtp_checks *c, const char *qid, struct str line, struct check_result *r,
	struct err *err)
{
	struct matched m = {.check = &c->body, .qid = qid, .where = "body", .text = line, .result = r};

	return look_up(c, &m, err);
}
