#include <ctype.h>

#include "base/clock.h"
#include "bounce/bounce_private.h"

/* mail_name as part of a field name. */
static const char *field_name(struct report *r)
{
	char *name = pool_strdup(cleanup_pool(r->out), r->env->cfg->mail_name);

	for (char *p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '-')
			*p = '-';
	return name;
}

static const char *address_type(const struct report *r, const char *address)
{
	if (r->utf8)
		for (const char *p = address; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				return "utf-8";
	return "rfc822";
}

static void date_field(struct report *r, const char *name, int64_t when_us)
{
	char date[64];

	bounce_line(r, "%s: %s", name, clock_rfc5322(when_us, date, sizeof(date)));
}

static void message_fields(struct report *r)
{
	const char *name = field_name(r), *sender = bounce_address(r, r->e->sender);

	bounce_line(r, "Reporting-MTA: dns; %s", r->env->cfg->myhostname);
	if (r->e->envid != NULL)
		bounce_folded(r, "Original-Envelope-Id: %s", r->e->envid);
	bounce_line(r, "X-%s-Queue-ID: %s", name, report_message_id(r));
	bounce_line(r, "X-%s-Sender: %s; %s", name, address_type(r, sender), sender);
	date_field(r, "Arrival-Date", r->e->arrival_us);
}

static const char *action_name(const struct report *r, const struct dsn *d)
{
	if (r->kind == BOUNCE_STATUS && (r->e->flags & ENVELOPE_PROBE))
		return dsn_probe_status(d ? d->action : DSN_DELAYED);
	if (r->kind == BOUNCE_FAILURE)
		return dsn_action_name(DSN_FAILED);
	if (r->kind == BOUNCE_DELAY)
		return dsn_action_name(DSN_DELAYED);
	return dsn_action_name(d ? d->action : DSN_DELIVERED);
}

/* RFC 3461 section 5.2.1: what the client gave as ORCPT, else the address it gave. */
static void original_recipient(struct report *r, const struct spool_recipient *rcpt)
{
	const char *address = rcpt->original ? rcpt->original : rcpt->address;

	if (rcpt->orcpt != NULL && !str_starts(str_c(rcpt->orcpt), STR("rfc822;"))) {
		bounce_line(r, "Original-Recipient: %s", rcpt->orcpt);
		return;
	}
	address = rcpt->orcpt != NULL ? rcpt->orcpt + strlen("rfc822;") : bounce_address(r, address);
	bounce_line(r, "Original-Recipient: %s;%s", address_type(r, address), address);
}

static void diagnostic(struct report *r, const struct dsn *d)
{
	if (d->mta_name != NULL)
		bounce_line(r, "Remote-MTA: %s; %s", d->mta_type ? d->mta_type : "dns", d->mta_name);
	if (d->diag_text != NULL)
		bounce_folded(
			r, "Diagnostic-Code: %s; %s", d->diag_type ? d->diag_type : "smtp", d->diag_text);
	else
		bounce_folded(r, "Diagnostic-Code: X-%s; %s", field_name(r), d->reason ? d->reason : "");
}

static void recipient_fields(struct report *r, const struct spool_recipient *rcpt)
{
	const char *address = bounce_address(r, rcpt->address);
	const char *status = rcpt->last ? rcpt->last->status : r->kind == BOUNCE_FAILURE ? "5.0.0" : "4.0.0";

	bounce_line(r, "%s", "");
	bounce_line(r, "Final-Recipient: %s; %s", address_type(r, address), address);
	original_recipient(r, rcpt);
	bounce_line(r, "Action: %s", action_name(r, rcpt->last));
	bounce_line(r, "Status: %s", status);
	if (rcpt->last != NULL)
		diagnostic(r, rcpt->last);
	if (r->kind == BOUNCE_DELAY)
		date_field(r, "Will-Retry-Until",
			r->e->arrival_us + r->env->cfg->maximal_queue_lifetime * US_PER_SEC);
}

void bounce_status(struct report *r)
{
	message_fields(r);
	for (size_t i = 0; i < r->count; i++)
		recipient_fields(r, &r->e->recipients[r->indexes[i]]);
}
