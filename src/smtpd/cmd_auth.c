/* AUTH (RFC 4954). */
#include "base/log.h"
#include "base/sys.h"
#include "sasl/sasl_server.h"
#include "smtpd/client_limits.h"
#include "smtpd/ehlo.h"
#include "smtpd/reply.h"
#include "smtpd/sasl.h"
#include "smtpd/session.h"
#include <ctype.h>

#define CHALLENGE_MAX 12288 /* RFC 4954 section 4.5 */

static bool auth_in_order(struct session *s)
{
	if (s->cfg->smtpd_helo_required && !s->helo)
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
	else if (!ehlo_auth_offered(s))
		reply(s, "503 5.5.1 Error: authentication not enabled");
	else if (s->tx)
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
	else if (s->sasl_username)
		reply(s, "503 5.5.1 Error: already authenticated");
	else
		return true;
	return false;
}

static void auth_log_failure(struct session *s, const char *mechanism, const char *reason, const char *user)
{
	char shown[64];

	snprintf(shown, sizeof(shown), "%s", mechanism);
	for (char *p = shown; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	log_warning("%s: SASL %s authentication failed: %s, sasl_username=%s", s->client.text, shown, reason,
		user && *user ? user : "(unavailable)");
}

static bool auth_failed(struct session *s, const char *mechanism, enum sasl_status status, const char *reason,
	const char *user)
{
	if (!*reason)
		reason = status == SASL_INVALID ? "Invalid authentication mechanism" : "(reason unavailable)";
	auth_log_failure(s, mechanism, reason, user);
	notify_note(s, 0);
	if (status == SASL_TEMPFAIL)
		reply(s, "454 4.7.0 Temporary authentication failure: %s", reason);
	else
		reply(s, "535 5.7.8 Error: authentication failed: %s", reason);
	return false;
}

/* The client's answer to a challenge. false: replied, or the client is gone. */
static bool auth_response(struct session *s, struct str *line)
{
	enum line_end end;

	if (stream_line(s->io, (size_t)s->cfg->smtpd_sasl_response_limit, line, &end) != STREAM_OK)
		return false;
	if (end == LINE_PARTIAL) {
		reply(s, "500 5.5.6 Authentication exchange line is too long");
		s->hangup = true;
		return false;
	}
	if (str_is(*line, "*")) {
		notify_note(s, 0);
		reply(s, "501 5.7.0 Authentication aborted");
		return false;
	}
	return true;
}

static bool auth_succeeded(struct session *s, struct sasl_server *server, const char *mechanism)
{
	session_set(&s->sasl_username, sasl_username(server));
	session_set(&s->sasl_method, mechanism);
	s->client.networks = CLIENT_UNASKED;
	reply(s, "235 2.7.0 Authentication successful");
	return true;
}

static bool auth_exchange(struct session *s, struct sasl_server *server, const char *mechanism,
	struct str initial, struct buf *text)
{
	enum sasl_status status = sasl_start(server, mechanism, initial, text);
	struct str line;

	while (status == SASL_CONTINUE) {
		reply(s, "334 %s", buf_cstr(text));
		buf_clear(text);
		if (!auth_response(s, &line))
			return false;
		status = sasl_step(server, line, text);
	}
	if (status == SASL_OK)
		return auth_succeeded(s, server, mechanism);
	return auth_failed(s, mechanism, status, buf_cstr(text), sasl_username(server));
}

static bool auth_run(struct session *s, const char *mechanism, struct str initial)
{
	struct buf text = BUF(CHALLENGE_MAX);
	struct err err = {0};
	struct sasl_server *server = sasl_for_session(s, &err);
	bool good;

	if (!server) {
		log_warning("SASL: %s", err.text);
		return auth_failed(
			s, mechanism, SASL_TEMPFAIL, "authentication server is not available", NULL);
	}
	good = auth_exchange(s, server, mechanism, initial, &text);
	sys_wipe(text.data, text.cap);
	buf_free(&text);
	return good;
}

bool cmd_auth(struct session *s, struct str rest)
{
	struct str word, initial = {NULL, 0}, more;
	char mechanism[64];

	if (!auth_in_order(s) || !client_limits_allow(s, LIMIT_AUTHENTICATIONS))
		return false;
	if (!str_word(&rest, " \t", &word) ||
		(str_word(&rest, " \t", &initial) && str_word(&rest, " \t", &more))) {
		reply(s, "501 5.5.4 Syntax: AUTH mechanism");
		return false;
	}
	snprintf(mechanism, sizeof(mechanism), STR_FMT, STR_ARG(str_first(word, sizeof(mechanism) - 1)));
	for (char *p = mechanism; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	/* The line's buffer is used again for the answers. */
	if (initial.p)
		initial = str_c(pool_strndup(session_scratch(s), initial.p, initial.n));
	if (!sasl_may_be_used(s, str_c(mechanism)))
		return auth_failed(s, mechanism, SASL_INVALID, "", NULL);
	return auth_run(s, mechanism, initial);
}
