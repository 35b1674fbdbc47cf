#include "smtpd/transaction.h"

#include "base/log.h"
#include "mail/event.h"
#include "mail/received.h"
#include "smtpd/filters.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

struct transaction *transaction_begin(
	struct session *s, const char *sender, const char *said, const struct mail_options *options)
{
	struct pool *pool = pool_new(512);
	struct transaction *tx = pool_alloc(pool, sizeof(*tx));

	tx->pool = pool;
	tx->sender = pool_strdup(pool, sender);
	tx->said = pool_strdup(pool, said);
	tx->options = *options;
	tx->options.envid = pool_strdup(pool, options->envid);
	tx->options.sasl_sender = pool_strdup(pool, options->sasl_sender);
	tx->options.verp = pool_strdup(pool, options->verp);
	effects_merge(pool, &tx->effects, &s->effects);
	s->tx = tx;
	return tx;
}

static void forget_policy(struct policy_client *client, void *owner)
{
	policy_client_forget(client, *(uint64_t *)owner);
}

void transaction_end(struct session *s)
{
	struct transaction *tx = s->tx;
	struct pool *pool;

	if (!tx)
		return;
	s->tx = NULL;
	if (tx->policy_owner)
		rules_each_policy(&s->server->rules, forget_policy, &tx->policy_owner);
	message_abort(&tx->message);
	filters_abort(s);
	buf_free(&tx->chunks.line);
	pool = tx->pool;
	pool_free(&pool);
	forwarded_free(&s->forwarded);
}

bool transaction_open(struct session *s, struct err *err)
{
	if (s->tx->message)
		return true;
	s->tx->message = message_begin(s, err);
	if (s->tx->message)
		session_log_client(s);
	return s->tx->message != NULL;
}

