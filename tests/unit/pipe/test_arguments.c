#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pwd.h>
#include <unistd.h>

#include "pipe/pipe.h"

#define WORDS 12

/* Words separated by '|'. */
static bool parse(struct pool *pool, const char *text, struct pipe_attributes *a, struct err *err)
{
	char **words = pool_alloc(pool, (WORDS + 1) * sizeof(*words));
	struct str rest = str_c(text), word;
	size_t n = 0;

	while (n < WORDS && str_word(&rest, "|", &word))
		words[n++] = pool_strndup(pool, word.p, word.n);
	return pipe_attributes_parse(words, "root", pool, a, err);
}

static void test_attributes(void **state)
{
	struct pool *pool = pool_new(1024);
	struct pipe_attributes a;
	struct err err = {""};

	assert_true(parse(pool,
		"flags=DRhu.>|user=nobody|eol=\\r\\n\\101\\\\|null_sender=|size=1000|directory=/d|chroot=/"
		"r|argv=/bin/x|-f|a=b",
		&a, &err));
	assert_int_equal(a.flags, PIPE_DELIVERED | PIPE_RETURN_PATH | PIPE_FOLD_HOST | PIPE_FOLD_USER |
					  PIPE_QUOTE_DOT | PIPE_QUOTE_FROM);
	assert_string_equal(a.eol, "\r\nA\\");
	assert_string_equal(a.null_sender, "");
	assert_int_equal(a.size_limit, 1000);
	assert_string_equal(a.directory, "/d");
	assert_string_equal(a.root, "/r");
	assert_string_equal(a.argv[0], "/bin/x");
	assert_string_equal(a.argv[2], "a=b");
	assert_null(a.argv[3]);
	assert_int_equal(a.uid, getpwnam("nobody")->pw_uid);
	assert_true(parse(pool, "user=nobody:games|argv=/bin/x", &a, &err));
	assert_int_equal(a.gid, 60);
	assert_string_equal(a.eol, "\n");
	assert_string_equal(a.null_sender, "MAILER-DAEMON");
	pool_free(&pool);
}

static void test_bad_attributes(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"argv=/bin/x", "missing user="},
		{"user=nobody", "missing argv="},
		{"user=nobody|argv=", "missing command"},
		{"user=root|argv=/x", "root privileges"},
		{"user=nobody:root|argv=/x", "privileged group"},
		{"user=0|argv=/x", "root privileges"},
		{"user=no-such-user|argv=/x", "unknown user"},
		{"user=nobody:no-such-group|argv=/x", "unknown group"},
		{"flags=DZ|user=nobody|argv=/x", "unknown flag: Z"},
		{"size=1k|user=nobody|argv=/x", "bad size="},
		{"size=-1|user=nobody|argv=/x", "bad size="},
		{"colour=red|user=nobody|argv=/x", "unknown attribute name: colour=red"},
		{"/bin/x|user=nobody|argv=/x", "unknown attribute name"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pool *pool = pool_new(1024);
		struct pipe_attributes a;
		struct err err = {""};

		assert_false(parse(pool, cases[i].text, &a, &err));
		if (!strstr(err.text, cases[i].wanted))
			fail_msg("%s: %s", cases[i].text, err.text);
		pool_free(&pool);
	}
}

/* The arguments joined by '|'. */
static void expect(
	const char *attributes, const char *sender, const char *const *recipients, const char *wanted)
{
	struct pool *pool = pool_new(1024);
	struct delivery_recipient r[4] = {{0}};
	struct spool_attribute client = {"client_address", "192.0.2.1"};
	struct delivery_request request = {.sender = sender,
		.nexthop = "Next.Hop",
		.qid = {"4AB"},
		.content_size = 77,
		.attributes = &client,
		.attribute_count = 1,
		.recipients = r};
	const char *const *argv;
	struct pipe_attributes a;
	struct buf got = BUF(10000);
	struct err err = {""};

	assert_true(parse(pool, attributes, &a, &err));
	for (; recipients[request.recipient_count]; request.recipient_count++)
		r[request.recipient_count].address = recipients[request.recipient_count];
	if (!pipe_expand(&a, "+", &request, pool, &argv, &err))
		buf_puts(&got, err.text);
	else
		for (; *argv; argv++)
			buf_printf(&got, "%s|", *argv);
	assert_string_equal(buf_cstr(&got), wanted);
	buf_free(&got);
	pool_free(&pool);
}

static void test_expansion(void **state)
{
	const char *const one[] = {"Joe+Ext@X.org", NULL}, *const two[] = {
								   "Joe+Ext@X.org", "a b@y.org", NULL};
	const char *const odd[] = {"+ext@x.org", "@x.org", "-rf@x.org", NULL};

	expect("user=nobody|argv=/x|-f|${sender}|--|${recipient}", "s@x", two,
		"/x|-f|s@x|--|Joe+Ext@X.org|a b@y.org|");
	expect("user=nobody|argv=/x|$user|$(extension)|${mailbox}|${domain}|$nexthop", "", one,
		"/x|Joe|Ext|Joe+Ext|X.org|Next.Hop|");
	expect("flags=hqu|user=nobody|argv=/x|$sender|$recipient|$user|$domain|$nexthop", "S p@X", two,
		"/x|\"S p\"@X|joe+ext@x.org|\"a b\"@y.org|joe|a b|x.org|y.org|next.hop|");
	expect("user=nobody|argv=/x|$sender", "", one, "/x|MAILER-DAEMON|");
	expect("user=nobody|null_sender=|argv=/x|-f|$sender|end", "", one, "/x|-f||end|");
	expect("user=nobody|argv=/x|$$a|$size|$queue_id|$client_address|[$client_helo]|x${user}y", "", two,
		"/x|$a|77|4AB|192.0.2.1|[]|xJoey|xa by|");
	expect("user=nobody|argv=/x|-u|$user|-x|$extension|-m|$mailbox", "", odd,
		"/x|-u|+ext||-rf|-x||||-m|+ext||-rf|");
	expect("user=nobody|argv=/x|$nosuch", "", one, "unknown macro name: \"nosuch\"");
	expect("user=nobody|argv=/x|$original_recipient|${extension?{has}:{none}}", "", one,
		"/x|Joe+Ext@X.org|has|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_bad_attributes),
		cmocka_unit_test(test_expansion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
