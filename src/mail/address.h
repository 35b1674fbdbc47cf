/*
 * Addresses of the envelope (RFC 5321 section 4.1.2) in two forms. External: as on the wire, local part
 * quoted where needed. Internal: local part without quoting, which is what tables, logs and the queue file
 * hold. The null address is "".
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/buf.h"
#include "base/err.h"

#define ADDRESS_MAX 1000 /* bytes of an internal address; longer is refused everywhere */

enum {
	PATH_STRICT = 1,  /* strict_rfc821_envelopes: <> required, no comments or phrases */
	PATH_NULL_OK = 2, /* <> allowed (MAIL FROM) */
	PATH_UTF8 = 4,	  /* SMTPUTF8 in force: bytes >= 0x80 must be valid UTF-8; without it they are refused
			     when strict */
	PATH_POSTMASTER = 8,   /* <Postmaster> without domain is allowed even where a domain is required */
	PATH_NULL_DOMAIN = 16, /* "user@" is allowed: resolve_null_domain */
	PATH_NUMERIC = 32,     /* "user@192.0.2.1" is allowed: resolve_numeric_domain */
	PATH_SHORT_DOMAIN = 64 /* a domain without dots is the caller's to judge: append_dot_mydomain */
};

/*
 * Takes one path off *rest (the text after "FROM:" or "TO:", leading blanks allowed) and appends its internal
 * form to `internal`. A source route is dropped (RFC 5321 appendix C). What follows the path stays in *rest.
 * false: syntax, err says what.
 */
bool address_parse_path(struct str *rest, int flags, struct buf *internal, struct err *err);
/* Internal to external form: quotes the local part if it is not a dot-string. */
bool address_quote(struct str internal, struct buf *external);
/* External to internal: quotes and backslashes taken off. */
void address_unquote(struct str external, struct buf *internal);
/* Index of the @ that starts the domain of an internal address, or -1. */
ptrdiff_t address_at(struct str internal);
struct str address_local(struct str internal);
struct str address_domain(struct str internal); /* without @; empty when there is none */
/* Splits "user+ext": index of the first byte of delimiters in the local part (not at 0), or -1; special names
 * and owner- forms are never split. */
ptrdiff_t address_extension(struct str local, const char *delimiters);
/* The same with owner-list and list-request like other names (owner_request_special = no). */
ptrdiff_t address_extension_of_any(struct str local, const char *delimiters);
/* Host name syntax of valid_hostname: labels of letters, digits, '-', '_' (not first or last '-'), at most 63
 * each, 255 together, not all numeric. */
bool address_valid_hostname(struct str name);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
bool address_valid_literal(struct str literal);
bool address_valid_domain(struct str domain); /* either of the two */

/* RFC 3461 xtext; a bare "=" is decoded too, since there are clients that send it. Decoding fails on
 * malformed input and on NUL, CR, LF. */
bool xtext_decode(struct str in, struct buf *out);
void xtext_encode(struct str in, struct buf *out);

#endif
