#include "base/log.h"
#include "smtp/smtp_features.h"
#include "smtp/smtp_notify.h"
#include "smtp/smtp_pix.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_tls.h"

static bool refused_by(struct smtp_session *s, struct pool *pool, const struct smtp_reply *reply, bool soft,
	const char *before, const char *after, struct dsn **why)
{
	char status[12];

	smtp_notify_judge(s, reply);
	smtp_reply_status(reply, status);
	if (status[0] == '2')
		snprintf(status, sizeof(status), "5.5.0");
	if (soft)
		status[0] = '4';
	*why = dsn_make(pool, soft ? DSN_DELAYED : DSN_FAILED, status, "%shost %s refused to %s: %s", before,
		s->label, after, reply->text);
	(*why)->diag_type = "smtp";
	(*why)->diag_text = pool_strdup(pool, reply->text);
	(*why)->mta_type = "dns";
	(*why)->mta_name = pool_strdup(pool, s->host);
	return false;
}

/* A 5xx greeting may count as a temporary trouble of this host alone. */
static bool refused(struct smtp_session *s, struct pool *pool, const struct smtp_reply *reply, bool soften,
	struct dsn **why)
{
	bool soft = reply->code / 100 == 4 || (soften && reply->code / 100 == 5);

	return refused_by(s, pool, reply, soft, "", "talk to me", why);
}

/* true: greeted; *esmtp tells whether the greeting has the word ESMTP. */
static bool hear_greeting(struct smtp_session *s, struct pool *pool, const struct delivery_request *request,
	bool *esmtp, struct dsn **why)
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
	else
		ok = smtp_pix_recognise(s, pool, request, &reply, why);
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

/* The best host being ourselves, the mail would come back for ever; another one may be so by mistake. */
static bool introduced(struct smtp_session *s, struct pool *pool, const char *nexthop,
	struct smtp_reply *reply, struct dsn **why)
{
	bool loop = is_myself(s, reply);

	if (loop) {
		log_warning("host %s replied to HELO/EHLO with my own hostname %s", s->relay,
			s->client->cfg->myhostname);
		*why = dsn_make(pool, s->best ? DSN_FAILED : DSN_DELAYED, s->best ? "5.4.6" : "4.4.6",
			"mail for %s loops back to myself", nexthop);
	}
	smtp_reply_free(reply);
	return !loop;
}

/* EHLO or LHLO, with HELO where the server knows no better. */
static bool introduce_ourselves(
	struct smtp_session *s, struct pool *pool, const char *nexthop, bool esmtp, struct dsn **why)
{
	const char *verb = s->client->lmtp ? "LHLO" : "EHLO";
	struct smtp_reply reply;
	int got;

	if (esmtp) {
		got = introduce(s, verb, &reply);
		if (got == 1) {
			if (smtp_features_read(s, pool, &reply, why))
				return introduced(s, pool, nexthop, &reply, why);
			smtp_reply_free(&reply);
			return false;
		}
		if (got < 0 || s->leaving || s->client->lmtp)
			return introduction_failed(s, pool, verb, got, &reply, why);
		smtp_reply_free(&reply);
	}
	got = introduce(s, "HELO", &reply);
	if (got != 1)
		return introduction_failed(s, pool, "HELO", got, &reply, why);
	return introduced(s, pool, nexthop, &reply, why);
}

static bool wants_esmtp(const struct smtp_session *s, bool announced)
{
	const struct config *cfg = s->client->cfg;

	return s->client->lmtp || (!cfg->smtp_never_send_ehlo && !(s->pix & PIX_DISABLE_ESMTP) &&
					  (cfg->smtp_always_send_ehlo || announced));
}

