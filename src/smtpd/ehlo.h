/* The extensions that EHLO offers, and which of them are left out for a client. */
#ifndef SMTPD_EHLO_H
#define SMTPD_EHLO_H

#include "base/str.h"

struct session;

/* EHLO_ bits of a keyword list ("silent-discard, dsn"). Unknown words are passed to unknown(), which may be
 * NULL. */
unsigned ehlo_parse_keywords(const char *list, void (*unknown)(struct str word));
/* EHLO_ bits left out for the session's client. */
unsigned ehlo_hidden(struct session *s);
/* reduced: nothing but what replies look like: no mail will be taken. False: a table fails, and the client
 * was told to come back. */
bool ehlo_reply(struct session *s, bool reduced);
/* Whether AUTH is to be had now. */
bool ehlo_auth_offered(struct session *s);

#endif
