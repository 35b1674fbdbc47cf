/* What the tables of header_checks(5) and body_checks(5) say of a line, and the actions that follow. */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/event.h"
#include "mail/header_addresses.h"

#define TEXT_SHOWN 200 /* bytes of the line in the log */

/* A line that a rule matched. */
struct matched {
	const struct content_check *check;
	struct str text;
	const char *argument; /* of the action; in the message's pool */
	struct check_outcome *outcome;
};

const char *cleanup_shown(const struct cleanup *c, struct str text, char *out, size_t size)
{
	return event_content(text, c->env->cfg->smtputf8_enable, out, size);
}

void cleanup_log_content(
	struct cleanup *c, const char *action, const char *where, struct str text, const char *reason)
{
	const struct envelope *e = &c->envelope;
	char shown[TEXT_SHOWN + 1];

	EVENT_LOG(CONTENT, ev_text("qid", c->id.text), ev_text("action", action), ev_text("where", where),
		ev_text("text", cleanup_shown(c, text, shown, sizeof(shown))),
		ev_text("client", c->options.client), ev_address("from", e->sender),
		ev_address("to", c->last_recipient), ev_text("proto", envelope_attribute(e, "protocol_name")),
		ev_text("helo", envelope_attribute(e, "helo_name")), ev_text("reason", reason));
}

static void log_matched(struct cleanup *c, const struct matched *m, const char *action)
{
	cleanup_log_content(c, action, m->check->header ? "header" : "body", m->text,
		m->argument[0] ? m->argument : NULL);
}

/* A rule that cannot be followed is as if it were not there. */
static bool bad_rule(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool bad_rule(const char *fmt, ...)
{
	struct buf text = BUF(1000);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	EVENT_LOG(CONTENT_RULE, ev_text("text", buf_cstr(&text)));
	buf_free(&text);
	return true;
}

static bool act_dunno(struct cleanup *c, const struct matched *m)
{
	return c->status == CLEANUP_OK && m;
}

static bool act_info(struct cleanup *c, const struct matched *m)
{
	log_matched(c, m, "info");
	return true;
}

static bool act_warn(struct cleanup *c, const struct matched *m)
{
	log_matched(c, m, "warning");
	return true;
}

static bool act_ignore(struct cleanup *c, const struct matched *m)
{
	m->outcome->drop = true;
	return c->status == CLEANUP_OK;
}

static bool act_strip(struct cleanup *c, const struct matched *m)
{
	log_matched(c, m, "strip");
	return act_ignore(c, m);
}

static bool act_pass(struct cleanup *c, const struct matched *m)
{
	log_matched(c, m, "pass");
	c->unchecked = true;
	return true;
}

static bool act_discard(struct cleanup *c, const struct matched *m)
{
	log_matched(c, m, "discard");
	c->discard = c->unchecked = true;
	return true;
}

static bool act_hold(struct cleanup *c, const struct matched *m)
{
	if (c->options.queue == QUEUE_HOLD)
		return true;
	log_matched(c, m, "hold");
	cleanup_hold(c);
	return c->status == CLEANUP_OK;
}

static bool act_reject(struct cleanup *c, const struct matched *m)
{
	struct matched full = *m;
	size_t status = dsn_status_length(str_c(m->argument));
	struct str text = str_trim(str_from(str_c(m->argument), status));

	if (status == 0 || m->argument[0] == '2') {
		status = 0;
		full.argument = pool_printf(
			c->pool, "5.7.1 %s", m->argument[0] ? m->argument : "message content rejected");
		text = str_from(str_c(full.argument), strlen("5.7.1 "));
	}
	log_matched(c, &full, "reject");
	return cleanup_fail(c, CLEANUP_REJECTED, status ? pool_strndup(c->pool, m->argument, status) : NULL,
		pool_strndup(c->pool, text.p, text.n));
}

static bool act_filter(struct cleanup *c, const struct matched *m)
{
	if (!m->argument[0])
		return bad_rule("missing FILTER command argument in %s map", m->check->parameter);
	if (!strchr(m->argument, ':'))
		return bad_rule("bad FILTER command %s in %s -- need transport:destination", m->argument,
			m->check->parameter);
	log_matched(c, m, "filter");
	cleanup_set_note(c, "content_filter", m->argument);
	return true;
}

static bool is_full_address(const char *address)
{
	ptrdiff_t at = address_at(str_c(address));

	return at > 0 && address[at + 1];
}

static bool act_redirect(struct cleanup *c, const struct matched *m)
{
	if (!is_full_address(m->argument))
		return bad_rule("bad REDIRECT target \"%s\" in %s map -- need user@domain", m->argument,
			m->check->parameter);
	log_matched(c, m, "redirect");
	cleanup_redirect(c, m->argument);
	cleanup_set_note(c, "content_filter", "");
	c->unchecked = true;
	return true;
}

static bool act_bcc(struct cleanup *c, const struct matched *m)
{
	if (!is_full_address(m->argument))
		return bad_rule("bad BCC address \"%s\" in %s map -- need user@domain", m->argument,
			m->check->parameter);
	log_matched(c, m, "bcc");
	return cleanup_add_bcc(c, m->argument);
}

/* Whether the text of PREPEND or REPLACE can stand where it is to stand. */
static bool is_text_for(const struct matched *m, const char *action)
{
	if (!m->argument[0])
		bad_rule("%s action without text in %s map", action, m->check->parameter);
	else if (m->check->header && header_name_length(str_c(m->argument)) == 0)
		bad_rule("bad %s header text \"%s\" in %s map -- need \"headername: headervalue\"", action,
			m->argument, m->check->parameter);
	else
		return true;
	return false;
}

static bool act_prepend(struct cleanup *c, const struct matched *m)
{
	if (!is_text_for(m, "PREPEND"))
		return true;
	log_matched(c, m, "prepend");
	m->outcome->prepended = m->argument;
	return true;
}

static bool act_replace(struct cleanup *c, const struct matched *m)
{
	if (!is_text_for(m, "REPLACE"))
		return true;
	log_matched(c, m, "replace");
	buf_clear(&c->replacement);
	buf_puts(&c->replacement, m->argument);
	m->outcome->replaced = true;
	return true;
}

static const struct {
	const char *name;
	bool (*act)(struct cleanup *c, const struct matched *m); /* false: the message is lost */
} actions[] = {
	{"BCC", act_bcc},
	{"DISCARD", act_discard},
	{"DUNNO", act_dunno},
	{"FILTER", act_filter},
	{"HOLD", act_hold},
	{"IGNORE", act_ignore},
	{"INFO", act_info},
	{"OK", act_dunno},
	{"PASS", act_pass},
	{"PREPEND", act_prepend},
	{"REDIRECT", act_redirect},
	{"REJECT", act_reject},
	{"REPLACE", act_replace},
	{"STRIP", act_strip},
	{"WARN", act_warn},
};

static bool follow(struct cleanup *c, struct matched *m, struct str result)
{
	struct str rest = result, word;

	if (!str_word(&rest, " \t\r\n", &word))
		return true;
	rest = str_trim(rest);
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (!str_case_is(word, actions[i].name))
			continue;
		m->argument = rest.n ? pool_strndup(c->pool, rest.p, rest.n) : "";
		return actions[i].act(c, m);
	}
	return bad_rule("unknown command in %s map: " STR_FMT, m->check->parameter, STR_ARG(result));
}

