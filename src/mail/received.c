#include "mail/received.h"

#include "base/clock.h"
#include "mail/address.h"
#include <inttypes.h>
#include <time.h>

/* The "from" clause (RFC 5321 section 4.4), or who submitted it locally. */
static void received_from(const struct received *r, struct buf *out)
{
	if (!r->helo) {
		buf_puts(out, "Received: ");
		return;
	}
	buf_printf(out, "Received: from %s (%s [%s%s])\r\n", *r->helo ? r->helo : "unknown", r->client_name,
		r->client_is_ipv6 ? "IPv6:" : "", r->client_address);
	if (r->tls_text)
		buf_printf(out, "\t(%s)\r\n", r->tls_text);
	if (r->sasl_username)
		buf_printf(out, "\t(Authenticated sender: %s)\r\n", r->sasl_username);
	buf_puts(out, "\t");
}

static void received_by(const struct received *r, struct buf *out)
{
	buf_printf(out, "by %s (%s", r->my_name, r->mail_name);
	if (r->uid >= 0)
		buf_printf(out, ", from userid %d", r->uid);
	buf_puts(out, ")");
	if (r->protocol)
		buf_printf(out, " with %s", r->protocol);
	if (r->queue_id)
		buf_printf(out, "%sid %s", !r->protocol ? "\r\n\t" : " ", r->queue_id);
}

void received_format(const struct received *r, struct buf *out)
{
	char date[64];

	received_from(r, out);
	received_by(r, out);
	clock_rfc5322(r->when_us, date, sizeof(date));
	if (r->for_recipient) {
		buf_puts(out, "\r\n\tfor <");
		address_quote(str_c(r->for_recipient), out);
		buf_printf(out, ">; %s\r\n", date);
	} else {
		buf_printf(out, ";%s%s\r\n", r->protocol ? "\r\n\t" : " ", date);
	}
}

void message_id_make(const char *queue_id, const char *host, int64_t when_us, struct buf *out)
{
	time_t seconds = (time_t)(when_us / US_PER_SEC);
	struct tm tm;
	char stamp[32];

	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
	buf_printf(out, "<%s.%s@%s>", stamp, queue_id, host);
}
