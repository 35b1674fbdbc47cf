/* MAIL (RFC 5321 section 4.1.1.2) and its parameters. */
#include "base/log.h"
#include "mail/address.h"
#include "mail/dsn_parameters.h"
#include "mail/smtp_text.h"
#include "smtpd/client_limits.h"
#include "smtpd/ehlo.h"
#include "smtpd/filters.h"
#include "smtpd/path.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define SIZE_SAID_MAX INT64_MAX

/* A parameter's taker: NULL, or the reply that refuses it. */
typedef const char *parameter_fn(struct session *s, struct str value, struct mail_options *o);

static const char *take_size(struct session *s, struct str value, struct mail_options *o)
{
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return "501 5.5.4 Bad message size syntax";
	if (value.n == 0)
		return "501 5.5.4 Bad message size syntax";
	if (!str_to_u64(value, SIZE_SAID_MAX, &o->size))
		return "552 5.3.4 Message size exceeds file system imposed limit";
	return NULL;
}

static const char *take_body(struct session *s, struct str value, struct mail_options *o)
{
	if (str_case_is(value, "8BITMIME"))
		o->body = "8BITMIME";
	else if (str_case_is(value, "7BIT"))
		o->body = "7BIT";
	else
		return "";
	return NULL;
}

static const char *take_smtputf8(struct session *s, struct str value, struct mail_options *o)
{
	if (value.p || !s->cfg->smtputf8_enable || (ehlo_hidden(s) & EHLO_SMTPUTF8))
		return "";
	o->smtputf8 = true;
	return NULL;
}

static const char *take_ret(struct session *s, struct str value, struct mail_options *o)
{
	if (ehlo_hidden(s) & EHLO_DSN)
		return "501 5.7.1 DSN support is disabled";
	if (o->ret != RET_NONE || !dsn_parse_ret(value, &o->ret))
		return "501 5.5.4 Bad RET parameter syntax";
	return NULL;
}

static const char *take_envid(struct session *s, struct str value, struct mail_options *o)
{
	struct buf decoded = BUF(1000);
	const char *problem = NULL;

	if (ehlo_hidden(s) & EHLO_DSN)
		return "501 5.7.1 DSN support is disabled";
	if (o->envid || !dsn_parse_envid(value, &decoded))
		problem = "501 5.5.4 Bad ENVID parameter syntax";
	else
		o->envid = pool_strdup(session_scratch(s), buf_cstr(&decoded));
	buf_free(&decoded);
	return problem;
}

/* Who is said to have sent the message first (RFC 4954 section 5): for the log, and as said. */
static const char *take_auth(struct session *s, struct str value, struct mail_options *o)
{
	if (value.n == 0 || str_eq(value, STR("<>")))
		return NULL;
	if (o->sasl_sender)
		return "503 5.5.4 Error: multiple AUTH= options";
	if (value.n <= ADDRESS_MAX)
		o->sasl_sender = pool_strndup(session_scratch(s), value.p, value.n);
	return NULL;
}

/* XVERP, XVERP=+= : each recipient gets a sender address of its own. */
static const char *take_verp(struct session *s, struct str value, struct mail_options *o)
{
	const char *delimiters = s->cfg->default_verp_delimiters;

	if (!session_client_in(s, &s->server->verp_clients))
		return "";
	if (value.p)
		delimiters = pool_strndup(session_scratch(s), value.p, value.n);
	if (strlen(delimiters) != 2 || strspn(delimiters, s->cfg->verp_delimiter_filter) != 2)
		return pool_printf(session_scratch(s), "501 5.5.4 Error: XVERP needs two characters from %s",
			s->cfg->verp_delimiter_filter);
	o->verp = delimiters;
	return NULL;
}

static const struct {
	const char *keyword;
	parameter_fn *take;
	bool alone; /* there is a form without a value */
} parameters[] = {
	{"SIZE", take_size, false},
	{"BODY", take_body, false},
	{"SMTPUTF8", take_smtputf8, true},
	{"RET", take_ret, false},
	{"ENVID", take_envid, false},
	{"AUTH", take_auth, false},
	{"XVERP", take_verp, true},
};

static const char *take_parameter(
	struct session *s, struct str keyword, struct str value, struct mail_options *o)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
		if (str_case_is(keyword, parameters[i].keyword) && (value.p || parameters[i].alone))
			return parameters[i].take(s, value, o);
	return "";
}

