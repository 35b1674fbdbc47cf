/* The start of a session: who is it, may it, and the greeting. */
#ifndef SMTPD_GREETING_H
#define SMTPD_GREETING_H

struct session;

/* From the new connection to the greeting, in a slot. What goes wrong is replied to and ends the session
 * (hangup). */
void greeting_open(struct session *s);
/* Access control of the client and the banner; where: "CONNECT", "XCLIENT". */
void greeting_send(struct session *s, const char *where);

#endif
