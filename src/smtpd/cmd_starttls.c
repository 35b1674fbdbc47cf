/* STARTTLS (RFC 3207), and the handshake of implicit TLS. */
#include "base/log.h"
#include "smtpd/client_limits.h"
#include "smtpd/ehlo.h"
#include "smtpd/filters.h"
#include "smtpd/reply.h"
#include "smtpd/server_names.h"
#include "smtpd/session.h"
#include "smtpd/tls_offer.h"
#include "smtpd/transaction.h"

bool tls_can_start(const struct session *s)
{
	return s->server->tls_level != TLS_OFF && !s->tls && !s->cfg->smtpd_tls_wrappermode;
}

static const char *trust(const struct tls_info *info)
{
	if (!info->peer_certificate)
		return "Anonymous";
	return info->trusted ? "Trusted" : "Untrusted";
}

bool tls_start(struct session *s)
{
	const struct tls_names names = {server_name_find, s};
	const struct tls_info *info;
	struct tls_failure why = {0};

	stream_set_timeout(s->io, s->cfg->smtpd_starttls_timeout, true);
	if (!tls_accept_by_name(s->io, s->server->tls, s->server->tls_names ? &names : NULL, &why)) {
		log_info("SSL_accept error from %s: %s", s->client.text, why.reason.text);
		if (why.library.text[0])
			log_warning("TLS library problem: %s", why.library.text);
		return false;
	}
	stream_set_timeout(s->io, s->cfg->smtpd_timeout, s->cfg->smtpd_per_request_deadline);
	s->tls = true;
	info = tls_session_info(s->io);
	if (!info->reused)
		client_limits_new_tls(s);
	if (s->server->tls_demands_certificate && *info->problem)
		log_info(
			"%s verification failed for %s: %s", info->problem_of, s->client.text, info->problem);
	if (s->cfg->smtpd_tls_loglevel > 0)
		log_info("%s TLS connection established from %s%s%s: %s%s%s", trust(info), s->client.text,
			*info->server_name ? " to " : "", info->server_name, info->summary,
			*info->details ? " " : "", info->details);
	return true;
}

const char *tls_client_fault(struct session *s)
{
	const struct tls_info *info = tls_session_info(s->io);
	const char *why =
		info->peer_certificate ? "Client certificate not trusted" : "No client certificate presented";

	if (!s->server->tls_demands_certificate || (info->peer_certificate && info->trusted))
		return NULL;
	log_info("NOQUEUE: abort: TLS from %s: %s", s->client.text, why);
	return why;
}

bool cmd_starttls(struct session *s, struct str rest)
{
	if (rest.n > 0) {
		reply(s, "501 5.5.4 Syntax: STARTTLS");
		return false;
	}
	if (s->tls) {
		reply(s, "554 5.5.1 Error: TLS already active");
		return false;
	}
	if (!tls_can_start(s) || (ehlo_hidden(s) & EHLO_STARTTLS)) {
		if (filters_unknown(s, STR("STARTTLS")))
			reply(s, "502 5.5.1 Error: command not implemented");
		return false;
	}
	if (stream_buffered(s->io) > 0) {
		reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
		s->hangup = true;
		return false;
	}
	if (!s->server->tls) {
		reply(s, "454 4.7.0 TLS not available due to local problem");
		return false;
	}
	if (!client_limits_allow_tls(s))
		return false;
	transaction_end(s);
	reply(s, "220 2.0.0 Ready to start TLS");
	if (!stream_flush(s->io) || !tls_start(s)) {
		s->protocol_end = "lost connection";
		s->hangup = true;
		return false;
	}
	session_forget_helo(s);
	s->farewell = tls_client_fault(s);
	return true;
}
