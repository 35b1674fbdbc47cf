/* Checks of the sender's and the recipient's address. */
#include "mail/address.h"
#include "rewrite/rewrite_map.h"
#include "smtpd/access.h"
#include "smtpd/access_dns.h"
#include "smtpd/session.h"

static const char sender_class[] = "Sender address";
static const char recipient_class[] = "Recipient address";

static void check_non_fqdn(
	struct access *a, const char *address, const char *address_class, struct answer *out)
{
	struct str domain = address_domain(str_c(address));

	if (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--;
	if (domain.n > 0 && domain.p[0] == '[')
		return;
	if (!address_valid_hostname(domain) || str_find(domain, '.') < 0)
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->non_fqdn_reject_code, "5.5.2",
			"<%s>: %s rejected: need fully-qualified address", address, address_class);
}

void check_non_fqdn_sender(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->sender && *a->sender)
		check_non_fqdn(a, a->sender, sender_class, out);
}

void check_non_fqdn_recipient(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->recipient && !str_case_is(str_c(a->recipient), "postmaster"))
		check_non_fqdn(a, a->recipient, recipient_class, out);
}

static void null_mx_refusal(
	struct access *a, const char *address, const char *domain, bool sender, struct answer *out)
{
	answer_refuse(a, out, VERDICT_REFUSE, sender ? 550 : 556, sender ? "5.7.27" : "5.1.10",
		"<%s>: %s rejected: Domain %s does not accept mail (nullMX)", address,
		sender ? sender_class : recipient_class, domain);
}

static void check_unknown_domain(struct access *a, const char *address, bool sender, struct answer *out)
{
	struct str domain = address_domain(str_c(address));
	const struct config *cfg = a->session->cfg;
	const struct resolved *to;
	enum dns_status status;
	const char *name;
	bool null_mx;

	if (domain.n == 0 || domain.p[0] == '[')
		return;
	to = access_resolve(a, address, out);
	if (!to || (to->class != CLASS_DEFAULT && to->class != CLASS_RELAY))
		return;
	name = pool_strndup(a->pool, domain.p, domain.n);
	status = access_dns_mail(a, name, &null_mx);
	if (null_mx)
		null_mx_refusal(a, address, name, sender, out);
	else if (status != DNS_OK)
		answer_refuse(a, out,
			status == DNS_RETRY ? access_tempfail_verdict(cfg->unknown_address_tempfail_action)
					    : VERDICT_REFUSE,
			status == DNS_RETRY ? 450 : cfg->unknown_address_reject_code,
			sender ? "4.1.8" : "4.1.2", "<%s>: %s rejected: Domain not found", address,
			sender ? sender_class : recipient_class);
}

void check_unknown_sender_domain(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->sender && *a->sender)
		check_unknown_domain(a, a->sender, true, out);
}

void check_unknown_recipient_domain(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->recipient)
		check_unknown_domain(a, a->recipient, false, out);
}

static void unlisted_refusal(struct access *a, const char *address, bool sender,
	const struct recipient_check *check, struct answer *out)
{
	char status[12];

	/* RFC 3463: X.1.1 is about a destination; for a sender it is X.1.0. */
	snprintf(status, sizeof(status), "%s", sender && !check->own_status ? "5.1.0" : check->dsn);
	access_map_status(status, sender ? sender_class : recipient_class, check->code);
	answer_refuse(a, out, VERDICT_REFUSE, check->code, status, "<%s>: %s rejected: %s", address,
		sender ? sender_class : recipient_class, check->text);
	out->refusal.classes = NOTICE_BOUNCE;
}

/* A sender that canonical mapping knows exists, under whatever name. */
static bool has_sender_mapping(struct access *a, const char *address)
{
	struct maps *maps = a->session->server->sender_canonical;
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {0};
	bool found;

	if (!maps)
		return false;
	found = rewrite_lookup(a->session->server->resolver, maps, str_c(address), maps_lookup_address,
			&value, NULL, &err) == TABLE_FOUND;
	buf_free(&value);
	return found;
}