static const char *received_protocol(const struct session *s)
{
	static const char *const names[2][2][2] = {
		{{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
		{{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}},
	};

	if (strcmp(s->protocol, "ESMTP") != 0)
		return s->protocol;
	return names[s->tx->options.smtputf8][s->tls][s->sasl_username != NULL];
}

/* What is known of the client's signature has a line of its own. */
static const char *folded_details(struct session *s, const struct tls_info *info)
{
	const char *client = strstr(info->details, " client-signature ");

	if (!*info->details)
		return "";
	if (!client)
		return pool_printf(s->tx->pool, "\r\n\t %s", info->details);
	return pool_printf(
		s->tx->pool, "\r\n\t %.*s\r\n\t%s", (int)(client - info->details), info->details, client);
}

/* The TLS part of Received, as smtpd_tls_received_header asks for it. */
static const char *received_tls(struct session *s)
{
	const struct tls_info *info = s->tls ? tls_session_info(s->io) : NULL;

	if (!info || !s->cfg->smtpd_tls_received_header)
		return NULL;
	if (info->peer_certificate)
		return pool_printf(s->tx->pool, "using %s%s)\r\n\t(Client CN \"%s\", Issuer \"%s\" (%s)",
			info->summary, folded_details(s, info), info->peer_name, info->peer_issuer,
			info->trusted ? "verified OK" : "not verified");
	return pool_printf(s->tx->pool, "using %s%s)\r\n\t(%s", info->summary, folded_details(s, info),
		s->cfg->smtpd_tls_ask_ccert ? "Client did not present a certificate"
					    : "No client certificate requested");
}

/* As for mail that came from here. */
static void hide_client(struct received *r)
{
	r->helo = r->tls_text = r->sasl_username = r->protocol = NULL;
}

static void add_received(struct session *s)
{
	struct transaction *tx = s->tx;
	struct buf out = BUF(16384);
	struct received r = {.helo = s->helo ? s->helo : s->client.name,
		.client_name = s->client.name,
		.client_address = s->client.address,
		.client_is_ipv6 = s->client.has_addr && s->client.addr.ss.ss_family == AF_INET6,
		.tls_text = received_tls(s),
		.sasl_username = s->cfg->smtpd_sasl_authenticated_header ? s->sasl_username : NULL,
		.my_name = s->cfg->myhostname,
		.mail_name = s->cfg->mail_name,
		.protocol = received_protocol(s),
		.queue_id = message_is_queued(tx->message) ? message_id(tx->message)->text : NULL,
		.for_recipient = tx->recipients == 1 ? tx->recipient : NULL,
		.uid = -1,
		.when_us = message_time(tx->message)};

	if (s->cfg->smtpd_hide_client_session)
		hide_client(&r);
	received_format(&r, &out);
	message_prepend(tx->message, buf_slice(&out));
	buf_free(&out);
}

void transaction_prepend(struct session *s)
{
	struct transaction *tx = s->tx;

	if (tx->prepended)
		return;
	tx->prepended = true;
	for (size_t i = 0; i < tx->effects.prepend.count; i++) {
		const char *line = pool_printf(session_scratch(s), "%s\r\n", tx->effects.prepend.items[i]);

		message_prepend(tx->message, str_c(line));
	}
	/* Between two filters we leave no trace. */
	if (message_is_queued(tx->message) || !s->forwarded)
		add_received(s);
}

static int status_code(const struct cleanup_result *result)
{
	switch (result->status) {
	case CLEANUP_OK:
		return 250;
	case CLEANUP_TOO_BIG:
		return 552;
	case CLEANUP_HOPS:
		return 554;
	case CLEANUP_REJECTED:
		return result->dsn[0] == '4' ? 451 : 550;
	case CLEANUP_NO_RECIPIENTS:
		return 550;
	case CLEANUP_NO_SPACE:
		return 452;
	case CLEANUP_TROUBLE:
		break;
	}
	return 451;
}

static unsigned trouble(const struct cleanup_result *result)
{
	switch (result->status) {
	case CLEANUP_OK:
		return 0;
	case CLEANUP_REJECTED:
		return NOTICE_POLICY;
	case CLEANUP_TOO_BIG:
	case CLEANUP_HOPS:
	case CLEANUP_NO_RECIPIENTS:
		return NOTICE_BOUNCE;
	case CLEANUP_NO_SPACE:
	case CLEANUP_TROUBLE:
		break;
	}
	return NOTICE_RESOURCE;
}

/* The content alone was too much for this service; or it was with what cleanup adds, or by cleanup's
 * settings.
 */
static void log_too_big(const struct session *s, const char *id)
{
	static const char text[] = "queue file size limit exceeded";
	const long long limit = s->cfg->message_size_limit;

	if (limit > 0 && s->tx->content_size > (uint64_t)limit)
		log_warning("%s: %s", id, text);
	else
		EVENT_LOG(CLEANUP_TROUBLE, ev_text("qid", id), ev_text("text", text));
}

static bool commit(struct session *s, const char *queued_prefix)
{
	struct cleanup_result result = {0};
	struct queue_id id;
	char text[512] = "";

	message_end(&s->tx->message, &result, &id, text, sizeof(text));
	if (result.status == CLEANUP_OK) {
		if (result.reply)
			reply_lines(s, result.reply);
		else
			reply(s, "250 2.0.0 Ok: %squeued as %s", queued_prefix, id.text);
		s->errors = s->junk = 0;
		s->notify.classes = 0;
		return true;
	}
	if (result.reply) {
		reply_lines(s, result.reply);
		return false;
	}
	if (result.status == CLEANUP_TOO_BIG)
		log_too_big(s, id.text);
	notify_note(s, trouble(&result));
	reply(s, "%d %s %s", status_code(&result), result.dsn, text);
	return false;
}

bool transaction_finish(struct session *s, const char *queued_prefix)
{
	struct refusal refusal;
	bool good = false;

	if (access_end_of_data(s, &refusal)) {
		good = commit(s, queued_prefix);
		notify_flush(s);
	} else {
		reply_refusal(s, &refusal);
	}
	transaction_end(s);
	return good;
}
