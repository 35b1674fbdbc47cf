/* Who may use which sender address (smtpd_sender_login_maps), and client certificates. */
#include "base/log.h"
#include "smtpd/access.h"
#include "smtpd/session.h"
#include "tls/tls.h"

/* The logins that own the sender; false: nobody does, or out says why it is not known. */
static bool owners_of(struct access *a, struct buf *owners, struct answer *out)
{
	struct maps *maps = a->session->server->sender_logins;
	struct err err = {0};
	enum table_status status;

	if (!maps)
		return false;
	status = maps_lookup_address(maps, str_c(*a->sender ? a->sender : "<>"),
		a->session->cfg->recipient_delimiter, false, owners, NULL, &err);
	if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED) {
		log_warning("smtpd_sender_login_maps: %s", err.text);
		answer_refuse(
			a, out, VERDICT_REFUSE, 451, "4.3.0", "<%s>: Temporary lookup failure", a->sender);
	}
	return status == TABLE_FOUND;
}

static bool is_owner(struct str owners, const char *login)
{
	struct str name;

	while (str_word(&owners, ", \t\r\n", &name))
		if (str_case_is(name, login))
			return true;
	return false;
}

static void not_owner(struct access *a, struct answer *out)
{
	answer_refuse(a, out, VERDICT_REFUSE, 553, "5.7.1",
		"<%s>: Sender address rejected: not owned by user %s", a->sender, a->session->sasl_username);
}

void check_sender_login(const struct rule *rule, struct access *a, struct answer *out)
{
	struct buf owners = BUF(TABLE_VALUE_MAX);
	const char *login = a->session->sasl_username;
	bool owned;

	if (!a->sender ||
		(login ? !(rule->row->variant & LOGIN_KNOWN) : !(rule->row->variant & LOGIN_UNKNOWN)))
		return;
	owned = owners_of(a, &owners, out);
	if (out->verdict == VERDICT_DUNNO) {
		if (login && (owned || !(rule->row->variant & LOGIN_OWNED)) &&
			!is_owner(buf_slice(&owners), login))
			not_owner(a, out);
		else if (!login && owned)
			answer_refuse(a, out, VERDICT_REFUSE, 553, "5.7.1",
				"<%s>: Sender address rejected: not logged in", a->sender);
	}
	buf_free(&owners);
}

/* Who asks about certificates that nobody was asked for has forgotten something. */
static const struct tls_info *client_certificate(const struct access *a, const struct rule *rule)
{
	const struct tls_info *info = a->session->tls ? tls_session_info(a->session->io) : NULL;

	if (!a->session->cfg->smtpd_tls_ask_ccert && !a->session->server->tls_demands_certificate)
		log_warning("%s is requested, but \"smtpd_tls_ask_ccert = no\"", rule->name);
	return info && info->peer_certificate ? info : NULL;
}

void check_trusted_certificate(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct tls_info *info = client_certificate(a, rule);

	if (info && info->trusted)
		out->verdict = VERDICT_PERMIT;
}

void check_known_certificate(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct tls_info *info = client_certificate(a, rule);
	struct maps *maps = a->session->server->relay_clientcerts;
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {0};
	enum table_status status;

	if (!info || !maps)
		return;
	status = maps_lookup(maps, str_c(info->peer_fingerprint), &value, &err);
	if (status == TABLE_NOT_FOUND)
		status = maps_lookup(maps, str_c(info->peer_key_fingerprint), &value, &err);
	if (status == TABLE_FOUND)
		out->verdict = VERDICT_PERMIT;
	else if (status != TABLE_NOT_FOUND)
		log_warning("relay_clientcerts: %s", err.text);
	buf_free(&value);
}

void check_certificate_access(const struct rule *rule, struct access *a, struct answer *out)
{
	static const char class[] = "Client certificate";
	const struct tls_info *info = client_certificate(a, rule);

	for (size_t i = 0; info && i < CERTIFICATE_KEYS && rule->search[i] != CERTIFICATE_KEY_NONE; i++) {
		const char *key = rule->search[i] == CERTIFICATE_FINGERPRINT ? info->peer_fingerprint
									     : info->peer_key_fingerprint;

		if (access_lookup_key(a, rule, key, a->session->client.text, class, out))
			break;
	}
}
