/* The sender of probes. A part of it may change with the time, so that what harvesters of addresses find is
 * soon nobody's. */
#include "base/clock.h"
#include "mail/address.h"
#include "verify/verify.h"

static const char digits[] = "0123456789abcdefghijklmnopqrstuv";

/* The number of the period in base 32, mixed so that neighbours do not look alike. */
static void put_period(struct buf *out, uint64_t period)
{
	uint32_t mixed = (uint32_t)period * 2654435761u;

	mixed ^= mixed >> 15;
	for (int i = 0; i < 7; i++, mixed >>= 5)
		buf_putc(out, digits[mixed & 31]);
}

static void make_sender(const struct config *cfg, uint64_t period, struct buf *out)
{
	struct str sender = str_trim(str_c(cfg->address_verify_sender)), local = sender, domain;
	ptrdiff_t at = str_rfind(sender, '@');

	if (sender.n == 0 || str_is(sender, "<>"))
		return;
	domain = at < 0 ? str_c(cfg->myorigin) : str_from(sender, (size_t)at + 1);
	if (at >= 0)
		local = str_first(sender, (size_t)at);
	buf_str(out, local);
	if (cfg->address_verify_sender_ttl > 0)
		put_period(out, period);
	buf_putc(out, '@');
	buf_str(out, domain);
}

static uint64_t period_of(const struct config *cfg, int64_t now_us)
{
	int ttl = cfg->address_verify_sender_ttl;

	return ttl > 0 ? (uint64_t)(now_us / US_PER_SEC / ttl) : 0;
}

void verify_sender(const struct config *cfg, int64_t now_us, struct buf *out)
{
	make_sender(cfg, period_of(cfg, now_us), out);
}

bool verify_is_sender(const struct config *cfg, const char *address, int64_t now_us)
{
	struct buf sender = BUF(2 * ADDRESS_MAX);
	uint64_t period = period_of(cfg, now_us);
	bool same = false;

	for (int i = -1; i <= 1 && !same; i++) {
		buf_clear(&sender);
		make_sender(cfg, period + (uint64_t)i, &sender);
		same = sender.len > 0 && str_case_is(buf_slice(&sender), address);
	}
	buf_free(&sender);
	return same;
}
