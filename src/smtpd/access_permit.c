/* smtpd_log_access_permit_actions: what let somebody in. */
#include "smtpd/access.h"
#include "smtpd/session.h"

static bool is_wanted(const struct access *a, const char *action)
{
	return !a->silent && named_list_has(&a->session->server->log_permits, str_c(action));
}

void access_log_permit(struct access *a, const char *action, const char *subject_class, const char *subject,
	const char *table)
{
	if (is_wanted(a, action))
		access_log(a, "permit",
			pool_printf(a->pool, "action=%s for %s=%s %s%s", action, subject_class, subject,
				table ? "from " : "", table ? table : ""));
}

/* Tables and policy servers name their own actions. */
void access_log_permitted(struct access *a, const struct rule *rule)
{
	access_check *check = rule->row->check;

	if (rule->row->argument == ARG_TABLE || rule->row->argument == ARG_CERTIFICATE_TABLE ||
		rule->row->argument == ARG_POLICY)
		return;
	if (check == check_permit)
		access_log_permit(a, rule->name, a->subject_class, a->subject, NULL);
	else if (check == check_auth_destination || check == check_relay_domains || check == check_mx_backup)
		access_log_permit(a, rule->name, "Recipient address", a->recipient ? a->recipient : "", NULL);
	else if (check == check_naked_address)
		access_log_permit(
			a, rule->name, "Helo command", a->session->helo ? a->session->helo : "", NULL);
	else
		access_log_permit(a, rule->name, "Client host", a->session->client.text, NULL);
}
