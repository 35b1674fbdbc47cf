#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sys.h"
#include "ipc/delivery.h"

static struct cursor fields_of(const struct buf *b, uint16_t wanted)
{
	struct cursor fields = {0};
	uint16_t type = 0;
	size_t used = 0;

	assert_int_equal(frame_parse(buf_slice(b), &type, &fields, &used), 1);
	assert_int_equal(type, wanted);
	assert_int_equal(used, b->len);
	return fields;
}

static void test_hello(void **state)
{
	struct buf b = BUF(1000);
	struct agent_hello h = {100, 4711}, got;

	agent_hello_encode(&b, &h);
	assert_true(agent_hello_decode(fields_of(&b, FRAME_AGENT_HELLO), &got));
	assert_int_equal(got.slots, 100);
	assert_int_equal(got.pid, 4711);
	buf_free(&b);
}

static void encode_request(struct buf *b)
{
	struct spool_attribute attributes[] = {{"client_name", "c.example"}, {"sasl_username", ""}};
	struct delivery_recipient recipients[] = {{3, "a@example.com", NULL, NULL, 0},
		{9, "b@example.com", "B@example.com", "rfc822;b@example.com",
			NOTIFY_SUCCESS | NOTIFY_FAILURE}};
	struct delivery_request r = {.id = UINT64_MAX,
		.qid = {"6420000000001"},
		.queue = QUEUE_DEFERRED,
		.transport = "smtp",
		.nexthop = "example.com",
		.sender = "",
		.ret = RET_FULL,
		.flags = ENVELOPE_SMTPUTF8 | ENVELOPE_LOCAL,
		.content_size = 12345,
		.arrival_us = 1,
		.active_us = 2,
		.request_us = 3,
		.busy_destination = true,
		.attributes = attributes,
		.attribute_count = 2,
		.recipients = recipients,
		.recipient_count = 2};

	delivery_request_encode(b, &r);
}

static void test_request(void **state)
{
	struct buf b = BUF(FRAME_MAX);
	struct pool *pool = pool_new(1024);
	struct delivery_request r;

	encode_request(&b);
	assert_true(delivery_request_decode(fields_of(&b, FRAME_DELIVER), pool, &r));
	assert_true(r.id == UINT64_MAX);
	assert_string_equal(r.qid.text, "6420000000001");
	assert_int_equal(r.queue, QUEUE_DEFERRED);
	assert_string_equal(r.transport, "smtp");
	assert_string_equal(r.nexthop, "example.com");
	assert_string_equal(r.sender, "");
	assert_null(r.envid);
	assert_int_equal(r.ret, RET_FULL);
	assert_int_equal(r.flags, ENVELOPE_SMTPUTF8 | ENVELOPE_LOCAL);
	assert_int_equal(r.content_size, 12345);
	assert_int_equal(r.arrival_us, 1);
	assert_int_equal(r.active_us, 2);
	assert_int_equal(r.request_us, 3);
	assert_false(r.final_attempt);
	assert_true(r.busy_destination);
	assert_int_equal(r.attribute_count, 2);
	assert_string_equal(r.attributes[1].value, "");
	assert_int_equal(r.recipient_count, 2);
	assert_int_equal(r.recipients[0].index, 3);
	assert_null(r.recipients[0].orcpt);
	assert_string_equal(r.recipients[1].original, "B@example.com");
	assert_int_equal(r.recipients[1].notify, NOTIFY_SUCCESS | NOTIFY_FAILURE);
	pool_free(&pool);
	buf_free(&b);
}

static void test_result(void **state)
{
	struct buf b = BUF(FRAME_MAX);
	struct pool *pool = pool_new(1024);
	struct dsn *sent = dsn_make(pool, DSN_RELAYED, "2.0.0", "sent (250 ok)");
	struct dsn *down = dsn_make(pool, DSN_DELAYED, "4.4.1", "no route");
	struct delivery_outcome outcomes[] = {{7, sent}, {8, NULL, "lmtp", "unix:x"}};
	struct delivery_result r = {.id = 5, .trouble = down, .outcomes = outcomes, .outcome_count = 2}, got;

	sent->mta_type = "dns";
	sent->mta_name = "mx.example.com";
	delivery_result_encode(&b, &r);
	assert_true(delivery_result_decode(fields_of(&b, FRAME_RESULT), pool, &got));
	assert_int_equal(got.id, 5);
	assert_false(got.corrupt);
	assert_int_equal(got.trouble->action, DSN_DELAYED);
	assert_string_equal(got.trouble->reason, "no route");
	assert_int_equal(got.outcome_count, 2);
	assert_null(got.outcomes[1].dsn);
	assert_string_equal(got.outcomes[1].transport, "lmtp");
	assert_string_equal(got.outcomes[1].nexthop, "unix:x");
	assert_int_equal(got.outcomes[0].index, 7);
	assert_string_equal(got.outcomes[0].dsn->status, "2.0.0");
	assert_string_equal(got.outcomes[0].dsn->mta_name, "mx.example.com");
	assert_null(got.outcomes[0].dsn->diag_text);
	pool_free(&pool);
	buf_free(&b);
}

/* Every byte of a request changed to several values: decoded or refused, never a bad read (run under a
 * sanitizer). */
static void test_damaged_request(void **state)
{
	static const unsigned char values[] = {0, 1, 0x7f, 0xff};
	struct buf b = BUF(FRAME_MAX);
	struct delivery_request r;
	struct cursor fields;
	uint16_t type;
	size_t used;

	encode_request(&b);
	for (size_t at = 6; at < b.len; at++) {
		char was = b.data[at];

		for (size_t v = 0; v < sizeof(values); v++) {
			struct pool *pool = pool_new(1024);

			b.data[at] = (char)values[v];
			assert_int_equal(frame_parse(buf_slice(&b), &type, &fields, &used), 1);
			if (delivery_request_decode(fields, pool, &r))
				for (size_t i = 0; i < r.recipient_count; i++)
					assert_non_null(r.recipients[i].address);
			pool_free(&pool);
		}
		b.data[at] = was;
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_damaged_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
