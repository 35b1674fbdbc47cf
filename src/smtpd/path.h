/* Paths of MAIL, RCPT and VRFY. */
#ifndef SMTPD_PATH_H
#define SMTPD_PATH_H

#include "base/str.h"

struct session;

/* Besides the PATH_ bits of mail/address.h: nothing may follow the path, and it needs no < > (VRFY). */
#define PATH_ALONE 0x10000

/* "FROM:" or "TO:" at the start of *rest, in any case, is taken off; false: it is not there, or nothing
 * follows it. */
bool path_keyword(struct str *rest, const char *keyword);
/* Takes a path off *rest: its internal form in the scratch pool, or NULL with a warning logged. flags: PATH_
 * bits added to those of the configuration. */
const char *path_parse(struct session *s, const char *verb, struct str *rest, int flags);
/* strict_smtputf8: false, with a reply, for an address beyond ASCII without SMTPUTF8. */
bool path_may_be_utf8(struct session *s, const char *address, bool declared);
/* Whether SMTPUTF8 is among the words after the command, and in force. */
bool path_wants_utf8(struct session *s, struct str rest);

#endif
