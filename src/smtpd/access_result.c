/* access(5): what the right-hand side of an access table asks for. */
#include "base/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "smtpd/access.h"
#include "smtpd/session.h"
#include <ctype.h>

/* One looked-up result on its way to an answer. */
struct result {
	struct access *a;
	const struct rule *rule;
	const char *key;
	const char *subject, *subject_class;
	struct str text; /* after the action */
};

static const char *result_table(const struct result *r)
{
	return r->rule->argument;
}

/* Codes of the "address" class say whose address is meant; elsewhere they make no sense. */
static const struct {
	const char *subject_class, *from, *to;
} status_map[] = {
	{"Sender address", ".1.1", ".1.7"},
	{"Sender address", ".1.2", ".1.8"},
	{"Sender address", ".1.3", ".1.7"},
	{"Sender address", ".1.4", ".1.7"},
	{"Sender address", ".1.5", ".1.0"},
	{"Sender address", ".1.6", ".1.7"},
	{"Recipient address", ".1.7", ".1.3"},
	{"Recipient address", ".1.8", ".1.2"},
};

static const char *status_map_find(const char *subject_class, const char *detail)
{
	for (size_t i = 0; i < sizeof(status_map) / sizeof(status_map[0]); i++)
		if (strcmp(status_map[i].subject_class, subject_class) == 0 &&
			strcmp(status_map[i].from, detail) == 0)
			return status_map[i].to;
	if (strncmp(detail, ".1.", 3) != 0)
		return detail;
	if (!strstr(subject_class, "address"))
		return ".0.0";
	return detail[3] > '8' || detail[4] ? ".1.0" : detail;
}

void access_map_status(char status[12], const char *subject_class, int code)
{
	const char *detail = strchr(status, '.');
	const char *to = detail ? status_map_find(subject_class, detail) : detail;
	char old[12];

	status[0] = code >= 500 ? '5' : '4';
	if (to == detail)
		return;
	memcpy(old, status, sizeof(old));
	snprintf(status + 1, 11, "%s", to);
	log_info("mapping DSN status %s into %s status %s", old, subject_class, status);
}

/* "5.1.1 text": takes the status off the text, or gives the default one. */
static void take_status(struct result *r, int code, char status[12])
{
	size_t n = dsn_status_length(r->text);

	if (n > 0 && n < 12 && (n == r->text.n || isspace((unsigned char)r->text.p[n]))) {
		memcpy(status, r->text.p, n);
		status[n] = '\0';
		r->text = str_trim(str_from(r->text, n));
	} else {
		snprintf(status, 12, "%c.7.1", code >= 500 ? '5' : '4');
	}
	access_map_status(status, r->subject_class, code);
}

static void result_refuse(
	struct result *r, struct answer *out, enum verdict verdict, int code, const char *default_text)
{
	char status[12];

	take_status(r, code, status);
	if (r->text.n == 0)
		r->text = str_c(default_text);
	answer_refuse(r->a, out, verdict, code, status, "<%s>: %s rejected: " STR_FMT, r->subject,
		r->subject_class, STR_ARG(r->text));
}

static void act_ok(struct result *r, struct answer *out)
{
	out->verdict = VERDICT_PERMIT;
}

static void act_dunno(struct result *r, struct answer *out)
{
	out->verdict = VERDICT_DUNNO;
}

static void act_reject(struct result *r, struct answer *out)
{
	result_refuse(r, out, VERDICT_REFUSE, r->a->session->cfg->access_map_reject_code, "Access denied");
}

static void act_defer(struct result *r, struct answer *out)
{
	result_refuse(r, out, VERDICT_REFUSE, r->a->session->cfg->access_map_defer_code, "Access denied");
}

static void act_defer_if_permit(struct result *r, struct answer *out)
{
	result_refuse(r, out, VERDICT_DEFER_IF_PERMIT, r->a->session->cfg->access_map_defer_code,
		"Service unavailable");
}

static void act_defer_if_reject(struct result *r, struct answer *out)
{
	result_refuse(r, out, VERDICT_DEFER_IF_REJECT, r->a->session->cfg->access_map_defer_code,
		"Service unavailable");
}

static const char *result_string(struct result *r)
{
	return pool_strndup(r->a->pool, r->text.p, r->text.n);
}

static void log_trigger(struct result *r, const char *action, const char *what)
{
	const char *text = what;

	if (!text)
		text = result_string(r);
	access_log(r->a, action, pool_printf(r->a->pool, "<%s>: %s %s", r->subject, r->subject_class, text));
}

/* What a proxy filter gets never is in a queue of ours. */
static bool needs_queue(const struct result *r, const char *action)
{
	if (!*r->a->session->cfg->smtpd_proxy_filter)
		return false;
	log_warning("access table %s: with smtpd_proxy_filter specified, action %s is unavailable",
		result_table(r), action);
	return true;
}

static void act_hold(struct result *r, struct answer *out)
{
	if (needs_queue(r, "HOLD"))
		return;
	if (!r->a->effects.hold)
		log_trigger(r, "hold", r->text.n > 0 ? NULL : "triggers HOLD action");
	r->a->effects.hold = true;
}

static void act_discard(struct result *r, struct answer *out)
{
	if (needs_queue(r, "DISCARD"))
		return;
	log_trigger(r, "discard", r->text.n > 0 ? NULL : "triggers DISCARD action");
	r->a->effects.discard = true;
	out->verdict = VERDICT_PERMIT;
}

static void result_warning(struct result *r, const char *needs)
{
	log_warning("access table %s entry \"%s\" requires %s", result_table(r), r->key, needs);
}

