#include "smtpd/sasl.h"

#include "base/log.h"
#include "sasl/sasl_server.h"
#include "smtpd/session.h"

#define BACK_END_SECONDS 10 /* for one answer of the back end */

struct sasl_server *sasl_for_session(struct session *s, struct err *err)
{
	const struct config *cfg = s->cfg;
	const struct net_addr *local = session_local(s);
	char server[NET_HOST_MAX];
	struct sasl_peer peer = {.service = cfg->smtpd_sasl_service,
		.client_address = s->client.has_addr ? s->client.address : NULL,
		.client_port = s->client.port,
		.server_address = local ? net_host(local, server) : NULL,
		.server_port = local ? net_port(local) : 0,
		.tls = s->tls};
	const char *options =
		s->tls ? cfg->smtpd_sasl_tls_security_options : cfg->smtpd_sasl_security_options;

	if (s->slot->sasl && sasl_server_serve(s->slot->sasl, &peer, options, err))
		return s->slot->sasl;
	sasl_server_free(&s->slot->sasl);
	s->slot->sasl = sasl_server_new(
		cfg->smtpd_sasl_type, cfg->smtpd_sasl_path, &peer, options, BACK_END_SECONDS, err);
	return s->slot->sasl;
}

bool sasl_may_be_used(struct session *s, struct str mechanism)
{
	const struct named_list *filter = &s->server->sasl_mechanisms;
	return (!filter->list && !filter->error) || named_list_has(filter, mechanism);
}

const char *sasl_offered_mechanisms(struct session *s)
{
	struct err err = {0};
	struct sasl_server *server = sasl_for_session(s, &err);
	struct buf offered = BUF(4096);
	struct str rest, word;
	const char *text;

	if (!server) {
		log_warning("SASL: %s", err.text);
		return NULL;
	}
	rest = str_c(sasl_mechanisms(server));
	while (str_word(&rest, " ", &word))
		if (sasl_may_be_used(s, word))
			buf_printf(&offered, "%s" STR_FMT, offered.len > 0 ? " " : "", STR_ARG(word));
	text = pool_strdup(session_scratch(s), buf_cstr(&offered));
	buf_free(&offered);
	return text;
}
