#include "smtpd/haproxy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char v2_head[] = "\r\n\r\n\0\r\nQUIT\n";

static void good(struct str in, const char *client, int port)
{
	struct haproxy h;
	struct err err = {""};
	char text[NET_HOST_MAX];

	assert_int_equal(haproxy_parse(in, &h, &err), in.n);
	assert_int_equal(h.has_addresses, client != NULL);
	if (client) {
		assert_string_equal(net_host(&h.client, text), client);
		assert_int_equal(net_port(&h.client), port);
	}
	/* Cut anywhere, it is not taken. */
	for (size_t n = 0; n < in.n; n++)
		if (n != 2)
			assert_int_equal(haproxy_parse(str_first(in, n), &h, &err), 0);
}

static void bad(struct str in, const char *why)
{
	struct haproxy h;
	struct err err = {""};

	assert_int_equal(haproxy_parse(in, &h, &err), -1);
	if (strncmp(err.text, why, strlen(why)) != 0)
		fail_msg("%s, not %s", err.text, why);
}

static void test_version_1(void **state)
{
	good(STR("PROXY TCP4 192.0.2.1 192.0.2.2 123 25\r\n"), "192.0.2.1", 123);
	good(STR("PROXY TCP6 FC:00:00:00:1:2:3:4 fc::1 65535 25\r\n"), "fc::1:2:3:4", 65535);
	good(STR("PROXY TCP6 ::FFFF:192.0.2.1 ::ffff:c000:0202 123 25\r\n"), "192.0.2.1", 123);
	good(STR("PROXY UNKNOWN\r\n"), NULL, 0);
	good(STR("PROXY UNKNOWN whatever it says\r\n"), NULL, 0);
	bad(STR("PROXY TCP4 ::1 192.0.2.2 1 2\r\n"), "bad or missing client address");
	bad(STR("PROXY TCP4 ::ffff:1.2.3.4 ::ffff:4.3.2.1 1 2\r\n"), "bad or missing client address");
	bad(STR("PROXY TCP6 1.2.3.4 4.3.2.1 123 321\r\n"), "bad or missing client address");
	bad(STR("PROXY TCP4 192.0.2.1 ::1 1 2\r\n"), "bad or missing server address");
	bad(STR("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"), "bad or missing client port");
	bad(STR("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), "bad or missing server port");
	bad(STR("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), "bad or missing protocol type");
	bad(STR("PROXY\r\n"), "short protocol header");
	bad(STR("\r\n"), "short protocol header: \\r\\n");
	bad(STR("EHLO client.example\r\n"), "unexpected protocol header");
	bad(STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), "missing protocol header terminator");
}

static void test_endless_version_1(void **state)
{
	char line[200];

	memset(line, 'P', sizeof(line));
	bad((struct str){line, sizeof(line)}, "missing protocol header terminator");
}

static struct str v2(char *out, const char *rest, size_t n)
{
	memcpy(out, v2_head, 12);
	memcpy(out + 12, rest, n);
	return (struct str){out, 12 + n};
}

static void test_version_2(void **state)
{
	char b[64];

	good(v2(b, "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x3b\x75\0\x19", 16), "192.0.2.1", 15221);
	good(v2(b, "\x20\0\0\0", 4), NULL, 0);
	good(v2(b, "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\1\x3b\x75\0\x19xyz", 19), "192.0.2.1", 15221);
	bad(v2(b, "\x22\x11\0\0", 4), "bad command");
	bad(v2(b, "\x21\x31\0\0", 4), "unsupported network protocol");
	bad(v2(b, "\x21\x11\0\4\xc0\0\2\1", 8), "short address field");
	bad(v2(b, "\x21\x11\xff\xff", 4), "too long proxy header");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_endless_version_1),
		cmocka_unit_test(test_version_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
