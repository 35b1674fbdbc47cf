#include "mail/verp.h"

#include "mail/address.h"

void verp_sender(struct str sender, const char *delimiters, struct str recipient, struct buf *out)
{
	struct str domain = address_domain(sender);

	if (sender.n == 0 || strlen(delimiters) != 2) {
		buf_str(out, sender);
		return;
	}
	buf_str(out, address_local(sender));
	buf_putc(out, delimiters[0]);
	buf_str(out, address_local(recipient));
	if (address_at(recipient) >= 0) {
		buf_putc(out, delimiters[1]);
		buf_str(out, address_domain(recipient));
	}
	if (domain.n > 0) {
		buf_putc(out, '@');
		buf_str(out, domain);
	}
}
