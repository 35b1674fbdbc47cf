/* HELO and EHLO (RFC 5321 section 4.1.1.1), and what EHLO offers. */
#include "base/log.h"
#include "smtpd/ehlo.h"
#include "smtpd/filters.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define HELO_MAX 500 /* bytes of a name that are kept */

/* As said, without control bytes: what the checks see. */
static char *shown_name(struct session *s, struct str name)
{
	char *out = pool_strndup(session_scratch(s), name.p, name.n < HELO_MAX ? name.n : HELO_MAX);

	for (unsigned char *p = (unsigned char *)out; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			*p = '?';
	return out;
}

/* The name goes into headers: what could pass for something else there is replaced. */
static void neuter(char *name)
{
	for (char *p = name; *p; p++)
		if (strchr("<>()\\\";@", *p))
			*p = '?';
}

/* Common to both: true when the name is accepted and the session starts over. */
static bool helo_accept(struct session *s, const char *verb, struct str rest, bool *reduced)
{
	struct refusal refusal;
	struct str name;

	if (!str_word(&rest, " \t", &name)) {
		reply(s, "501 Syntax: %s hostname", verb);
		return false;
	}
	transaction_end(s);
	session_set(&s->helo, shown_name(s, name));
	if (!access_helo(s, verb, s->helo, &refusal)) {
		reply_refusal(s, &refusal);
		session_set(&s->helo, NULL);
		return false;
	}
	notify_flush(s);
	s->protocol = strcmp(verb, "EHLO") == 0 ? "ESMTP" : "SMTP";
	neuter(s->helo);
	return filters_helo(s, verb, reduced);
}

bool cmd_helo(struct session *s, struct str rest)
{
	bool reduced;

	if (!helo_accept(s, "HELO", rest, &reduced))
		return false;
	reply(s, "250 %s", s->cfg->myhostname);
	return true;
}

bool cmd_ehlo(struct session *s, struct str rest)
{
	bool reduced;

	if (!helo_accept(s, "EHLO", rest, &reduced))
		return false;
	ehlo_reply(s, reduced);
	return true;
}
