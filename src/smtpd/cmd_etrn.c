/* ETRN (RFC 1985): asks for the delivery of mail that waits for a domain. */
#include "base/log.h"
#include "ipc/queue.h"
#include "mail/address.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

#define FLUSH_SECONDS 10 /* for the queue manager to take the request */

/* Takes the '@' or '#' of RFC 1985 section 5.3 off; false: not the name of a domain or a queue. */
static bool etrn_name(struct str *name)
{
	if (name->n > 0 && (name->p[0] == '@' || name->p[0] == '#'))
		*name = str_from(*name, 1);
	return address_valid_hostname(*name) || address_valid_literal(*name);
}

static bool etrn_serve(struct session *s, const char *domain)
{
	struct queue_request request = {.type = FRAME_FLUSH_SITE, .text = domain};
	struct err err = {0};

	if (named_list_name(&s->server->fast_flush_domains, str_c(domain), &err) != TABLE_FOUND) {
		log_warning("reject: ETRN %.100s... from %s", domain, s->client.text);
		notify_note(s, 0);
		reply(s, "459 <%s>: service unavailable", domain);
		return false;
	}
	if (!queue_ask(s->server->cfg->queue_service_name, &request, FLUSH_SECONDS, NULL, NULL, &err)) {
		log_warning("ETRN %s: %s", domain, err.text);
		notify_note(s, 0);
		reply(s, "458 Unable to queue messages");
		return false;
	}
	reply(s, "250 Queuing started");
	return true;
}

bool cmd_etrn(struct session *s, struct str rest)
{
	struct refusal refusal;
	struct str name, word;
	const char *domain;

	if (s->cfg->smtpd_helo_required && !s->helo) {
		reply(s, "503 Error: send HELO/EHLO first");
		return false;
	}
	if (s->tx) {
		reply(s, "503 Error: MAIL transaction in progress");
		return false;
	}
	if (!str_word(&rest, " \t", &name) || str_word(&rest, " \t", &word)) {
		reply(s, "500 Syntax: ETRN domain");
		return false;
	}
	if (!etrn_name(&name)) {
		reply(s, "501 Error: invalid parameter syntax");
		return false;
	}
	domain = pool_strndup(session_scratch(s), name.p, name.n);
	if (!access_etrn(s, domain, &refusal)) {
		reply_refusal(s, &refusal);
		return false;
	}
	return etrn_serve(s, domain);
}
