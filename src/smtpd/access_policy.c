/* check_policy_service: the operator's program decides. What it answers is acted on like the result of an
 * access table. */
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/policy.h"
#include "smtpd/access.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define CERTIFICATE_TEXT_MAX 4096

static void number(struct buf *request, const char *name, unsigned long long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", n);
	policy_attribute(request, name, text);
}

static const char *protocol_state(const struct access *a)
{
	switch (a->stage_of_command) {
	case STAGE_DATA:
		return "DATA";
	case STAGE_END_OF_DATA:
		return AFTER_MESSAGE;
	default:
		return a->where;
	}
}

static void add_connection(struct buf *request, struct session *s)
{
	const struct net_addr *local = session_local(s);
	char host[NET_HOST_MAX];

	policy_attribute(request, "protocol_name", s->protocol);
	policy_attribute(request, "client_address", s->client.address);
	policy_attribute(request, "client_name", s->client.name);
	number(request, "client_port", s->client.port);
	policy_attribute(request, "reverse_client_name", s->client.reverse_name);
	policy_attribute(request, "server_address", local ? net_host(local, host) : NULL);
	number(request, "server_port", local ? net_port(local) : 0);
	policy_attribute(request, "helo_name", s->helo);
}

/* One text for all requests about a message: from its first recipient on. */
static const char *instance(struct session *s)
{
	struct transaction *tx = s->tx;
	int64_t now = clock_real();

	if (!tx->policy_owner) {
		tx->policy_owner = ++s->server->policy_owners;
		tx->instance = pool_printf(tx->pool, "%x.%llx.%llx.%llx", (unsigned)getpid(),
			(unsigned long long)(now / US_PER_SEC), (unsigned long long)(now % US_PER_SEC),
			(unsigned long long)tx->policy_owner);
	}
	return tx->instance;
}

static unsigned long long message_size(const struct access *a)
{
	const struct transaction *tx = a->session->tx;

	if (!tx)
		return 0;
	return a->stage_of_command == STAGE_END_OF_DATA ? tx->content_size : tx->options.size;
}

static void add_message(struct buf *request, const struct access *a)
{
	struct session *s = a->session;
	const struct transaction *tx = s->tx;
	bool whole = a->stage_of_command == STAGE_DATA || a->stage_of_command == STAGE_END_OF_DATA;

	policy_attribute(request, "sender", a->sender);
	policy_attribute(request, "recipient", a->recipient);
	number(request, "recipient_count", whole && tx ? tx->recipients : 0);
	policy_attribute(request, "queue_id",
		tx && tx->message && message_is_queued(tx->message) ? session_queue_id(s) : NULL);
	policy_attribute(request, "instance", tx && (whole || a->recipient) ? instance(s) : NULL);
	number(request, "size", message_size(a));
	policy_attribute(request, "etrn_domain", a->etrn_domain);
}

/* Names in certificates may hold anything. Of RFC 3461's xtext only "=" differs: it stays. */
static void add_encoded(struct buf *request, const char *name, const char *value)
{
	struct buf encoded = BUF(CERTIFICATE_TEXT_MAX);

	for (const unsigned char *p = (const unsigned char *)(value ? value : ""); *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '+')
			buf_printf(&encoded, "+%02X", *p);
		else
			buf_putc(&encoded, (char)*p);
	policy_attribute(request, name, buf_cstr(&encoded));
	buf_free(&encoded);
}

static void add_encryption(struct buf *request, const struct session *s)
{
	const struct tls_info *info = s->tls ? tls_session_info(s->io) : NULL;
	bool trusted = info && info->peer_certificate && info->trusted;

	add_encoded(request, "ccert_subject", trusted ? info->peer_name : NULL);
	add_encoded(request, "ccert_issuer", trusted ? info->peer_issuer : NULL);
	policy_attribute(request, "ccert_fingerprint", info ? info->peer_fingerprint : NULL);
	policy_attribute(request, "ccert_pubkey_fingerprint", info ? info->peer_key_fingerprint : NULL);
	policy_attribute(request, "encryption_protocol", info ? info->protocol : NULL);
	policy_attribute(request, "encryption_cipher", info ? info->cipher : NULL);
	number(request, "encryption_keysize", info ? (unsigned)info->bits : 0);
}

static void make_request(struct buf *request, const struct access *a, const struct policy_options *o)
{
	struct session *s = a->session;

	policy_attribute(request, "request", "smtpd_access_policy");
	policy_attribute(request, "protocol_state", protocol_state(a));
	add_connection(request, s);
	add_message(request, a);
	policy_attribute(request, "stress", config_text(s->cfg, "stress"));
	policy_attribute(request, "sasl_method", s->sasl_method);
	policy_attribute(request, "sasl_username", s->sasl_username);
	policy_attribute(request, "sasl_sender", session_sasl_sender(s));
	add_encryption(request, s);
	policy_attribute(request, "policy_context", o->context);
}

static bool ask(const struct rule *rule, struct access *a, struct buf *action)
{
	struct buf request = BUF(POLICY_REQUEST_MAX);
	struct err err = {""};
	bool good;

	make_request(&request, a, policy_client_options(rule->policy));
	good = request.over ? err_set(&err, "request to policy server is too long")
			    : policy_ask(rule->policy, a->session->tx ? a->session->tx->policy_owner : 0,
				      buf_slice(&request), action, &err);
	if (!good)
		log_warning("%s", err.text);
	buf_free(&request);
	return good;
}

/* What default_action says may ask another policy server; when that one fails too, no more is asked. */
static const char *action_without_server(struct access *a, const struct rule *rule)
{
	return a->policy_failed ? POLICY_DEFAULT_ACTION : policy_client_options(rule->policy)->default_action;
}

void check_policy(const struct rule *rule, struct access *a, struct answer *out)
{
	struct buf action = BUF(POLICY_LINE_MAX);

	if (ask(rule, a, &action)) {
		access_result(a, rule, "", buf_cstr(&action), a->subject, a->subject_class, out);
	} else {
		const char *instead = action_without_server(a, rule);
		bool before = a->policy_failed;

		a->policy_failed = true;
		access_result(a, rule, "", instead, a->subject, a->subject_class, out);
		a->policy_failed = before;
	}
	buf_free(&action);
}
