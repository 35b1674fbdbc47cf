#include "base/log.h"
#include "smtp/smtp_features.h"
#include "smtp/smtp_session.h"

/* "host refused to talk to me". A 5xx greeting may count as a temporary trouble of this host alone. */
static bool refused(struct smtp_session *s, struct pool *pool, const struct smtp_reply *reply, bool soften,
	struct dsn **why)
{
	bool soft = reply->code / 100 == 4 || soften;
	char status[12];

	smtp_reply_status(reply, status);
	if (status[0] == '2')
		snprintf(status, sizeof(status), "5.5.0");
	if (soft)
		status[0] = '4';
	*why = dsn_make(pool, soft ? DSN_DELAYED : DSN_FAILED, status, "host %s refused to talk to me: %s",
		s->label, reply->text);
	(*why)->diag_type = "smtp";
	(*why)->diag_text = pool_strdup(pool, reply->text);
	(*why)->mta_type = "dns";
	(*why)->mta_name = pool_strdup(pool, s->host);
	return false;
}

/* true: greeted; *esmtp tells whether the greeting has the word ESMTP. */
static bool hear_greeting(struct smtp_session *s, struct pool *pool, bool *esmtp, struct dsn **why)
{
	const struct config *cfg = s->client->cfg;
	struct smtp_reply reply;
	struct str rest, word;
	bool ok;

	*esmtp = false;
	if (!smtp_hear(s, cfg->smtp_helo_timeout, &reply)) {
		*why = smtp_trouble(s, pool, "receiving the initial server greeting");
		return false;
	}
	ok = reply.code / 100 == 2;
	rest = str_c(reply.text);
	while (str_word(&rest, " \n", &word))
		*esmtp = *esmtp || str_case_is(word, "ESMTP");
	if (!ok)
		refused(s, pool, &reply, cfg->smtp_skip_5xx_greeting, why);
	smtp_reply_free(&reply);
	return ok;
}

static bool is_myself(const struct smtp_session *s, const struct smtp_reply *reply)
{
	struct str rest = str_from(str_c(reply->text), 4), name;

	return s->detect_loop && str_word(&rest, " \t\n", &name) &&
	       str_case_is(name, s->client->cfg->myhostname);
}

/* 1: accepted, 0: refused (the reply is kept for the caller), -1: trouble. */
static int introduce(struct smtp_session *s, const char *verb, struct smtp_reply *reply)
{
	smtp_say(s, "%s %s\r\n", verb, s->client->cfg->smtp_helo_name);
	if (!smtp_hear(s, s->client->cfg->smtp_helo_timeout, reply))
		return -1;
	return reply->code / 100 == 2;
}

static bool introduction_failed(struct smtp_session *s, struct pool *pool, const char *verb, int got,
	struct smtp_reply *reply, struct dsn **why)
{
	char doing[64];

	snprintf(doing, sizeof(doing), "performing the %s handshake", verb);
	if (got < 0)
		*why = smtp_trouble(s, pool, doing);
	else
		refused(s, pool, reply, false, why);
	smtp_reply_free(reply);
	return false;
}

static bool introduced(struct smtp_session *s, struct pool *pool, struct smtp_reply *reply, struct dsn **why)
{
	bool loop = is_myself(s, reply);

	if (loop) {
		log_warning("host %s replied to HELO/EHLO with my own hostname %s", s->label,
			s->client->cfg->myhostname);
		*why = dsn_make(pool, DSN_FAILED, "5.4.6", "mail for %s loops back to myself", s->host);
	}
	smtp_reply_free(reply);
	return !loop;
}

bool smtp_greet(struct smtp_session *s, struct pool *pool, struct dsn **why)
{
	const struct config *cfg = s->client->cfg;
	const char *verb = s->client->lmtp ? "LHLO" : "EHLO";
	struct smtp_reply reply;
	bool esmtp;
	int got;

	if (!hear_greeting(s, pool, &esmtp, why))
		return false;
	if (s->client->lmtp || (!cfg->smtp_never_send_ehlo && (cfg->smtp_always_send_ehlo || esmtp))) {
		got = introduce(s, verb, &reply);
		if (got == 1) {
			smtp_features_read(s, &reply);
			return introduced(s, pool, &reply, why);
		}
		if (got < 0 || s->failed || s->client->lmtp)
			return introduction_failed(s, pool, verb, got, &reply, why);
		smtp_reply_free(&reply);
	}
	got = introduce(s, "HELO", &reply);
	if (got != 1)
		return introduction_failed(s, pool, "HELO", got, &reply, why);
	return introduced(s, pool, &reply, why);
}
