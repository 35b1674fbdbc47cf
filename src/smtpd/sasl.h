/* AUTH's back end: one link per slot, served to one session after the other. */
#ifndef SMTPD_SASL_H
#define SMTPD_SASL_H

#include "base/err.h"
#include "base/str.h"

struct session;
struct sasl_server;

/* The slot's server made ready for this session; NULL with err. */
struct sasl_server *sasl_for_session(struct session *s, struct err *err);
/* smtpd_sasl_mechanism_filter. */
bool sasl_may_be_used(struct session *s, struct str mechanism);
/* "PLAIN LOGIN"; NULL with a warning logged: the back end is out of reach. */
const char *sasl_offered_mechanisms(struct session *s);

#endif
