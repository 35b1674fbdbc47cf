/* What of a session may stand in replies that a template makes (smtpd_expansion_filter). */
#ifndef SMTPD_EXPANSION_H
#define SMTPD_EXPANSION_H

#include "base/str.h"

/* The bytes that may. */
struct expansion_filter {
	bool allowed[256];
};

/* text: the characters, with the escapes of C: \t, \n, \\, \040. */
void expansion_filter_parse(struct expansion_filter *f, const char *text);
/* Each other byte becomes an underscore. */
void expansion_filter_apply(const struct expansion_filter *f, char *text);

#endif
