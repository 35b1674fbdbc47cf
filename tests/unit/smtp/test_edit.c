/* Content of every split through the edit: headers, conversion, hostile forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/stream.h"
#include "smtp/smtp_edit.h"
#include "smtp/smtp_qp.h"

struct edit_case {
	const char *in, *out; /* NULL: the same */
	const char *main_cf;
};

#define TABLE "smtp_generic_maps = inline:{{a@in.example=b@out.example}}"
#define MULTI "Content-Type: multipart/mixed; boundary=x\r\n"
#define EIGHT "Content-Transfer-Encoding: 8bit\r\n"
#define SEVEN "Content-Transfer-Encoding: 7bit\r\n"
#define QP "Content-Transfer-Encoding: quoted-printable\r\n"

static const struct edit_case cases[] = {
	{"A: b\r\n\r\n\303\244\r\n", NULL, NULL},
	{EIGHT "\r\n\303\244", QP "\r\n=C3=A4\r\n", NULL},
	{"Content-Transfer-Encoding\t: (x) 8BIT\r\n b\r\nA: b\r\n\r\n=\r\n", "A: b\r\n" QP "\r\n=3D\r\n",
		NULL},
	{EIGHT, QP, NULL},
	{MULTI EIGHT "\r\n--x\r\n--x\r\n" EIGHT "=\r\n--x--\r\n" EIGHT "\r\n=\r\n",
		MULTI SEVEN "\r\n--x\r\n--x\r\n" QP "=3D\r\n--x--\r\n" EIGHT "\r\n=\r\n", NULL},
	{"Content-Type: message/partial\r\n" EIGHT "\r\n\303\244\r\n", NULL, NULL},
	{MULTI "\r\n--x\r\nContent-Type: message/global\r\n" EIGHT "\r\n" EIGHT "\r\n=\r\n--x--\r\n",
		MULTI "\r\n--x\r\nContent-Type: message/global\r\n" QP "\r\n" EIGHT "\r\n=3D\r\n--x--\r\n",
		NULL},
	{EIGHT "\r\n.\r\n..\r\n", QP "\r\n..\r\n...\r\n", NULL},
	{"To: a@in.example\r\n\r\nTo: a@in.example\r\n", "To: b@out.example\r\n\r\nTo: a@in.example\r\n",
		TABLE},
	{"TO : x,\r\n\ta@in.example\r\nX-To: a@in.example\r\n\r\n",
		"TO: x, b@out.example\r\nX-To: a@in.example\r\n\r\n", TABLE},
	{MULTI "\r\n--x\r\nTo: a@in.example\r\n\r\n", NULL, TABLE},
	{"To: a@in.example", "To: b@out.example\r\n", TABLE},
	{"", NULL, TABLE},
	{"A: 1\r\nB: 2\r\n\r\nA: body\r\nx\r\n", "N: n\r\nA: 1\r\n\r\nA: body\r\nx\r\n",
		"smtp_header_checks = regexp:{{/^A:/ PREPEND N: n}, {/^B/ IGNORE}}"},
	{"A: 1\r\n 2\r\n\r\n", "N: 1\r\n 2 x\r\n\r\n",
		"smtp_header_checks = regexp:{{/^A: (.*)/ REPLACE N: $$1 x}}"},
	{"A: a@in.example\r\n\r\n", "To: b@out.example\r\n\r\n",
		TABLE "\nsmtp_header_checks = regexp:{{/^A: (.*)/ REPLACE To: $$1}}"},
	{"\r\nab\r\ncd\r\n\r\nef", "\r\n..\r\nab\r\n\r\n..ef\r\n",
		"smtp_body_checks = regexp:{{/^ab/ PREPEND .}, {/^cd/ STRIP}, {/^(ef)/ REPLACE .$$1}, {/^$$/ "
		"IGNORE}}"},
	{MULTI "A: 1\r\n\r\n--x\r\nA: 2\r\nContent-Type: message/rfc822\r\n\r\nA: 3\r\n\r\nA: 4\r\n--x--\r\n",
		"A: 1\r\n\r\n--x\r\nN: 2\r\nA: 2\r\n\r\n4: 3\r\n\r\nA: 4\r\n--x--\r\n",
		"smtp_mime_header_checks = regexp:{{/^A/ PREPEND N: 2}, {/^Content/ IGNORE}}\n"
		"smtp_nested_header_checks = regexp:{{/^A/ REPLACE 4: 3}}"},
};

