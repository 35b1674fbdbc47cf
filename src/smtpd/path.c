#include "smtpd/path.h"

#include "base/log.h"
#include "mail/address.h"
#include "smtpd/ehlo.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

bool path_keyword(struct str *rest, const char *keyword)
{
	struct str word = str_c(keyword);

	if (!str_case_starts(*rest, word))
		return false;
	*rest = str_from(*rest, word.n);
	return str_trim(*rest).n > 0;
}

/* What counts is the address that it will be: "user%b\303\274cher" has a domain with 8-bit bytes. */
static bool is_deliverable(const struct session *s, struct str internal, int flags)
{
	struct buf complete = BUF(2 * ADDRESS_MAX);
	bool ok;

	rewrite_address(s->server->resolver, true, internal, &complete);
	ok = !complete.over && ((flags & PATH_UTF8) || !str_has_8bit(address_domain(buf_slice(&complete)))) &&
	     resolve_is_deliverable(s->server->resolver, buf_cstr(&complete));
	buf_free(&complete);
	return ok;
}

static void log_illegal(struct session *s, const char *verb, struct str said)
{
	log_warning("Illegal address syntax from %s in %s command: " STR_FMT, s->client.text, verb,
		STR_ARG(str_first(str_trim(said), ADDRESS_MAX)));
}

const char *path_parse(struct session *s, const char *verb, struct str *rest, int flags)
{
	struct buf internal = BUF(ADDRESS_MAX + 1);
	struct str said = *rest;
	struct err err = {0};
	const char *address = NULL;

	if (s->cfg->strict_rfc821_envelopes && !(flags & PATH_ALONE))
		flags |= PATH_STRICT;
	if (!s->server->standalone)
		flags |= resolve_path_flags(s->server->resolver);
	if (address_parse_path(rest, flags, &internal, &err) && !internal.over &&
		(!(flags & PATH_ALONE) || str_trim(*rest).n == 0) &&
		(s->server->standalone || is_deliverable(s, buf_slice(&internal), flags)))
		address = pool_strndup(session_scratch(s), buf_cstr(&internal), internal.len);
	else
		log_illegal(s, verb, flags & PATH_ALONE ? said : str_first(said, said.n - rest->n));
	buf_free(&internal);
	return address;
}

bool path_may_be_utf8(struct session *s, const char *address, bool declared)
{
	if (declared || !s->cfg->strict_smtputf8 || !str_has_8bit(str_c(address)))
		return true;
	reply(s, "553 5.6.7 Must declare SMTPUTF8 to send unicode address");
	return false;
}

bool path_wants_utf8(struct session *s, struct str rest)
{
	struct str word;

	if (!s->cfg->smtputf8_enable || (ehlo_hidden(s) & EHLO_SMTPUTF8))
		return false;
	while (str_word(&rest, " \t", &word))
		if (str_case_is(word, "SMTPUTF8"))
			return true;
	return false;
}
