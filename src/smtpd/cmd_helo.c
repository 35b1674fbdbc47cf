/* HELO and EHLO (RFC 5321 section 4.1.1.1), and what EHLO offers. */
#include "base/log.h"
#include "smtpd/ehlo.h"
#include "smtpd/filters.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define HELO_MAX 500 /* bytes of a name that are kept */

/* As said, in one word without control bytes: what the checks see. "" when there is none. */
static char *shown_name(struct session *s, struct str rest)
{
	struct buf name = BUF(HELO_MAX);
	struct str word;
	char *out;

	while (str_word(&rest, " \t", &word)) {
		if (name.len > 0)
			buf_putc(&name, '?');
		buf_str(&name, str_first(word, name.max - name.len));
	}
	out = pool_strdup(session_scratch(s), buf_cstr(&name));
	buf_free(&name);
	for (unsigned char *p = (unsigned char *)out; *p; p++)
		if (*p < ' ' || *p >= 0x7f)
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
	const char *name = shown_name(s, rest);
	struct refusal refusal;

	if (!*name) {
		reply(s, "501 Syntax: %s hostname", verb);
		return false;
	}
	transaction_end(s);
	session_set(&s->helo, name);
	if (!access_helo(s, verb, s->helo, &refusal)) {
		reply_refusal(s, &refusal);
		session_set(&s->helo, NULL);
		return false;
	}
	notify_flush(s);
	if (strcmp(verb, "EHLO") == 0)
		s->protocol = "ESMTP";
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
	return ehlo_reply(s, reduced);
}
