/* VRFY: as much as RCPT would tell (RFC 5321 section 3.5.3). */
#include "mail/address.h"
#include "smtpd/ehlo.h"
#include "smtpd/path.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

/* Takes a trailing SMTPUTF8 off the arguments (RFC 6531 section 3.7.4.2). */
static bool take_smtputf8(struct session *s, struct str *text)
{
	static const char word[] = " SMTPUTF8";
	size_t n = sizeof(word) - 1;

	if (!s->cfg->smtputf8_enable || (ehlo_hidden(s) & EHLO_SMTPUTF8) || text->n <= n ||
		!str_case_is(str_from(*text, text->n - n), word))
		return false;
	*text = str_trim(str_first(*text, text->n - n));
	return true;
}

static bool vrfy_address(struct session *s, struct str text, bool utf8)
{
	const struct str asked = str_trim(text);
	struct refusal refusal;
	const char *address = path_parse(s, "VRFY", &text, PATH_ALONE | (utf8 ? PATH_UTF8 : 0));

	if (!address) {
		reply(s, "501 5.1.3 Bad recipient address syntax");
		return false;
	}
	if (!path_may_be_utf8(s, address, utf8))
		return false;
	if (!access_rcpt(s, "VRFY", address, &refusal)) {
		reply_refusal(s, &refusal);
		return false;
	}
	reply(s, "252 2.0.0 " STR_FMT, STR_ARG(asked));
	return true;
}

bool cmd_vrfy(struct session *s, struct str rest)
{
	bool utf8;

	if (s->cfg->disable_vrfy_command) {
		reply(s, "502 5.5.1 VRFY command is disabled");
		return false;
	}
	if (rest.n == 0) {
		reply(s, "501 5.5.4 Syntax: VRFY address");
		return false;
	}
	utf8 = take_smtputf8(s, &rest);
	return vrfy_address(s, rest, utf8);
}
