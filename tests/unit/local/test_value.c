#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "local/local.h"

static const char *const kinds[] = {[TARGET_ADDRESS] = "address",
	[TARGET_COMMAND] = "command",
	[TARGET_FILE] = "file",
	[TARGET_INCLUDE] = "include"};

/* "kind text;kind text;" */
static void expect(const char *text, const char *wanted)
{
	struct pool *pool = pool_new(1024);
	struct local_targets targets = {0};
	struct buf got = BUF(10000);

	local_value_parse(pool, str_c(text), &targets);
	for (size_t i = 0; i < targets.count; i++)
		buf_printf(&got, "%s %s;", kinds[targets.list[i].kind], targets.list[i].text);
	if (strcmp(buf_cstr(&got), wanted) != 0)
		fail_msg("%s\n -> %s\n not %s", text, buf_cstr(&got), wanted);
	buf_free(&got);
	pool_free(&pool);
}

static void test_addresses(void **state)
{
	expect("", "");
	expect(" \t, ,", "");
	expect("alice", "address alice;");
	expect("alice, bob@x.org", "address alice;address bob@x.org;");
	expect("Alice Smith <alice@x.org> (a comment, with |things), bob",
		"address alice@x.org;address bob;");
	expect("\"a b\"@x.org", "address a b@x.org;");
	expect("\"|not\"@x.org", "address |not@x.org;");
	expect("\"alice\"", "address alice;");
	expect("grp: alice, bob;", "address alice;address bob;");
	expect("\\alice, \\bob@x.org", "address \\alice;address \\bob@x.org;");
	expect("owner-list", "address owner-list;");
}

static void test_commands(void **state)
{
	expect("|cmd", "command cmd;");
	expect("\"|cmd a, b | c\"", "command cmd a, b | c;");
	expect("\"| /bin/x \\\"q r\\\" \\\\n\"", "command /bin/x \"q r\" \\n;");
	expect("|cmd a", "command cmd;address a;");
	expect("alice, \"|exit 67\",bob", "address alice;command exit 67;address bob;");
	expect("|", "");
	expect("\"|\"", "");
}

static void test_files_and_includes(void **state)
{
	expect("/var/mail/x", "file /var/mail/x;");
	expect("\"/var/mail/x y\", /dir/", "file /var/mail/x y;file /dir/;");
	expect("~/box", "file ~/box;");
	expect(":include:/etc/list", "include /etc/list;");
	expect(":INCLUDE:/etc/list,a", "include /etc/list;address a;");
	expect("\":include:/etc/my list\" b", "include /etc/my list;address b;");
	expect(":include:", "");
	expect("a/b", "address a/b;");
}

static void test_what_cannot_be_read_is_left_out(void **state)
{
	struct pool *pool = pool_new(1024);
	struct local_targets targets = {0};

	expect("\"|never closed", "");
	expect("alice\n|cmd", "address alice;command cmd;");
	local_value_parse(pool, STR("/a\0b, c"), &targets);
	for (size_t i = 0; i < targets.count; i++)
		assert_int_equal(targets.list[i].kind, TARGET_ADDRESS);
	pool_free(&pool);
}

static void test_names(void **state)
{
	struct config cfg = {.recipient_delimiter = "+-", .owner_request_special = true};
	struct local_env env = {.cfg = &cfg};
	struct pool *pool = pool_new(1024);
	struct local_name n = local_name_of(&env, pool, "Joe-Bar+x@Y.org");
	struct deliver_user user = {.home = "/home/joe", .shell = "/bin/sh"};
	struct buf out = BUF(1000);
	struct err err = {""};

	assert_string_equal(n.local, "joe-bar+x");
	assert_string_equal(n.user, "joe");
	assert_string_equal(n.extension, "bar+x");
	assert_string_equal(n.delimiter, "-");
	assert_string_equal(n.domain, "Y.org");
	n = local_name_of(&env, pool, "owner-list@y.org");
	assert_string_equal(n.user, "owner-list");
	assert_string_equal(n.delimiter, "+");
	cfg.owner_request_special = false;
	n = local_name_of(&env, pool, "owner-list@y.org");
	assert_string_equal(n.user, "owner");
	n = local_name_of(&env, pool, "joe+../..;x@y.org");
	assert_true(local_names_expand("$home/.f${recipient_delimiter}${extension}${nosuch}", &n, &user,
		"abcdefghijklmnopqrstuvwxyz./+", true, &out, &err));
	assert_string_equal(buf_cstr(&out), "/home/joe/.f+.._.._x");
	buf_clear(&out);
	assert_false(local_names_expand("${user", &n, &user, NULL, true, &out, &err));
	buf_free(&out);
	pool_free(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_files_and_includes),
		cmocka_unit_test(test_what_cannot_be_read_is_left_out),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