bool cleanup_check(
	struct cleanup *c, const struct content_check *check, struct str text, struct check_outcome *outcome)
{
	struct matched m = {.check = check, .text = text, .outcome = outcome};
	struct err err = {""};

	buf_clear(&c->action);
	switch (maps_lookup(check->maps, text, &c->action, &err)) {
	case TABLE_FOUND:
		return follow(c, &m, buf_slice(&c->action));
	case TABLE_NOT_FOUND:
		return true;
	case TABLE_RETRY:
	case TABLE_MISCONFIGURED:
		break;
	}
	bad_rule("%s", err.text);
	cleanup_complain(
		c, "%s map lookup problem -- message not accepted, try again later", check->parameter);
	return cleanup_fail(c, CLEANUP_TROUBLE, NULL, "Error: queue file write error");
}

static bool open_check(
	struct content_check *check, const char *parameter, const char *maps, bool header, struct err *err)
{
	*check = (struct content_check){parameter, maps_open(parameter, maps, 0, err), header};
	return check->maps != NULL;
}

bool cleanup_open_checks(struct cleanup_env *env, struct err *err)
{
	const struct config *cfg = env->cfg;
	bool tables;

	if (!open_check(&env->header_checks, "header_checks", cfg->header_checks, true, err) ||
		!open_check(
			&env->mime_header_checks, "mime_header_checks", cfg->mime_header_checks, true, err) ||
		!open_check(&env->nested_header_checks, "nested_header_checks", cfg->nested_header_checks,
			true, err) ||
		!open_check(&env->milter_header_checks, "milter_header_checks", cfg->milter_header_checks,
			true, err) ||
		!open_check(&env->body_checks, "body_checks", cfg->body_checks, false, err))
		return false;
	env->strict_header = cfg->strict_7bit_headers || cfg->strict_8bitmime;
	env->strict_body = cfg->strict_8bitmime_body || cfg->strict_8bitmime;
	tables = !maps_empty(env->header_checks.maps) || !maps_empty(env->mime_header_checks.maps) ||
		 !maps_empty(env->nested_header_checks.maps);
	env->report_nesting =
		tables || env->strict_header || env->strict_body || cfg->strict_mime_encoding_domain;
	env->look_inside = env->check_content && (env->report_nesting || !maps_empty(env->body_checks.maps));
	env->follow_mime = env->look_inside && !cfg->disable_mime_input_processing;
	return true;
}

void cleanup_close_checks(struct cleanup_env *env)
{
	maps_close(&env->header_checks.maps);
	maps_close(&env->mime_header_checks.maps);
	maps_close(&env->nested_header_checks.maps);
	maps_close(&env->milter_header_checks.maps);
	maps_close(&env->body_checks.maps);
}

void cleanup_check_warnings(const struct cleanup_env *env, table_warn_fn warn, void *arg)
{
	maps_warnings(env->header_checks.maps, warn, arg);
	maps_warnings(env->mime_header_checks.maps, warn, arg);
	maps_warnings(env->nested_header_checks.maps, warn, arg);
	maps_warnings(env->milter_header_checks.maps, warn, arg);
	maps_warnings(env->body_checks.maps, warn, arg);
}