static void feed(struct smtp_edit *e, struct str in, size_t step)
{
	struct err err = {""};

	for (size_t i = 0; i < in.n; i += step)
		assert_int_equal(smtp_edit_feed(e, str_first(str_from(in, i), step), &err), CONTENT_SENT);
	assert_int_equal(smtp_edit_feed(e, STR(""), &err), CONTENT_SENT);
}

static void edit(const struct smtp_session *s, struct str in, size_t step, char *out, size_t size)
{
	struct delivery_request request = {.attribute_count = 0};
	struct smtp_writer w = {.limit = 998, .first_of_line = true};
	struct smtp_edit *e = smtp_edit_new(s, &request, &w);
	int ends[2];
	ssize_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	w.out = stream_new(ends[0]);
	assert_non_null(e);
	feed(e, in, step);
	assert_true(stream_flush(w.out));
	smtp_edit_free(&e);
	stream_free(&w.out);
	n = read(ends[1], out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	close(ends[1]);
}

static void check(const struct edit_case *c, size_t step)
{
	struct fixture *f = fixture_new(c->main_cf ? c->main_cf : "", false);
	struct smtp_session s = {.client = f->service.client, .features = c->main_cf ? FEATURE_8BITMIME : 0};
	char out[2000];

	edit(&s, str_c(c->in), step, out, sizeof(out));
	assert_string_equal(out, c->out ? c->out : c->in);
	fixture_free(f);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check(&cases[i], 1);
		check(&cases[i], 7);
		check(&cases[i], 10000);
	}
}

static void test_nothing_to_do(void **state)
{
	struct fixture *f = fixture_new("", false);
	struct smtp_session s = {.client = f->service.client, .features = FEATURE_8BITMIME};
	struct delivery_request request = {.attribute_count = 0};
	struct smtp_writer w = {.limit = 998};

	assert_null(smtp_edit_new(&s, &request, &w));
	fixture_free(f);
}

struct qp_case {
	const char *in, *out;
};

static const struct qp_case qp_cases[] = {
	{"", ""},
	{"a b", "a b"},
	{"a ", "a=20"},
	{"\t", "=09"},
	{"=\177\r\377", "=3D=7F=0D=FF"},
};

static void test_qp(void **state)
{
	for (size_t i = 0; i < sizeof(qp_cases) / sizeof(*qp_cases); i++) {
		struct buf out = BUF(100);
		size_t column = 0;

		smtp_qp_encode(str_c(qp_cases[i].in), true, &column, &out);
		assert_string_equal(buf_cstr(&out), qp_cases[i].out);
		assert_int_equal(column, 0);
		buf_free(&out);
	}
}

/* Lines stay within 76 bytes, and the result within what SMTP_QP_GROWTH promises. */
static void test_qp_limits(void **state)
{
	char text[1000];
	struct buf out = BUF(SMTP_QP_GROWTH * sizeof(text));

	for (size_t plain = 0; plain < 80; plain++) {
		struct str rest;
		size_t column = 0;

		memset(text, 0xe4, sizeof(text));
		memset(text, 'x', plain);
		buf_clear(&out);
		smtp_qp_encode((struct str){text, sizeof(text)}, true, &column, &out);
		assert_false(out.over);
		rest = buf_slice(&out);
		while (rest.n > 76) {
			ptrdiff_t lf = str_find(rest, '\n');

			assert_in_range(lf, 2, 77);
			rest = str_from(rest, (size_t)lf + 1);
		}
	}
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_qp),
		cmocka_unit_test(test_qp_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
