/* Checks of the client's name and address. */
#include "base/log.h"
#include "smtpd/access.h"
#include "smtpd/session.h"

static void lookup_failure(struct access *a, struct answer *out)
{
	answer_refuse(a, out, VERDICT_REFUSE, 451, "4.3.0", "<%s>: Temporary lookup failure", a->subject);
}

void check_mynetworks(const struct rule *rule, struct access *a, struct answer *out)
{
	struct client *c = &a->session->client;
	struct err err = {0};

	if (c->networks == CLIENT_UNASKED) {
		switch (named_list_host(&a->session->server->mynetworks, c->name, c->address, &err)) {
		case TABLE_FOUND:
			c->networks = CLIENT_TRUSTED;
			break;
		case TABLE_NOT_FOUND:
			c->networks = CLIENT_STRANGER;
			break;
		default:
			log_warning("mynetworks: %s", err.text);
			lookup_failure(a, out);
			return;
		}
	}
	if (c->networks == CLIENT_TRUSTED)
		out->verdict = VERDICT_PERMIT;
}

void check_inet_interfaces(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct session *s = a->session;

	if (s->client.has_addr && resolve_is_own_address(s->server->resolver, s->client.address))
		out->verdict = VERDICT_PERMIT;
}

void check_sasl_authenticated(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->session->sasl_username)
		out->verdict = VERDICT_PERMIT;
}

void check_unknown_client(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct session *s = a->session;

	if (s->client.name_status != DNS_OK)
		answer_refuse(a, out, VERDICT_REFUSE,
			s->client.name_status == DNS_NOT_FOUND ? s->cfg->unknown_client_reject_code : 450,
			"4.7.25", "Client host rejected: cannot find your hostname, [%s]", s->client.address);
}

void check_unknown_reverse_client(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct session *s = a->session;

	if (s->client.reverse_status != DNS_OK)
		answer_refuse(a, out, VERDICT_REFUSE,
			s->client.reverse_status == DNS_NOT_FOUND ? s->cfg->unknown_client_reject_code : 450,
			"4.7.1", "Client host rejected: cannot find your reverse hostname, [%s]",
			s->client.address);
}

void check_client_access(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct client *c = &a->session->client;

	if (!access_lookup_name(a, rule, c->name, c->text, "Client host", out))
		access_lookup_address(a, rule, c->address, c->text, "Client host", out);
}

void check_reverse_client_access(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct client *c = &a->session->client;

	if (!access_lookup_name(a, rule, c->reverse_name, c->reverse_name, "Unverified Client host", out))
		access_lookup_address(a, rule, c->address, c->reverse_name, "Unverified Client host", out);
	/* An unverified name is nothing to trust: it may refuse, not permit. */
	access_forbid_permit(rule, a, c->reverse_name, out, "Server configuration error");
}

void check_address_map(const struct rule *rule, struct access *a, struct answer *out)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {0};

	if (table_lookup(rule->table, str_c(a->session->client.address), &value, &err) == TABLE_FOUND)
		out->verdict = VERDICT_PERMIT;
	buf_free(&value);
}
