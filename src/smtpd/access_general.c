/* Checks that look at no particular name. */
#include "base/stream.h"
#include "smtpd/access.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#include <time.h>

void check_permit(const struct rule *rule, struct access *a, struct answer *out)
{
	out->verdict = VERDICT_PERMIT;
}

void check_reject(const struct rule *rule, struct access *a, struct answer *out)
{
	answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->reject_code, "5.7.1",
		"<%s>: %s rejected: Access denied", a->subject, a->subject_class);
}

void check_defer(const struct rule *rule, struct access *a, struct answer *out)
{
	answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->defer_code, "4.3.2",
		"<%s>: %s rejected: Try again later", a->subject, a->subject_class);
}

void check_defer_if_permit(const struct rule *rule, struct access *a, struct answer *out)
{
	answer_refuse(a, out, VERDICT_DEFER_IF_PERMIT, 450, "4.7.0",
		"<%s>: %s rejected: defer_if_permit requested", a->subject, a->subject_class);
}

void check_defer_if_reject(const struct rule *rule, struct access *a, struct answer *out)
{
	answer_refuse(a, out, VERDICT_DEFER_IF_REJECT, 450, "4.7.0",
		"<%s>: %s rejected: defer_if_reject requested", a->subject, a->subject_class);
}

void check_sleep(const struct rule *rule, struct access *a, struct answer *out)
{
	struct timespec left = {.tv_sec = rule->seconds};

	while (nanosleep(&left, &left) != 0)
		continue;
}

void check_plaintext(const struct rule *rule, struct access *a, struct answer *out)
{
	if (!a->session->tls)
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->plaintext_reject_code, "4.7.1",
			"Session encryption is required");
}

void check_pipelining(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->session->bad_pipelining)
		answer_refuse(a, out, VERDICT_REFUSE, 503, "5.5.0",
			"<%s>: %s rejected: Improper use of SMTP command pipelining", a->subject,
			a->subject_class);
}

void check_multi_recipient_bounce(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct transaction *tx = a->session->tx;
	size_t recipients;

	if (!tx || *tx->sender)
		return;
	/* At RCPT the recipient under test is not counted yet. */
	recipients = tx->recipients + (a->stage == STAGE_RCPT);
	if (recipients > 1)
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->multi_recipient_bounce_reject_code,
			"5.5.3", "<%s>: %s rejected: Multi-recipient bounce", a->subject, a->subject_class);
}
