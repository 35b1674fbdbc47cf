/* The restrictions by name. Where a name stands in a list it is called with what is known there; without its
 * facts it has no opinion. */
#include "smtpd/access.h"

static const struct restriction restrictions[] = {
	{"permit", check_permit, ARG_NONE, 0, false},
	{"reject", check_reject, ARG_NONE, 0, true},
	{"defer", check_defer, ARG_NONE, 0, true},
	{"defer_if_permit", check_defer_if_permit, ARG_NONE, 0, true},
	{"defer_if_reject", check_defer_if_reject, ARG_NONE, 0, false},
	{"warn_if_reject", NULL, ARG_NONE, 0, false},
	{"check_policy_service", check_policy, ARG_POLICY, 0, false},
	{"sleep", check_sleep, ARG_SECONDS, 0, false},
	{"reject_plaintext_session", check_plaintext, ARG_NONE, 0, false},
	{"reject_unauth_pipelining", check_pipelining, ARG_NONE, 0, false},
	{"reject_multi_recipient_bounce", check_multi_recipient_bounce, ARG_NONE, 0, false},
	/* client */
	{"permit_mynetworks", check_mynetworks, ARG_NONE, 0, false},
	{"permit_inet_interfaces", check_inet_interfaces, ARG_NONE, 0, false},
	{"permit_sasl_authenticated", check_sasl_authenticated, ARG_NONE, 0, false},
	{"reject_unknown_client_hostname", check_unknown_client, ARG_NONE, 0, false},
	{"reject_unknown_client", check_unknown_client, ARG_NONE, 0, false},
	{"reject_unknown_reverse_client_hostname", check_unknown_reverse_client, ARG_NONE, 0, false},
	{"check_client_access", check_client_access, ARG_TABLE, 0, false},
	{"check_reverse_client_hostname_access", check_reverse_client_access, ARG_TABLE, 0, false},
	{"check_address_map", check_address_map, ARG_TABLE, 0, false},
	/* HELO */
	{"reject_invalid_helo_hostname", check_invalid_helo, ARG_NONE, 0, false},
	{"reject_invalid_hostname", check_invalid_helo, ARG_NONE, 0, false},
	{"reject_non_fqdn_helo_hostname", check_non_fqdn_helo, ARG_NONE, 0, false},
	{"reject_non_fqdn_hostname", check_non_fqdn_helo, ARG_NONE, 0, false},
	{"reject_unknown_helo_hostname", check_unknown_helo, ARG_NONE, 0, false},
	{"reject_unknown_hostname", check_unknown_helo, ARG_NONE, 0, false},
	{"permit_naked_ip_address", check_naked_address, ARG_NONE, 0, false},
	{"check_helo_access", check_helo_access, ARG_TABLE, 0, false},
	/* sender */
	{"reject_non_fqdn_sender", check_non_fqdn_sender, ARG_NONE, 0, false},
	{"reject_unknown_sender_domain", check_unknown_sender_domain, ARG_NONE, 0, false},
	{"reject_unknown_address", check_unknown_sender_domain, ARG_NONE, 0, false},
	{"reject_unlisted_sender", check_unlisted_sender, ARG_NONE, 0, false},
	{"reject_unverified_sender", check_unverified_sender, ARG_NONE, 0, false},
	{"check_sender_access", check_sender_access, ARG_TABLE, 0, false},
	/* recipient */
	{"reject_non_fqdn_recipient", check_non_fqdn_recipient, ARG_NONE, 0, false},
	{"reject_unknown_recipient_domain", check_unknown_recipient_domain, ARG_NONE, 0, false},
	{"reject_unlisted_recipient", check_unlisted_recipient, ARG_NONE, 0, false},
	{"reject_unverified_recipient", check_unverified_recipient, ARG_NONE, 0, false},
	{"check_recipient_maps", check_unlisted_recipient, ARG_NONE, 0, false},
	{"check_recipient_access", check_recipient_access, ARG_TABLE, 0, false},
	{"permit_auth_destination", check_auth_destination, ARG_NONE, 0, false},
	{"reject_unauth_destination", check_unauth_destination, ARG_NONE, 0, true},
	{"defer_unauth_destination", check_unauth_destination, ARG_NONE, 1, true},
	{"check_relay_domains", check_relay_domains, ARG_NONE, 0, true},
	{"permit_mx_backup", check_mx_backup, ARG_NONE, 0, false},
	/* hosts behind names */
	{"check_client_mx_access", check_hosts_access, ARG_TABLE, HOSTS_OF_CLIENT << HOSTS_SHIFT | HOSTS_MX,
		false},
	{"check_client_ns_access", check_hosts_access, ARG_TABLE, HOSTS_OF_CLIENT << HOSTS_SHIFT | HOSTS_NS,
		false},
	{"check_client_a_access", check_hosts_access, ARG_TABLE, HOSTS_OF_CLIENT << HOSTS_SHIFT | HOSTS_A,
		false},
	{"check_reverse_client_hostname_mx_access", check_hosts_access, ARG_TABLE,
		HOSTS_OF_REVERSE_CLIENT << HOSTS_SHIFT | HOSTS_MX, false},
	{"check_reverse_client_hostname_ns_access", check_hosts_access, ARG_TABLE,
		HOSTS_OF_REVERSE_CLIENT << HOSTS_SHIFT | HOSTS_NS, false},
	{"check_reverse_client_hostname_a_access", check_hosts_access, ARG_TABLE,
		HOSTS_OF_REVERSE_CLIENT << HOSTS_SHIFT | HOSTS_A, false},
	{"check_helo_mx_access", check_hosts_access, ARG_TABLE, HOSTS_OF_HELO << HOSTS_SHIFT | HOSTS_MX,
		false},
	{"check_helo_ns_access", check_hosts_access, ARG_TABLE, HOSTS_OF_HELO << HOSTS_SHIFT | HOSTS_NS,
		false},
	{"check_helo_a_access", check_hosts_access, ARG_TABLE, HOSTS_OF_HELO << HOSTS_SHIFT | HOSTS_A, false},
	{"check_sender_mx_access", check_hosts_access, ARG_TABLE, HOSTS_OF_SENDER << HOSTS_SHIFT | HOSTS_MX,
		false},
	{"check_sender_ns_access", check_hosts_access, ARG_TABLE, HOSTS_OF_SENDER << HOSTS_SHIFT | HOSTS_NS,
		false},
	{"check_sender_a_access", check_hosts_access, ARG_TABLE, HOSTS_OF_SENDER << HOSTS_SHIFT | HOSTS_A,
		false},
	{"check_recipient_mx_access", check_hosts_access, ARG_TABLE,
		HOSTS_OF_RECIPIENT << HOSTS_SHIFT | HOSTS_MX, false},
	{"check_recipient_ns_access", check_hosts_access, ARG_TABLE,
		HOSTS_OF_RECIPIENT << HOSTS_SHIFT | HOSTS_NS, false},
	{"check_recipient_a_access", check_hosts_access, ARG_TABLE,
		HOSTS_OF_RECIPIENT << HOSTS_SHIFT | HOSTS_A, false},
	/* lists in the DNS */
	{"reject_rbl_client", check_rbl_client, ARG_WORD, 0, false},
	{"reject_rbl", check_rbl_client, ARG_WORD, 0, false},
	{"reject_maps_rbl", check_maps_rbl, ARG_NONE, 0, false},
	{"reject_rhsbl_client", check_rhsbl_client, ARG_WORD, 0, false},
	{"reject_rhsbl_reverse_client", check_rhsbl_reverse_client, ARG_WORD, 0, false},
	{"reject_rhsbl_helo", check_rhsbl_helo, ARG_WORD, 0, false},
	{"reject_rhsbl_sender", check_rhsbl_sender, ARG_WORD, 0, false},
	{"reject_rhsbl_recipient", check_rhsbl_recipient, ARG_WORD, 0, false},
	{"permit_dnswl_client", check_dnswl_client, ARG_WORD, 0, false},
	{"permit_rhswl_client", check_rhswl_client, ARG_WORD, 0, false},
	/* logins and certificates */
	{"reject_sender_login_mismatch", check_sender_login, ARG_NONE, LOGIN_KNOWN | LOGIN_UNKNOWN, false},
	{"reject_known_sender_login_mismatch", check_sender_login, ARG_NONE,
		LOGIN_KNOWN | LOGIN_UNKNOWN | LOGIN_OWNED, false},
	{"reject_authenticated_sender_login_mismatch", check_sender_login, ARG_NONE, LOGIN_KNOWN, false},
	{"reject_unauthenticated_sender_login_mismatch", check_sender_login, ARG_NONE, LOGIN_UNKNOWN, false},
	{"permit_tls_all_clientcerts", check_trusted_certificate, ARG_NONE, 0, false},
	{"permit_tls_clientcerts", check_known_certificate, ARG_NONE, 0, false},
	{"check_ccert_access", check_certificate_access, ARG_CERTIFICATE_TABLE, 0, false},
	/* ETRN */
	{"check_etrn_access", check_etrn_access, ARG_TABLE, 0, false},
};

const struct restriction *access_find(struct str name)
{
	for (size_t i = 0; i < sizeof(restrictions) / sizeof(restrictions[0]); i++)
		if (str_case_is(name, restrictions[i].name))
			return &restrictions[i];
	return NULL;
}

const struct restriction *access_table_check(enum access_stage stage)
{
	static const char *const names[STAGE_COUNT] = {[STAGE_CLIENT] = "check_client_access",
		[STAGE_HELO] = "check_helo_access",
		[STAGE_MAIL] = "check_sender_access",
		[STAGE_RCPT] = "check_recipient_access",
		[STAGE_ETRN] = "check_etrn_access"};

	return names[stage] ? access_find(str_c(names[stage])) : NULL;
}
