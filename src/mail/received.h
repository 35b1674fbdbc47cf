/* Header fields that the mail system itself writes, folded and with line ends CRLF. */
#ifndef MAIL_RECEIVED_H
#define MAIL_RECEIVED_H

#include "base/buf.h"

struct received {
	const char *helo;	    /* as the client said, made printable; NULL for local submission */
	const char *client_name;    /* verified name or "unknown" */
	const char *client_address; /* printed address, without "IPv6:" */
	bool client_is_ipv6;
	const char *tls_text;	   /* "using TLSv1.3 with cipher ..." or NULL */
	const char *sasl_username; /* NULL: not shown */
	const char *my_name;	   /* myhostname */
	const char *mail_name;	   /* "Postfix" */
	const char *protocol;	   /* "ESMTP", RFC 3848 */
	const char *queue_id;
	const char *for_recipient; /* internal address, only when there is one recipient; else NULL */
	int uid;		   /* local submission: "(from userid N)"; -1 otherwise */
	int64_t when_us;
};

void received_format(const struct received *r, struct buf *out);
/* "<20261120062630.4F3A21B0C7@host>" */
void message_id_make(const char *queue_id, const char *host, int64_t when_us, struct buf *out);

#endif
