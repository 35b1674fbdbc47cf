#include "base/clock.h"
#include "mail/address.h"
#include "verify/verify.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW (1700000000 * US_PER_SEC)

static const char *sender_of(const struct config *cfg, int64_t now_us, struct buf *out)
{
	buf_clear(out);
	verify_sender(cfg, now_us, out);
	return buf_cstr(out);
}

static void test_fixed(void **state)
{
	struct config cfg = {.address_verify_sender = "double-bounce", .myorigin = "a.example"};
	struct buf out = BUF(2 * ADDRESS_MAX);

	assert_string_equal(sender_of(&cfg, NOW, &out), "double-bounce@a.example");
	assert_true(verify_is_sender(&cfg, "Double-Bounce@A.example", NOW));
	assert_false(verify_is_sender(&cfg, "double-bounce", NOW));
	assert_false(verify_is_sender(&cfg, "", NOW));
	cfg.address_verify_sender = "probe@b.example";
	assert_string_equal(sender_of(&cfg, NOW, &out), "probe@b.example");
	cfg.address_verify_sender = "<>";
	assert_string_equal(sender_of(&cfg, NOW, &out), "");
	assert_false(verify_is_sender(&cfg, "", NOW));
	cfg.address_verify_sender = "";
	assert_string_equal(sender_of(&cfg, NOW, &out), "");
	buf_free(&out);
}

/* The address changes with the time; the one before and the one after are still known. */
static void test_with_time(void **state)
{
	struct config cfg = {
		.address_verify_sender = "db", .myorigin = "a.example", .address_verify_sender_ttl = 3600};
	const int64_t hour = 3600 * US_PER_SEC;
	struct buf now = BUF(2 * ADDRESS_MAX), later = BUF(2 * ADDRESS_MAX);

	sender_of(&cfg, NOW, &now);
	sender_of(&cfg, NOW + hour, &later);
	assert_string_not_equal(buf_cstr(&now), buf_cstr(&later));
	assert_true(str_starts(buf_slice(&now), STR("db")));
	assert_true(str_ends(buf_slice(&now), STR("@a.example")));
	assert_int_equal(now.len, strlen("db@a.example") + 7);
	assert_true(verify_is_sender(&cfg, buf_cstr(&now), NOW));
	assert_true(verify_is_sender(&cfg, buf_cstr(&now), NOW + hour));
	assert_true(verify_is_sender(&cfg, buf_cstr(&now), NOW - hour));
	assert_false(verify_is_sender(&cfg, buf_cstr(&now), NOW + 2 * hour));
	assert_false(verify_is_sender(&cfg, "db@a.example", NOW));
	buf_free(&now);
	buf_free(&later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
