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
/* A row of a command's attributes. set takes one over into `to`; false: replied to. */
struct proxied_attribute {
	const char *name; /* NULL: the end of the table */
	bool (*set)(struct session *s, const struct proxied *p, void *to);
};
/* Takes all attributes of the command over into `to`. false: replied to, one is none of the table or makes no
 * sense. */
bool proxied_take(struct session *s, const char *verb, const struct proxied_attribute *table, struct str rest,
	void *to);
bool proxied_bad_syntax(struct session *s, const struct proxied *p); /* replies; false */
/* "192.0.2.1", "IPV6:2001:db8::1". */
bool proxied_address(const char *value, struct net_addr *out);
bool proxied_port(const char *value, uint16_t *out);

#endif
