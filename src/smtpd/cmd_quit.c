#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

bool cmd_quit(struct session *s, struct str rest)
{
	transaction_end(s);
	reply(s, "221 2.0.0 Bye");
	s->hangup = true;
	return true;
}