static bool take_parameters(struct session *s, struct str rest, struct mail_options *o)
{
	struct str keyword, value, word;

	while (str_word(&rest, " \t", &word)) {
		struct str one = word;
		const char *problem = "";

		if (smtp_next_parameter(&one, &keyword, &value) > 0)
			problem = take_parameter(s, keyword, value, o);
		if (problem && *problem) {
			reply(s, "%s", problem);
			return false;
		}
		if (problem) {
			reply(s, "555 5.5.4 Unsupported option: " STR_FMT, STR_ARG(str_first(word, 200)));
			return false;
		}
	}
	return true;
}

static bool refuse_size(struct session *s, const char *sender, enum notice_class class, const char *text)
{
	notify_note(s, class);
	session_log_refusal(s, "MAIL", sender, NULL, text);
	reply(s, "%s", text);
	return false;
}

/* Room for the message, by the limit and in the file system: for the largest one and a half, and for this
 * one. */
static bool size_allowed(struct session *s, const char *sender, uint64_t size)
{
	uint64_t limit = s->cfg->message_size_limit > 0 ? (uint64_t)s->cfg->message_size_limit : 0;
	uint64_t least = s->cfg->queue_minfree > 0 ? (uint64_t)s->cfg->queue_minfree : 0;
	int64_t left;

	if (limit > 0 && size > limit)
		return refuse_size(s, sender, NOTICE_POLICY, "552 5.3.4 Message size exceeds fixed limit");
	left = s->server->spool ? spool_free_bytes(s->server->spool) : -1;
	if (left >= 0 &&
		((uint64_t)left < least || (uint64_t)left < limit + limit / 2 || (uint64_t)left < size))
		return refuse_size(s, sender, NOTICE_RESOURCE, "452 4.3.1 Insufficient system storage");
	return true;
}

static bool mail_in_order(struct session *s)
{
	if (s->cfg->smtpd_helo_required && !s->helo) {
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return false;
	}
	if (s->tx) {
		reply(s, "503 5.5.1 Error: nested MAIL command");
		return false;
	}
	return true;
}

/* A proxy filter is told the same. */
static const char *said_of(struct session *s, struct str path, struct str words)
{
	return pool_printf(session_scratch(s), STR_FMT STR_FMT, STR_ARG(path), STR_ARG(words));
}

static bool mail_begin(struct session *s, const char *sender, const struct mail_options *options,
	struct str path, struct str words)
{
	struct refusal refusal;
	struct err err = {0};

	if (!client_limits_allow(s, LIMIT_MESSAGES) || !size_allowed(s, sender, options->size))
		return false;
	transaction_begin(s, sender, said_of(s, path, words), options);
	if (!access_mail(s, sender, &refusal)) {
		reply_refusal(s, &refusal);
		transaction_end(s);
		return false;
	}
	if (!filters_mail(s, path, words)) {
		transaction_end(s);
		return false;
	}
	if (!s->cfg->smtpd_delay_open_until_valid_rcpt && !transaction_open(s, &err)) {
		log_warning("%s", err.text);
		notify_note(s, NOTICE_RESOURCE);
		reply(s, "451 4.3.0 Error: queue file write error");
		transaction_end(s);
		return false;
	}
	reply(s, "250 2.1.0 Ok");
	return true;
}

bool cmd_mail(struct session *s, struct str rest)
{
	struct mail_options options = {0};
	const char *sender;
	struct str path;

	if (!mail_in_order(s))
		return false;
	if (!path_keyword(&rest, "FROM:")) {
		reply(s, "501 5.5.4 Syntax: MAIL FROM:<address>");
		return false;
	}
	path = rest;
	sender = path_parse(s, "MAIL", &rest, PATH_NULL_OK | (path_wants_utf8(s, rest) ? PATH_UTF8 : 0));
	if (!sender || (rest.n > 0 && rest.p[0] != ' ' && rest.p[0] != '\t')) {
		reply(s, "501 5.1.7 Bad sender address syntax");
		return false;
	}
	if (!take_parameters(s, rest, &options) || !path_may_be_utf8(s, sender, options.smtputf8))
		return false;
	if (options.verp && !*sender) {
		reply(s, "503 5.5.4 Error: XVERP requires non-null sender");
		return false;
	}
	return mail_begin(s, sender, &options, str_first(path, path.n - rest.n), rest);
}
