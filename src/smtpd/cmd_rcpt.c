/* RCPT (RFC 5321 section 4.1.1.3) and its parameters. */
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

struct rcpt_options {
	int notify;
	const char *orcpt;
};

static bool take_notify(struct session *s, struct str value, struct rcpt_options *o)
{
	if (o->notify == 0 && dsn_parse_notify(value, &o->notify))
		return true;
	reply(s, "501 5.5.4 Error: Bad NOTIFY parameter syntax");
	return false;
}

static bool take_orcpt(struct session *s, struct str value, struct rcpt_options *o)
{
	struct buf decoded = BUF(2000);
	bool good = !o->orcpt && dsn_parse_orcpt(value, &decoded);

	if (good)
		o->orcpt = pool_strdup(session_scratch(s), buf_cstr(&decoded));
	else
		reply(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
	buf_free(&decoded);
	return good;
}

static bool take_parameter(
	struct session *s, struct str word, struct str keyword, struct str value, struct rcpt_options *o)
{
	bool notify = str_case_is(keyword, "NOTIFY");

	if (!value.p || (!notify && !str_case_is(keyword, "ORCPT"))) {
		reply(s, "555 5.5.4 Unsupported option: " STR_FMT, STR_ARG(str_first(word, 200)));
		return false;
	}
	if (ehlo_hidden(s) & EHLO_DSN) {
		reply(s, "501 5.7.1 DSN support is disabled");
		return false;
	}
	return notify ? take_notify(s, value, o) : take_orcpt(s, value, o);
}

static bool take_parameters(struct session *s, struct str rest, struct rcpt_options *o)
{
	struct str keyword, value, word, words = rest;

	while (str_word(&words, " \t", &word)) {
		struct str one = word;

		if (smtp_next_parameter(&one, &keyword, &value) < 0)
			value = (struct str){NULL, 0};
		if (!take_parameter(s, word, keyword, value, o))
			return false;
	}
	return true;
}

static bool rcpt_in_order(struct session *s)
{
	if (!s->tx) {
		reply(s, "503 5.5.1 Error: need MAIL command");
		return false;
	}
	if (s->tx->chunks.used) {
		reply(s, "503 5.5.1 Error: RCPT after BDAT");
		return false;
	}
	return true;
}

/* One more than may be. Many of them are errors of the client, some are not (RFC 5321 section 4.5.3.1.10). */
static bool refuse_too_many(struct session *s)
{
	notify_note(s, 0);
	reply(s, "452 4.5.3 Error: too many recipients");
	return s->tx->over_limit++ < (size_t)s->cfg->smtpd_recipient_overshoot_limit;
}

static bool rcpt_accept(
	struct session *s, const char *recipient, const struct rcpt_options *o, const char *said)
{
	struct transaction *tx = s->tx;
	struct err err = {0};
	const char *refused;

	if (!transaction_open(s, &err)) {
		log_warning("%s", err.text);
		notify_note(s, NOTICE_RESOURCE);
		reply(s, "451 4.3.0 Error: queue file write error");
		return false;
	}
	refused = message_recipient(tx->message, recipient, o->orcpt, o->notify, said);
	if (refused) {
		reply_lines(s, refused);
		return false;
	}
	tx->recipients++;
	tx->recipient = tx->recipients == 1 ? pool_strdup(tx->pool, recipient) : NULL;
	reply(s, "250 2.1.5 Ok");
	return true;
}

static bool rcpt_decide(struct session *s, const char *recipient, const struct rcpt_options *o,
	struct str path, struct str parameters)
{
	struct refusal refusal;

	if (s->cfg->smtpd_recipient_limit > 0 && s->tx->recipients >= (size_t)s->cfg->smtpd_recipient_limit)
		return refuse_too_many(s);
	if (!client_limits_allow(s, LIMIT_RECIPIENTS))
		return false;
	if (!access_rcpt(s, "RCPT", recipient, &refusal)) {
		filters_rcpt_refused(s, &refusal, path, parameters);
		reply_refusal(s, &refusal);
		return false;
	}
	return filters_rcpt(s, recipient, path, parameters) &&
	       rcpt_accept(s, recipient, o,
		       pool_printf(session_scratch(s), STR_FMT STR_FMT, STR_ARG(path), STR_ARG(parameters)));
}

/* Reports and the next host are told of the recipient as it was written. */
static void keep_written(struct session *s, struct str written, struct rcpt_options *o)
{
	written = str_trim(written);
	if (written.n > 1 && written.p[0] == '<' && written.p[written.n - 1] == '>')
		written = str_first(str_from(written, 1), written.n - 2);
	while (written.n > 0 && (written.p[written.n - 1] == ' ' || written.p[written.n - 1] == '\t'))
		written.n--;
	if (!o->orcpt && written.n <= ADDRESS_MAX)
		o->orcpt = pool_printf(session_scratch(s), "rfc822;" STR_FMT, STR_ARG(written));
}

bool cmd_rcpt(struct session *s, struct str rest)
{
	struct rcpt_options options = {0};
	const char *recipient;
	struct str path;

	if (!rcpt_in_order(s))
		return false;
	if (!path_keyword(&rest, "TO:")) {
		reply(s, "501 5.5.4 Syntax: RCPT TO:<address>");
		return false;
	}
	path = rest;
	recipient = path_parse(s, "RCPT", &rest, PATH_POSTMASTER | (s->tx->options.smtputf8 ? PATH_UTF8 : 0));
	if (!recipient || (rest.n > 0 && rest.p[0] != ' ' && rest.p[0] != '\t')) {
		reply(s, "501 5.1.3 Bad recipient address syntax");
		return false;
	}
	if (!path_may_be_utf8(s, recipient, s->tx->options.smtputf8) || !take_parameters(s, rest, &options))
		return false;
	path = str_first(path, (size_t)(rest.p - path.p));
	keep_written(s, path, &options);
	return rcpt_decide(s, recipient, &options, path, rest);
}