static void act_filter(struct result *r, struct answer *out)
{
	const char *text = result_string(r);

	if (needs_queue(r, "FILTER"))
		return;
	if (str_find(r->text, ':') <= 0) {
		result_warning(r, "transport:destination");
		return;
	}
	log_trigger(r, "filter", pool_printf(r->a->pool, "triggers FILTER %s", text));
	r->a->effects.filter = text;
}

static bool mail_target(struct result *r)
{
	if (str_find(r->text, '@') > 0 && r->text.n <= ADDRESS_MAX)
		return true;
	result_warning(r, "user@domain target");
	return false;
}

static void act_redirect(struct result *r, struct answer *out)
{
	const char *text = result_string(r);

	if (needs_queue(r, "REDIRECT"))
		return;
	if (!mail_target(r))
		return;
	log_trigger(r, "redirect", pool_printf(r->a->pool, "triggers REDIRECT %s", text));
	r->a->effects.redirect = text;
}

static void act_bcc(struct result *r, struct answer *out)
{
	const char *text = result_string(r);

	if (needs_queue(r, "BCC"))
		return;
	if (!mail_target(r))
		return;
	log_trigger(r, "bcc", pool_printf(r->a->pool, "triggers BCC %s", text));
	text_list_add(r->a->pool, &r->a->effects.bcc, text);
}

/* "Name: text" in one line (RFC 5322 section 2.2). */
static bool is_header(struct str text)
{
	ptrdiff_t colon = str_find(text, ':');

	if (colon <= 0)
		return false;
	for (ptrdiff_t i = 0; i < colon; i++)
		if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
			return false;
	return str_find(text, '\n') < 0 && str_find(text, '\r') < 0;
}

static void act_prepend(struct result *r, struct answer *out)
{
	if (r->a->stage_of_command == STAGE_END_OF_DATA) {
		log_warning(
			"access table %s: action PREPEND must be used before smtpd_end_of_data_restrictions",
			result_table(r));
		return;
	}
	if (!is_header(r->text)) {
		result_warning(r, "header: text");
		return;
	}
	text_list_add(r->a->pool, &r->a->effects.prepend, result_string(r));
}

static void act_warn(struct result *r, struct answer *out)
{
	access_log(r->a, "warn", result_string(r));
}

static void act_info(struct result *r, struct answer *out)
{
	access_log(r->a, "info", result_string(r));
}

static const struct {
	const char *name;
	void (*act)(struct result *r, struct answer *out);
} actions[] = {
	{"OK", act_ok},
	{"RELAY", act_ok},
	{"DUNNO", act_dunno},
	{"REJECT", act_reject},
	{"DEFER", act_defer},
	{"DEFER_IF_PERMIT", act_defer_if_permit},
	{"DEFER_IF_REJECT", act_defer_if_reject},
	{"HOLD", act_hold},
	{"DISCARD", act_discard},
	{"FILTER", act_filter},
	{"REDIRECT", act_redirect},
	{"BCC", act_bcc},
	{"PREPEND", act_prepend},
	{"WARN", act_warn},
	{"INFO", act_info},
};

/* "4NN text" and "5NN text". */
static bool reply_code(struct str word, int *code)
{
	if (word.n != 3 || !str_all_digits(word) || (word.p[0] != '4' && word.p[0] != '5'))
		return false;
	*code = (word.p[0] - '0') * 100 + (word.p[1] - '0') * 10 + word.p[2] - '0';
	return true;
}

static void result_as_rules(struct result *r, const char *value, struct answer *out)
{
	struct access *a = r->a;
	const char *subject = a->subject, *subject_class = a->subject_class;
	struct rule_list *list = pool_alloc(a->pool, sizeof(*list));
	struct rule class_rule = {.name = r->rule->name, .class_list = list};

	if (a->depth >= 100) {
		log_warning("access table %s: results refer to each other without end", result_table(r));
		answer_refuse(a, out, VERDICT_REFUSE, 451, "4.3.5", "Server configuration error");
		return;
	}
	rules_parse(&a->session->server->rules, a->pool, class_rule.name, value, a->stage, list);
	a->depth++;
	a->subject = r->subject;
	a->subject_class = r->subject_class;
	out->verdict = access_list(a, list);
	if (out->verdict == VERDICT_REFUSE)
		out->refusal = a->refusal;
	a->subject = subject;
	a->subject_class = subject_class;
	a->depth--;
}

static void log_permit(struct result *r, struct str action, const struct answer *out)
{
	if (out->verdict == VERDICT_PERMIT)
		access_log_permit(r->a, pool_strndup(r->a->pool, action.p, action.n), r->subject_class,
			r->subject, result_table(r));
}

void access_result(struct access *a, const struct rule *rule, const char *key, const char *value,
	const char *subject, const char *subject_class, struct answer *out)
{
	struct result r = {
		.a = a, .rule = rule, .key = key, .subject = subject, .subject_class = subject_class};
	struct str rest = str_trim(str_c(value)), word;
	int code;

	if (str_all_digits(rest)) {
		out->verdict = VERDICT_PERMIT;
		log_permit(&r, rest, out);
		return;
	}
	if (!str_word(&rest, " \t", &word)) {
		log_warning("access table %s entry %s has empty value", result_table(&r), key);
		return;
	}
	r.text = str_trim(rest);
	if (reply_code(word, &code)) {
		result_refuse(&r, out, VERDICT_REFUSE, code, "Access denied");
		return;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (str_case_is(word, actions[i].name)) {
			actions[i].act(&r, out);
			log_permit(&r, word, out);
			return;
		}
	}
	result_as_rules(&r, value, out);
}
