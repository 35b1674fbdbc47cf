#include "smtpd/reply.h"
#include "smtpd/session.h"

bool cmd_noop(struct session *s, struct str rest)
{
	reply(s, "250 2.0.0 Ok");
	return true;
}
