/* Attributes of XCLIENT and XFORWARD: NAME=value, xtext, "[UNAVAILABLE]". */
#ifndef SMTPD_PROXIED_H
#define SMTPD_PROXIED_H

#include "base/net.h"
#include "base/str.h"

struct session;

enum proxied_value { PROXIED_GIVEN, PROXIED_UNAVAILABLE, PROXIED_TEMPUNAVAIL };

/* One attribute of a command; value is decoded. */
struct proxied {
	const char *name; /* upper case */
	const char *value;
	enum proxied_value kind;
};

/* Whether the session may use the command now; otherwise it is replied to. */
bool proxied_in_order(struct session *s, const char *verb, bool allowed, struct str rest);
/* Takes the next attribute off *rest: 1, 0 at the end, -1 replied to: it is none, or none that is known. */
int proxied_next(struct session *s, const char *verb, bool (*known)(const char *name), struct str *rest,
	struct proxied *out);
bool proxied_bad_syntax(struct session *s, const struct proxied *p); /* replies; false */
/* "192.0.2.1", "IPV6:2001:db8::1". */
bool proxied_address(const char *value, struct net_addr *out);
bool proxied_port(const char *value, uint16_t *out);

#endif