/* STARTTLS is not to be had. That is an end only where TLS is demanded. */
static enum smtp_greeted without_tls(struct smtp_session *s, struct pool *pool,
	const struct smtp_tls_policy *p, const struct smtp_reply *reply, struct dsn **why)
{
	if (p->level < SMTP_TLS_ENCRYPT)
		return SMTP_GREETED;
	if (reply)
		refused_by(s, pool, reply, reply->code / 100 == 4, "TLS is required, but ", "start TLS", why);
	else
		*why = dsn_make(pool, DSN_DELAYED, "4.7.4", "TLS is required, but was not offered by host %s",
			s->label);
	return SMTP_NOT_GREETED;
}

static enum smtp_greeted tls_ended(enum smtp_tls_end end)
{
	if (end == SMTP_TLS_OK)
		return SMTP_GREETED;
	return end == SMTP_TLS_HANDSHAKE ? SMTP_NO_TLS : SMTP_NOT_GREETED;
}

/* More replies than commands right after the handshake: somebody else's commands came before ours
 * (CVE-2009-3555). */
static bool answered_early(struct smtp_session *s, struct pool *pool, struct dsn **why)
{
	if (!s->client->cfg->smtp_tls_block_early_mail_reply)
		return false;
	stream_fill(s->stream, 0);
	if (stream_buffered(s->stream) == 0)
		return false;
	log_warning("%s: a reply came before its command, right after the TLS handshake", s->relay);
	s->failed = true;
	*why = dsn_make(pool, DSN_DELAYED, "4.7.0",
		"host %s sent a reply before its command, right after the TLS handshake", s->label);
	return true;
}

/* RFC 3207 section 4.2: what was learnt before TLS is forgotten. */
static enum smtp_greeted start_tls(struct smtp_session *s, struct pool *pool, const char *nexthop,
	const struct smtp_tls_policy *p, struct dsn **why)
{
	struct smtp_reply reply;
	enum smtp_greeted end;

	smtp_say(s, "STARTTLS\r\n");
	if (!smtp_hear(s, s->client->cfg->smtp_starttls_timeout, &reply)) {
		*why = smtp_trouble(s, pool, "receiving the STARTTLS response");
		return SMTP_NOT_GREETED;
	}
	if (reply.code / 100 != 2)
		end = without_tls(s, pool, p, &reply, why);
	else
		end = tls_ended(smtp_tls_begin(s, pool, p, why));
	if (end == SMTP_GREETED && reply.code / 100 == 2) {
		s->features = 0;
		if (!introduce_ourselves(s, pool, nexthop, true, why) || answered_early(s, pool, why))
			end = SMTP_NOT_GREETED;
	}
	smtp_reply_free(&reply);
	return end;
}

static enum smtp_greeted decide_tls(struct smtp_session *s, struct pool *pool, const char *nexthop,
	const struct smtp_tls_policy *p, struct dsn **why)
{
	if (tls_session_info(s->stream))
		return SMTP_GREETED;
	if (p->level == SMTP_TLS_NONE) {
		if (s->features & FEATURE_STARTTLS && s->client->cfg->smtp_tls_note_starttls_offer)
			log_info("Host offered STARTTLS: [%s]", s->host);
		return SMTP_GREETED;
	}
	if (!(s->features & FEATURE_STARTTLS))
		return without_tls(s, pool, p, NULL, why);
	return start_tls(s, pool, nexthop, p, why);
}

enum smtp_greeted smtp_greet(struct smtp_session *s, struct pool *pool,
	const struct delivery_request *request, const struct smtp_tls_policy *policy, struct dsn **why)
{
	enum smtp_greeted wrapped = SMTP_GREETED;
	bool announced;

	if (s->client->cfg->smtp_tls_wrappermode && policy->level > SMTP_TLS_NONE)
		wrapped = tls_ended(smtp_tls_begin(s, pool, policy, why));
	if (wrapped != SMTP_GREETED)
		return wrapped;
	if (!hear_greeting(s, pool, request, &announced, why) ||
		!introduce_ourselves(s, pool, request->nexthop, wants_esmtp(s, announced), why))
		return SMTP_NOT_GREETED;
	return decide_tls(s, pool, request->nexthop, policy, why);
}
