#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

bool cmd_rset(struct session *s, struct str rest)
{
	if (rest.n > 0) {
		reply(s, "501 5.5.4 Syntax: RSET");
		return false;
	}
	notify_flush(s);
	transaction_end(s);
	reply(s, "250 2.0.0 Ok");
	return true;
}