static void check_listed(struct access *a, const char *address, bool sender, struct answer *out)
{
	const struct resolved *to = access_resolve(a, address, out);
	struct recipient_check check = {0};
	struct err err = {0};

	if (!to || (sender && has_sender_mapping(a, to->recipient)))
		return;
	resolve_check_recipient(a->session->server->resolver, to, &check, &err);
	if (check.status == TABLE_NOT_FOUND) {
		unlisted_refusal(a, address, sender, &check, out);
	} else if (check.status != TABLE_FOUND) {
		answer_refuse(a, out, VERDICT_DEFER_IF_PERMIT, 451, "4.3.0", "<%s>: Temporary lookup failure",
			address);
		out->refusal.classes = NOTICE_DATA;
	}
}

void check_unlisted_sender(const struct rule *rule, struct access *a, struct answer *out)
{
	if (!a->sender || !*a->sender || a->sender_checked)
		return;
	a->sender_checked = true;
	check_listed(a, a->sender, true, out);
}

void check_unlisted_recipient(const struct rule *rule, struct access *a, struct answer *out)
{
	if (!a->recipient || a->recipient_checked)
		return;
	a->recipient_checked = true;
	check_listed(a, a->recipient, false, out);
}

/* Tables have addresses as they are after rewriting: with their domains; all tables see them in lower case.
 */
static void lookup_resolved(struct access *a, const struct rule *rule, const char *address,
	const char *subject_class, struct answer *out)
{
	const struct resolved *to = access_resolve(a, address, out);
	struct buf folded = BUF(4 * ADDRESS_MAX);

	if (!to)
		return;
	table_fold(str_c(to->recipient), &folded);
	access_lookup_mail(a, rule, buf_cstr(&folded), address, subject_class, out);
	buf_free(&folded);
}

void check_sender_access(const struct rule *rule, struct access *a, struct answer *out)
{
	if (!a->sender)
		return;
	if (*a->sender)
		lookup_resolved(a, rule, a->sender, sender_class, out);
	else
		access_lookup_key(
			a, rule, a->session->cfg->smtpd_null_access_lookup_key, "", sender_class, out);
}

void check_recipient_access(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->recipient)
		lookup_resolved(a, rule, a->recipient, recipient_class, out);
}

void check_etrn_access(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->etrn_domain)
		access_lookup_name(a, rule, a->etrn_domain, a->etrn_domain, "Etrn command", out);
}

/* Whether this host is final destination or relay for the recipient. false with out set: trouble. */
static bool authorised(struct access *a, struct answer *out)
{
	const struct resolved *to = access_resolve(a, a->recipient, out);

	return to && to->class != CLASS_DEFAULT && (!to->routed || a->session->cfg->allow_untrusted_routing);
}

void check_auth_destination(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->recipient && authorised(a, out))
		out->verdict = VERDICT_PERMIT;
}

void check_unauth_destination(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct config *cfg = a->session->cfg;
	int code = cfg->relay_domains_reject_code;

	if (!a->recipient || authorised(a, out) || out->verdict != VERDICT_DUNNO)
		return;
	/* defer_unauth_destination: the same refusal, for now only. */
	if (rule->row->variant == 1)
		code -= code >= 500 ? 100 : 0;
	answer_refuse(a, out, VERDICT_REFUSE, code, "5.7.1", "<%s>: Relay access denied", a->recipient);
}

void check_relay_domains(const struct rule *rule, struct access *a, struct answer *out)
{
	if (!a->recipient)
		return;
	if (authorised(a, out))
		out->verdict = VERDICT_PERMIT;
	else if (out->verdict == VERDICT_DUNNO)
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->relay_domains_reject_code, "5.7.1",
			"<%s>: %s rejected: Relay access denied", a->recipient, recipient_class);
}
